//! Why sessions are used no more.

/// Why a session is sent no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetireReason {
    /// The manager's API key or defaults were changed.
    Changed,
    /// Others were used more recently, and there is no room for all.
    Evicted,
    /// It was made by a create that had been given up.
    Fenced,
    /// By [`SessionManager::invalidate`](crate::SessionManager::invalidate), or because a call of yours changes or deletes it.
    Invalidated,
    /// The shared store was not there for so long that the other processes of the fleet may have deleted it.
    Lapsed,
    /// A redirect took its id to another origin than Sipher's.
    Leaked,
    /// The server does not know it any more.
    Lost,
    /// A successor took its place.
    Replaced,
    /// Another process of the fleet said that nobody is to use it.
    Revoked,
    /// The manager shuts down.
    Shutdown,
    /// The server made something else than was asked for.
    WrongAnswer,
}
