//! Notices when the heartbeat's task has ended or stalled, so that another one takes over.
//!
//! The task runs on the runtime of the request that started it. If that runtime ends or stalls, the next request with a
//! shared session starts another task, on its own runtime. If the old task is polled again, it ends. Each such task is
//! called a *worker* and has a number.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::lock::Lock;

/// How late a task may be before another one takes over.
const GRACE: Duration = Duration::from_secs(2);
/// The value of `late_from` while no task runs and none is needed.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Watchdog {
    present: Lock<Present>,
    /// From when on the task counts as missing, in milliseconds of monotonic time.
    late_from: AtomicU64,
}

#[derive(Debug, Default)]
struct Present {
    /// The number of the latest worker. It counts up.
    worker: u64,
    is_there: bool,
    /// Set when a caller needs a worker while one runs. That caller starts none, so the present worker must look for
    /// work once more before it ends.
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
    /// Returns whether the task is missing or late. Checked on each use of a session, so it costs one comparison.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.late_from.load(Ordering::Acquire) <= millis(now)
    }

    /// Makes the caller the worker, and returns its number. Returns `None` if another worker runs and is not late.
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

    /// Says when a worker will next show that it is alive. The worker must look for work after this call.
    pub(super) fn expect(&self, worker: u64, until: Duration) {
        let mut present = self.present.lock();
        if present.worker == worker && present.is_there {
            present.is_needed = false;
            self.set(until);
        }
    }

    /// Returns whether this worker is still the present one.
    pub(super) fn is_by(&self, worker: u64) -> bool {
        self.present.lock().worker == worker
    }

    /// Called when a worker has found nothing to do. Returns whether it ends. It must not end if a caller needed it
    /// since it last looked, because that caller started no other worker.
    pub(super) fn end(&self, worker: u64) -> bool {
        let mut present = self.present.lock();
        if present.worker == worker && present.is_needed {
            present.is_needed = false;
            return false;
        }
        self.gone(&mut present, worker, NEVER);
        true
    }

    /// Called when a worker ended with its runtime, though it had work left.
    pub(super) fn lose(&self, worker: u64) {
        self.gone(&mut self.present.lock(), worker, 0);
    }

    /// Forgets a worker that belongs to another process, after a fork.
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
