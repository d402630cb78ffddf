//! A *flight*: a create or a check under way, as the gate and the requests that wait for it see it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::clock::Reading;

/// How long after its own deadline a create counts as lost. Normally it has ended by then.
const GRACE: Duration = Duration::from_secs(1);

/// After so long without a heartbeat, the create's tokio runtime counts as stalled. A request on another runtime then
/// starts a new create. The pauses of a busy machine are shorter.
const STALLED: Duration = Duration::from_secs(5);

/// A create or a check under way. `W` is the handle by which requests wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Flight<W> {
    pub(crate) generation: u64,
    /// When its first call went out. Before that call, when it began to wait for it.
    pub(crate) begun: Reading,
    pub(crate) status: Arc<Status>,
    pub(crate) waiters: W,
}

/// What others may know of a create, outside of its task.
#[derive(Debug, Default)]
pub(crate) struct Status {
    /// Whether a call is on its way whose outcome is not known.
    pub(crate) calling: AtomicBool,
    /// When the create's runtime last polled it, in milliseconds of monotonic time. Zero before the first time.
    beat_at: AtomicU64,
    /// Whether the create was counted as a possible orphan, because it did not end in time.
    pub(crate) given_up: AtomicBool,
}

impl<W> Flight<W> {
    /// Returns how long a waiting request still waits before it gives this create up and starts another.
    ///
    /// Normally that is until just after the create's own deadline, `timeout`, at which it ends by its own timer. If
    /// the create's runtime has stalled, that timer does not fire. A request on another runtime then notices missing
    /// heartbeats and waits less.
    pub(crate) fn overdue_in(
        &self,
        timeout: Duration,
        now: Reading,
        is_callers_runtime: bool,
    ) -> Duration {
        let left = overdue_after(timeout).saturating_sub(now.since(self.begun));
        if is_callers_runtime {
            return left;
        }
        let stalled_for = self.status.stalled_for(now, self.begun);
        left.min(STALLED.saturating_sub(stalled_for))
    }
}

/// Returns how long a create may take before it counts as lost. The time runs from its first call, or from when it
/// began to wait for that call.
pub(crate) fn overdue_after(timeout: Duration) -> Duration {
    timeout.saturating_add(GRACE)
}

impl Status {
    /// Records that the create's runtime polls it.
    pub(crate) fn beat(&self, now: Reading) {
        let now = u64::try_from(now.monotonic.as_millis()).unwrap_or(u64::MAX);
        self.beat_at.store(now, Ordering::Release);
    }

    /// Returns how long the create's runtime has not polled it.
    fn stalled_for(&self, now: Reading, begun: Reading) -> Duration {
        let beat_at = Duration::from_millis(self.beat_at.load(Ordering::Acquire));
        now.monotonic.saturating_sub(beat_at.max(begun.monotonic))
    }

    /// Gives the create up. Returns whether that leaves a possible orphan: a call is under way, and may create a
    /// session that nobody here knows.
    pub(crate) fn give_up(&self) -> bool {
        self.calling.load(Ordering::Acquire) && !self.given_up.swap(true, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Reading {
        let time = Duration::from_secs(seconds);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn only_a_runtime_that_stands_still_ends_the_wait_of_callers_on_others_early() {
        let flight = Flight {
            generation: 1,
            begun: at(100),
            status: Arc::default(),
            waiters: (),
        };
        let left = |now, is_callers_runtime| {
            let timeout = Duration::from_secs(20);
            flight
                .overdue_in(timeout, at(now), is_callers_runtime)
                .as_secs()
        };
        assert_eq!((left(100, true), left(100, false)), (21, 5));
        assert_eq!((left(104, true), left(104, false)), (17, 1));
        flight.status.beat(at(104));
        assert_eq!((left(105, true), left(105, false)), (16, 4));
        assert_eq!((left(109, true), left(109, false)), (12, 0));
        flight.status.beat(at(119));
        assert_eq!(left(119, false), 2, "never later than its own deadline");
    }
}
