//! A create under way, as others see it.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::{self, Handle, RuntimeFlavor},
    time::sleep,
};

use super::once::Promised;
use crate::{
    clock::{Clock, Reading},
    error::Error,
    hot::session::LiveSession,
};

/// How a create ended, for everybody who waited for it.
pub(crate) type Outcome = Result<Arc<LiveSession>, Error>;

/// How much later than its own deadline a create counts as lost.
const GRACE: Duration = Duration::from_secs(1);

/// How often a create shows that its runtime drives it.
const BEAT: Duration = Duration::from_secs(1);

/// Without a beat for so long, its runtime stands still, and a caller on another one begins anew. Long enough for a pause of a busy
/// machine.
const STALLED: Duration = Duration::from_secs(5);

/// A create under way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) generation: u64,
    /// When its first call went out, or when it began to wait for that.
    pub(crate) begun: Reading,
    pub(crate) outcome: Promised<Outcome>,
    pub(crate) status: Arc<Status>,
    /// Where its task runs.
    pub(crate) runtime: Option<runtime::Id>,
}

/// What is known of a create from outside of its task.
#[derive(Debug, Default)]
pub(crate) struct Status {
    /// Whether a call is on its way, and what becomes of it is not known.
    pub(crate) calling: AtomicBool,
    /// When its runtime last drove it, in milliseconds of monotonic time. Zero before the first time.
    beat_at: AtomicU64,
    /// Whether it was counted as a possible orphan, because it did not end in time.
    pub(crate) given_up: AtomicBool,
}

impl Flight {
    /// How long until it counts as lost to a caller on this runtime. A moment later than its own deadline, at which one whose runtime
    /// is well ends by itself. A caller on another runtime does not wait that long for one that stands still.
    pub(crate) fn overdue_in(&self, timeout: Duration, now: Reading, caller: &Handle) -> Duration {
        let left = overdue_after(timeout).saturating_sub(now.since(self.begun));
        if self.runtime == Some(caller.id()) {
            return left;
        }
        let stalled_for = self.status.stalled_for(now, self.begun);
        left.min(STALLED.saturating_sub(stalled_for))
    }

    /// Whether its task goes on while the caller waits for anything: it runs on the caller's own runtime, which has no thread
    /// but this one. Its own deadline ends it then.
    pub(crate) fn goes_on_with(&self, caller: &Handle) -> bool {
        self.runtime == Some(caller.id()) && caller.runtime_flavor() == RuntimeFlavor::CurrentThread
    }
}

/// How long a create may take before it counts as lost, from its first call on or while it waits for that.
pub(crate) fn overdue_after(timeout: Duration) -> Duration {
    timeout.saturating_add(GRACE)
}

impl Status {
    /// Does the work of a create, and shows to callers on other runtimes that its own drives it.
    pub(crate) async fn beating<T>(&self, clock: &dyn Clock, work: impl Future<Output = T>) -> T {
        let beats = async {
            loop {
                self.beat_at
                    .store(millis(clock.now().monotonic), Ordering::Release);
                sleep(BEAT).await;
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            never = beats => never,
        }
    }

    fn stalled_for(&self, now: Reading, begun: Reading) -> Duration {
        let beat_at = Duration::from_millis(self.beat_at.load(Ordering::Acquire));
        now.monotonic.saturating_sub(beat_at.max(begun.monotonic))
    }

    /// Gives the create up; returns whether that leaves a possible orphan.
    pub(crate) fn give_up(&self) -> bool {
        self.calling.load(Ordering::Acquire) && !self.given_up.swap(true, Ordering::AcqRel)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::once::promise;

    fn at(seconds: u64) -> Reading {
        let time = Duration::from_secs(seconds);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn only_a_runtime_that_stands_still_ends_the_wait_of_callers_on_others_early() {
        let build = || runtime::Builder::new_current_thread().build().unwrap();
        let (own, other) = (build(), build());
        let (_done, outcome) = promise();
        let flight = Flight {
            generation: 1,
            begun: at(100),
            outcome,
            status: Arc::default(),
            runtime: Some(own.handle().id()),
        };
        let beat = |now: u64| flight.status.beat_at.store(now * 1_000, Ordering::Release);
        let left = |now, on: &runtime::Runtime| {
            let timeout = Duration::from_secs(20);
            flight.overdue_in(timeout, at(now), on.handle()).as_secs()
        };
        assert_eq!((left(100, &own), left(100, &other)), (21, 5));
        assert_eq!((left(104, &own), left(104, &other)), (17, 1));
        beat(104);
        assert_eq!((left(105, &own), left(105, &other)), (16, 4));
        assert_eq!((left(109, &own), left(109, &other)), (12, 0));
        beat(119);
        assert_eq!(left(119, &other), 2, "never later than its own deadline");
    }
}
