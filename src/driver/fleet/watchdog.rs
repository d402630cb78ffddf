//! Who keeps in touch with the store, and by when that task has to be seen again.
//!
//! The task lives on the runtime of the request that started it. If that runtime ends or stalls, the next request with a shared
//! session starts another task, on its own runtime. The old task ends at its next poll, should there be one.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::lock::Lock;

/// How much later than it said a task may be seen again before another takes over.
const GRACE: Duration = Duration::from_secs(2);
/// There is none, and none is needed.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Watchdog {
    present: Lock<Present>,
    /// From when on nobody keeps in touch, in milliseconds of monotonic time.
    late_from: AtomicU64,
}

#[derive(Debug, Default)]
struct Present {
    /// Counts up: the latest one.
    worker: u64,
    is_there: bool,
    /// Somebody needed a worker since the present one last looked, and found it there.
    is_needed: bool,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self {
            present: Lock::default(),
            late_from: AtomicU64::new(NEVER),
        }
    }
}

impl Watchdog {
    /// Whether the task is missing or late. Asked on use of a session, so it is one comparison.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.late_from.load(Ordering::Acquire) <= millis(now)
    }

    /// Makes the caller the one who keeps in touch, unless somebody does and is not late.
    pub(super) fn begin(&self, now: Duration) -> Option<u64> {
        let mut present = self.present.lock();
        if present.is_there && !self.is_late(now) {
            present.is_needed = true;
            return None;
        }
        present.worker += 1;
        (present.is_there, present.is_needed) = (true, false);
        self.set(now);
        Some(present.worker)
    }

    /// Says until when a worker will be seen again. It looks for what there is to do after this.
    pub(super) fn expect(&self, worker: u64, until: Duration) {
        let mut present = self.present.lock();
        if present.worker == worker && present.is_there {
            present.is_needed = false;
            self.set(until);
        }
    }

    /// Whether nobody has taken over from a worker.
    pub(super) fn is_by(&self, worker: u64) -> bool {
        self.present.lock().worker == worker
    }

    /// A worker has found nothing to do. Returns whether it is to end: not if it was needed since it looked, since whoever
    /// needed it has started no other.
    pub(super) fn end(&self, worker: u64) -> bool {
        let mut present = self.present.lock();
        if present.worker == worker && present.is_needed {
            present.is_needed = false;
            return false;
        }
        self.gone(&mut present, worker, NEVER);
        true
    }

    /// A worker is gone with its runtime, though it had something left to do.
    pub(super) fn lose(&self, worker: u64) {
        self.gone(&mut self.present.lock(), worker, 0);
    }

    /// The worker is in another process.
    pub(super) fn begin_anew(&self) {
        let mut present = self.present.lock();
        present.worker += 1;
        present.is_there = false;
        self.late_from.store(NEVER, Ordering::Release);
    }

    fn gone(&self, present: &mut Present, worker: u64, late_from: u64) {
        if present.worker == worker && present.is_there {
            present.is_there = false;
            self.late_from.store(late_from, Ordering::Release);
        }
    }

    fn set(&self, until: Duration) {
        let late_from = millis(until.saturating_add(GRACE));
        self.late_from.store(late_from, Ordering::Release);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nobody_is_late_where_nobody_is_needed() {
        let watchdog = Watchdog::default();
        assert!(!watchdog.is_late(at(1_000_000)));
        let first = watchdog.begin(at(0)).unwrap();
        assert!(watchdog.end(first));
        assert!(!watchdog.is_late(at(1_000_000)));
        assert!(watchdog.begin(at(0)).is_some());
    }

    #[test]
    fn one_works_until_it_is_late_and_then_another_does_and_the_first_one_has_no_say() {
        let watchdog = Watchdog::default();
        let first = watchdog.begin(at(0)).unwrap();
        watchdog.expect(first, at(10));
        assert_eq!(watchdog.begin(at(11)), None);
        assert!(!watchdog.is_late(at(11)) && watchdog.is_late(at(12)));
        let second = watchdog.begin(at(12)).unwrap();
        assert!(!watchdog.is_by(first) && watchdog.is_by(second));
        watchdog.expect(first, at(1_000));
        assert!(watchdog.is_late(at(14)));
        watchdog.expect(second, at(20));
        assert!(watchdog.end(first), "it has no say");
        watchdog.lose(first);
        assert!(!watchdog.is_late(at(21)));
    }

    #[test]
    fn one_that_is_needed_after_its_last_look_does_not_end() {
        let watchdog = Watchdog::default();
        let first = watchdog.begin(at(0)).unwrap();
        assert_eq!(watchdog.begin(at(1)), None);
        assert!(!watchdog.end(first), "whoever came has started no other");
        assert_eq!(watchdog.begin(at(1)), None);
        watchdog.expect(first, at(10));
        assert!(watchdog.end(first), "it has looked since");
        assert!(watchdog.begin(at(1)).is_some());
    }

    #[test]
    fn one_that_is_gone_with_its_runtime_is_missed_at_once() {
        let watchdog = Watchdog::default();
        let first = watchdog.begin(at(5)).unwrap();
        watchdog.lose(first);
        assert!(watchdog.is_late(at(0)));
        assert!(watchdog.begin(at(5)).is_some());
    }
}
