//! How often the server is asked: at once where nothing was asked for a while, and ever more seldom where nothing comes of it.

use std::time::Duration;

/// A question that follows another too soon tells nothing new and is one more call to the server.
///
/// Signs, hints and the age of the last proof: `GET /v1/health` asks Solana each time, so that the server's own documents
/// advise against more than one in 10 s.
pub(super) const SELDOM: Pace = Pace::new(Duration::from_secs(10), Duration::from_secs(60));
/// A refused or broken connection holds every request until it is answered, so that the first repeats come soon.
pub(super) const SOON: Pace = Pace::new(Duration::from_millis(200), Duration::from_secs(10));
/// After so long without one, the next question is the first again.
const QUIET: Duration = Duration::from_secs(10 * 60);

/// Doubles with each question that was asked for nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    least: Duration,
    most: Duration,
    floor: Duration,
    last: Option<Duration>,
}

impl Pace {
    const fn new(least: Duration, most: Duration) -> Self {
        Self {
            least,
            most,
            floor: least,
            last: None,
        }
    }

    /// How long until the next question. All times are monotonic.
    pub(super) fn due_in(&self, now: Duration) -> Duration {
        let due = self.last.map(|last| last.saturating_add(self.floor));
        due.unwrap_or(now).saturating_sub(now)
    }

    pub(super) fn asked(&mut self, now: Duration) {
        let is_quiet = |last: Duration| now.saturating_sub(last) >= QUIET;
        if self.last.is_some_and(is_quiet) {
            self.floor = self.least;
        }
        self.last = Some(now);
    }

    /// Nothing had happened, or nobody answered.
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

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_question_is_due_at_once_and_later_ones_ever_more_seldom() {
        let (mut pace, mut now) = (SELDOM, at(100));
        for floor in [10, 20, 40, 60, 60] {
            assert_eq!(pace.due_in(now), at(0));
            pace.asked(now);
            assert_eq!(
                (pace.due_in(now), pace.due_in(now + at(3))),
                (at(floor), at(floor - 3))
            );
            pace.for_nothing();
            now += pace.floor();
        }
    }

    #[test]
    fn a_question_that_found_something_and_a_quiet_time_begin_anew() {
        let mut pace = SELDOM;
        for now in [0, 10, 30] {
            pace.asked(at(now));
            pace.for_nothing();
        }
        let mut found = pace;
        found.reset();
        assert_eq!(found.due_in(at(30)), at(10));
        pace.asked(at(30) + QUIET);
        assert_eq!(pace.due_in(at(30) + QUIET), at(10));
    }
}
