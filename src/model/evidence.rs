//! What is known about one session, to judge whether the server still has it; and the reasons to ask the server.

use std::time::Duration;

use crate::clock::Reading;

/// If the server's clock steps back by more than this, it was set back. Network delay cannot explain such a step: it
/// can only make the clock seem ahead.
pub(crate) const STEP_BACK: Duration = Duration::from_secs(1);

/// What the server's answers said about one session, and what is left of the session's life by this machine's clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// When it was created, by the server's clock.
    pub(crate) at: Duration,
    /// When the server last knew the session, by the server's clock. That was its create or its last check.
    pub(crate) known_at: Duration,
    pub(crate) total: Duration,
    pub(crate) born: Reading,
    pub(crate) left: Duration,
    /// When the server last knew the session, by this machine's clocks, and how long ago that was.
    pub(crate) known: (Reading, Duration),
}

/// Why the server is asked, the least urgent cause first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// Something was seen that is usually harmless, such as a slow answer. Requests go on while the server is asked.
    Hint,
    /// For a while, no answer has proved that the server's process is still the same.
    Unproven,
    /// A failure that is not known to be harmless, or a rate-limit window that began too early.
    Sign,
    /// A connection that was refused or broke.
    Broken,
}

/// Returns when the server last knew a session, by the server's clock. `server` is the time that its clock shows now,
/// and `before` the time of an earlier answer. Normally the later one counts. But if the clock was set back in between,
/// `before` lies in that clock's future and would hide a restart, so `server` counts.
pub(crate) fn known_at(before: Duration, server: Duration) -> Duration {
    if server + STEP_BACK < before {
        server
    } else {
        server.max(before)
    }
}
