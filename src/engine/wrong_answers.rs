//! Decides how soon a session is replaced after a *wrong answer*: one that names another chain than the session's.
//!
//! After a restart of the server, the answers to the successor are right. So the first session is replaced at once.
//!
//! If replicas share no store, or a proxy removes the session id, the answers to the successor are wrong as well. A new
//! session for each wrong answer would use up a pro key's daily quota in half an hour. So each further successor is
//! created after a pause that doubles.

use std::time::Duration;

use crate::clock::Reading;

/// If at most so many requests had got a session before its first wrong answer, it counts as wrong from the start.
const FIRST_USES: u64 = 3;
/// How much a session with a wrong answer counts: if it was wrong from the start, and if its answers were right for a
/// while.
const FROM_THE_START: u32 = 8;
const AFTER_A_WHILE: u32 = 1;
/// Up to this sum there is no pause: for one session that was wrong from the start, or a dozen that were right for a
/// while.
const AT_ONCE: u32 = 12;
/// The shortest and the longest pause before the next session.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10 * 60));
/// After so long without a wrong answer, the count begins anew.
const REMEMBER: Duration = Duration::from_secs(10 * 60);

/// Counts the sessions of one partition whose answers were wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct WrongAnswers {
    /// What the sessions with wrong answers add up to.
    counted: u32,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    generation: u64,
    at: Reading,
    pause: Duration,
}

impl WrongAnswers {
    /// Records a wrong answer to the session of this generation, which `uses` requests had got before. Each session
    /// counts once.
    pub(crate) fn note(&mut self, generation: u64, uses: u64, now: Reading) {
        if self.last.is_some_and(|last| last.generation >= generation) {
            return;
        }
        if self.is_forgotten(now) {
            self.counted = 0;
        }
        let weight = if uses <= FIRST_USES {
            FROM_THE_START
        } else {
            AFTER_A_WHILE
        };
        self.counted = self.counted.saturating_add(weight);
        let pause = pause(self.counted);
        let at = now;
        self.last = Some(Last {
            generation,
            at,
            pause,
        });
    }

    /// Returns how long until the next session may be created.
    pub(crate) fn left(&self, now: Reading) -> Duration {
        let left = |last: Last| last.pause.saturating_sub(now.since(last.at));
        self.last.map(left).unwrap_or_default()
    }

    pub(crate) fn is_forgotten(&self, now: Reading) -> bool {
        let is_recent = |last: Last| now.since(last.at) <= last.pause.saturating_add(REMEMBER);
        !self.last.is_some_and(is_recent)
    }
}

fn pause(counted: u32) -> Duration {
    let (least, most) = PAUSE;
    let beyond = counted.saturating_sub(AT_ONCE).div_ceil(FROM_THE_START);
    match beyond {
        0 => Duration::ZERO,
        beyond => least.saturating_mul(1 << (beyond - 1).min(16)).min(most),
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
    fn the_first_is_replaced_at_once_and_the_next_ones_ever_later() {
        let (mut wrong, mut now) = (WrongAnswers::default(), 1_000);
        for (generation, pause) in (1..).zip([0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]) {
            wrong.note(generation, 2, at(now));
            assert_eq!(wrong.left(at(now)), Duration::from_secs(pause));
            assert_eq!(wrong.left(at(now + pause)), Duration::ZERO);
            now += pause + 1;
        }
        // After a quiet time as long as `REMEMBER`, the count begins anew.
        assert!(!wrong.is_forgotten(at(now + 590)));
        assert!(wrong.is_forgotten(at(now + 600)));
        wrong.note(100, 2, at(now + 600));
        assert_eq!(wrong.left(at(now + 600)), Duration::ZERO);
    }

    #[test]
    fn restarts_that_follow_one_another_are_not_held_back() {
        let mut wrong = WrongAnswers::default();
        for generation in 1..=12 {
            let now = at(1_000 + 10 * generation);
            wrong.note(generation, 10, now);
            assert_eq!(wrong.left(now), Duration::ZERO, "{generation}");
        }
        wrong.note(13, 10, at(1_130));
        assert_eq!(wrong.left(at(1_130)), Duration::from_secs(2));
    }

    /// Tests wrong answers to requests that were in flight together.
    #[test]
    fn a_session_counts_once() {
        let mut wrong = WrongAnswers::default();
        for second in 0..5 {
            wrong.note(7, 2, at(1_000 + second));
            wrong.note(6, 2, at(1_000 + second));
        }
        assert_eq!(wrong.left(at(1_004)), Duration::ZERO);
    }
}
