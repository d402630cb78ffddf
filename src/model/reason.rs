//! Why sessions are retired.

/// Why a session is not sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetireReason {
    /// The manager's API key or defaults were changed.
    Changed,
    /// Others were used more recently, and `max_sessions` was reached.
    Evicted,
    /// The create that made it had already been given up.
    Fenced,
    /// [`SessionManager::invalidate`](crate::SessionManager::invalidate) was called, or one of your calls changed or
    /// deleted it.
    Invalidated,
    /// The shared store was out of reach for so long that other processes of the fleet may have deleted it.
    Lapsed,
    /// A redirect took its id to another origin than Sipher's.
    Leaked,
    /// The server does not know it any more.
    Lost,
    /// A successor took its place.
    Replaced,
    /// Another process of the fleet revoked it, so that no process uses it.
    Revoked,
    /// The manager shuts down.
    Shutdown,
    /// The server created something else than was asked for.
    WrongAnswer,
}
