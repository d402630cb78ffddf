//! What speaks for or against a session's being alive.

use std::time::Duration;

use crate::clock::Reading;

/// More than the way to the server explains, backward: that only ever makes its clock seem to be ahead.
pub(crate) const STEP_BACK: Duration = Duration::from_secs(1);

/// What a session's own create said of it, and what is left of its life by the clocks here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// When it was created, by the server's clock.
    pub(crate) at: Duration,
    /// When the server last knew it when it was asked for, by the same clock.
    pub(crate) known_at: Duration,
    pub(crate) total: Duration,
    pub(crate) born: Reading,
    pub(crate) left: Duration,
    /// When the server last knew it when it was asked for, and how long ago.
    pub(crate) known: (Reading, Duration),
}

/// Why the server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// Requests go on meanwhile.
    Hint,
    /// Nothing has proved the process for a while.
    Unproven,
    /// A failure that is not known to be harmless, or a window that begins before its time.
    Sign,
    /// A connection that was refused, or broke.
    Broken,
}

/// When the server last knew a session: at `server` by its clock as it is now, and before that at `before`. A clock that was set back
/// in between says an earlier time, and the one from before would hide a restart.
pub(crate) fn known_at(before: Duration, server: Duration) -> Duration {
    if server + STEP_BACK < before {
        server
    } else {
        server.max(before)
    }
}
