//! What is known of one session, to judge whether it is alive, and why the server is asked.

use std::time::Duration;

use crate::clock::Reading;

/// A larger step back of the server's clock is not explained by network delay. Delay can only make the clock seem
/// ahead.
pub(crate) const STEP_BACK: Duration = Duration::from_secs(1);

/// What the answers of the server said of a session, and what is left of its life by the clocks here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// When it was created, by the server's clock.
    pub(crate) at: Duration,
    /// When the server last knew the session, by the server's clock. That was its create or its last check.
    pub(crate) known_at: Duration,
    pub(crate) total: Duration,
    pub(crate) born: Reading,
    pub(crate) left: Duration,
    /// When the server last knew the session, by the clocks here, and how long ago that was.
    pub(crate) known: (Reading, Duration),
}

/// Why the server is asked, the least urgent cause first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// Something slight was seen. Requests go on meanwhile.
    Hint,
    /// No answer has proved the process for a while.
    Unproven,
    /// A failure that is not known to be harmless, or a rate-limit window that began too early.
    Sign,
    /// A connection that was refused or broke.
    Broken,
}

/// Returns when the server last knew a session: `server` by its clock as it is now, and `before` by an earlier answer.
/// The later time counts. But if the clock was set back in between, the earlier answer's time would hide a restart.
pub(crate) fn known_at(before: Duration, server: Duration) -> Duration {
    if server + STEP_BACK < before {
        server
    } else {
        server.max(before)
    }
}
