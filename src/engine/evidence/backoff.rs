//! How often `GET /v1/health` is called: at once after a quiet time, and less and less often while the calls find
//! nothing. Such a call is named a *question*.

use std::time::Duration;

use crate::clock::Reading;

/// For signs. A question that follows another one too soon tells nothing new.
///
/// `GET /v1/health` calls Solana each time, so the server's own documents advise at most one call in 10 s.
pub(super) const SELDOM: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(60));
/// For hints and stale proofs. The longest pause is less than a minute, because a rate-limit window lasts a minute.
///
/// A new window is a hint, and is confirmed by the question that follows. If questions came once a minute, each window
/// might be confirmed just before its end, for ever. With a shorter pause, each question comes earlier in its window,
/// until it comes with the window's first answer.
pub(super) const ROUTINE: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(45));
/// For refused and broken connections. Such a failure holds every request until the question is answered, so the first
/// retries come soon.
pub(super) const SOON: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
/// After so long without a question, the back-off begins anew with its shortest pause.
const QUIET: Duration = Duration::from_secs(10 * 60);

/// A pause that doubles with each question that found nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    /// The shortest and the longest pause.
    least: Duration,
    most: Duration,
    /// The present pause: the shortest time between two questions.
    floor: Duration,
    /// When the last question was asked.
    last: Option<Reading>,
}

impl Backoff {
    const fn new(least: Duration, most: Duration) -> Self {
        Self {
            least,
            most,
            floor: least,
            last: None,
        }
    }

    /// Returns how long until the next question is due, by the clock that gives less. So the first request after a
    /// machine slept need not wait.
    pub(super) fn due_in(&self, now: Reading) -> Duration {
        let left = |last| self.floor.saturating_sub(now.since(last));
        self.last.map(left).unwrap_or_default()
    }

    pub(super) fn asked(&mut self, now: Reading) {
        let is_quiet = |last| now.since(last) >= QUIET;
        if self.last.is_some_and(is_quiet) {
            self.floor = self.least;
        }
        self.last = Some(now);
    }

    /// Returns the monotonic time of the last question.
    pub(super) fn last(&self) -> Option<Duration> {
        self.last.map(|last| last.monotonic)
    }

    /// Records that the question found nothing, or got no answer.
    pub(super) fn for_nothing(&mut self) {
        self.floor = self.floor.saturating_mul(2).min(self.most);
    }

    pub(super) fn reset(&mut self) {
        self.floor = self.least;
    }

    pub(super) fn floor(&self) -> Duration {
        self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const fn at(time: u64) -> Reading {
        Reading {
            monotonic: seconds(time),
            wall: seconds(time),
        }
    }

    #[test]
    fn the_first_question_is_due_at_once_and_later_ones_ever_more_seldom() {
        let (mut backoff, mut now) = (SELDOM, 100);
        for floor in [10, 20, 40, 60, 60] {
            assert_eq!(backoff.due_in(at(now)), seconds(0));
            backoff.asked(at(now));
            assert_eq!(
                (backoff.due_in(at(now)), backoff.due_in(at(now + 3))),
                (seconds(floor), seconds(floor - 3))
            );
            backoff.for_nothing();
            now += backoff.floor().as_secs();
        }
    }

    #[test]
    fn a_question_that_found_something_and_a_quiet_time_begin_anew() {
        let mut backoff = SELDOM;
        for now in [0, 10, 30] {
            backoff.asked(at(now));
            backoff.for_nothing();
        }
        let mut found = backoff;
        found.reset();
        assert_eq!(found.due_in(at(30)), seconds(10));
        let later = at(30 + QUIET.as_secs());
        backoff.asked(later);
        assert_eq!(backoff.due_in(later), seconds(10));
    }

    /// The monotonic clock of some machines stands still while they sleep.
    #[test]
    fn a_machine_that_slept_asks_at_once() {
        let mut backoff = SELDOM;
        backoff.asked(at(100));
        let woken = Reading {
            wall: seconds(4_000),
            ..at(101)
        };
        assert_eq!(backoff.due_in(woken), seconds(0));
    }
}
