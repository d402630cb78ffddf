//! Why sessions are retired.

/// Why a session is not sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetireReason {
    /// The manager's API key or defaults were changed.
    Changed,
    /// Others were used more recently, and `max_sessions` was reached.
    Evicted,
    /// The session's create had already been given up, for example because of an
    /// [`invalidate`](crate::SessionManager::invalidate). So no request ever got the session.
    Fenced,
    /// [`SessionManager::invalidate`](crate::SessionManager::invalidate) was called, or one of your calls changed or
    /// deleted the session.
    Invalidated,
    /// This process could not reach the shared store for so long that other processes of the fleet may have deleted the
    /// session.
    Lapsed,
    /// A redirect took the session's id to another origin than Sipher's.
    Leaked,
    /// The server does not know the session any more.
    Lost,
    /// A successor replaced the session.
    Replaced,
    /// Another process of the fleet ended the session for all processes, for example with
    /// [`invalidate`](crate::SessionManager::invalidate).
    Revoked,
    /// The manager shuts down.
    Shutdown,
    /// The server created something else than was asked for.
    WrongAnswer,
}
