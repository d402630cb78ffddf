//! How long a session is used, and when it is replaced.
//!
//! With `T` the life that the server granted (never more than was asked for), before the end of it:
//!
//! ```text
//! soft = min(clamp(0.20·T, 10 s, 15 min) · (1 + U[0, 0.25)), 0.5·T)   the next request starts a renewal
//! hard = clamp(0.03·T, 5 s, 60 s)                                    the id is sent no more
//! ```
//!
//! `U` is drawn once for each session and only ever moves the renewal to an earlier point, so that many processes that
//! started together do not renew together. `T` is counted from just before the create was *sent*: whatever the way to
//! the server took is taken from the session's life, never added to it.

use std::time::Duration;

use crate::clock::{Moment, Reading};

const SOFT_SHARE: f64 = 0.20;
const SOFT_RANGE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(15 * 60));
const SOFT_JITTER: f64 = 0.25;
const SOFT_MOST: f64 = 0.5;
const HARD_SHARE: f64 = 0.03;
const HARD_RANGE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// Unused for this share of its life, and at least so long, it is asked about on its next use.
const IDLE_SHARE: f64 = 0.25;
const IDLE_LEAST: Duration = Duration::from_secs(60);
/// A predecessor with less of its life left than this, or this share of it, is not worth a call.
const DELETE_LEFT: Duration = Duration::from_secs(30);
const DELETE_SHARE: f64 = 0.10;

/// The life of one session. There may be many, so that it takes no more room than it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    born: Moment,
    /// How old it was then: nothing, where this process has made it.
    age: Millis,
    total: Millis,
    soft: Millis,
    hard: Millis,
}

/// Up to 49 days, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Millis(u32);

impl Millis {
    fn no_more_than(time: Duration) -> Self {
        Self(u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
    }

    fn no_less_than(time: Duration) -> Self {
        let millis = time.as_nanos().div_ceil(1_000_000);
        Self(u32::try_from(millis).unwrap_or(u32::MAX))
    }

    fn get(self) -> Duration {
        Duration::from_millis(self.0.into())
    }
}

/// What a session is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Use it.
    Fresh,
    /// Use it, and make a successor meanwhile.
    Aging,
    /// Send it no more.
    Over,
}

impl Life {
    /// `born` is from before the create was sent; `jitter` is from `[0, 1)`.
    pub(crate) fn new(born: Reading, total: Duration, jitter: f64) -> Self {
        let (least, most) = SOFT_RANGE;
        let soft = total
            .mul_f64(SOFT_SHARE)
            .clamp(least, most)
            .mul_f64(1.0 + SOFT_JITTER * jitter);
        let (least, most) = HARD_RANGE;
        let hard = total.mul_f64(HARD_SHARE).clamp(least, most);
        Self {
            born: born.into(),
            age: Millis(0),
            total: Millis::no_more_than(total),
            soft: Millis::no_more_than(soft.min(total.mul_f64(SOFT_MOST))),
            hard: Millis::no_less_than(hard),
        }
    }

    /// One that was so old already at `now`.
    pub(crate) fn aged(now: Reading, total: Duration, age: Duration, jitter: f64) -> Self {
        Self {
            age: Millis::no_less_than(age),
            ..Self::new(now, total, jitter)
        }
    }

    pub(crate) fn born(&self) -> Reading {
        self.counted_from().before(self.age.get())
    }

    fn counted_from(&self) -> Reading {
        self.born.into()
    }

    pub(crate) fn total(&self) -> Duration {
        self.total.get()
    }

    /// With this much left or less, the id is sent no more.
    pub(crate) fn hard(&self) -> Duration {
        self.hard.get()
    }

    pub(crate) fn phase(&self, now: Reading) -> Phase {
        let left = self.left(now);
        if left <= self.hard() {
            Phase::Over
        } else if left <= self.soft.get() {
            Phase::Aging
        } else {
            Phase::Fresh
        }
    }

    /// How much of the whole life is left.
    pub(crate) fn left(&self, now: Reading) -> Duration {
        self.total()
            .saturating_sub(self.age.get())
            .saturating_sub(now.since(self.counted_from()))
    }

    /// For how long the same decision about it is right.
    pub(crate) fn unchanged_for(&self, now: Reading) -> Duration {
        let usable_for = self.usable_for(now);
        match self.renewal_in(now) {
            Duration::ZERO => usable_for,
            renewal_in => renewal_in.min(usable_for),
        }
    }

    /// How long nobody used it, when it is worth asking the server whether it still has it.
    pub(crate) fn long_idle(&self) -> Duration {
        self.total().mul_f64(IDLE_SHARE).max(IDLE_LEAST)
    }

    /// Whether the server may still have it. The wall clock is not asked: set forward, it says too much.
    pub(crate) fn may_go_on(&self, now: Reading) -> bool {
        let passed = now.monotonic.saturating_sub(self.counted_from().monotonic);
        passed.saturating_add(self.age.get()) < self.total()
    }

    /// How long the id may still be sent.
    pub(crate) fn usable_for(&self, now: Reading) -> Duration {
        self.left(now).saturating_sub(self.hard())
    }

    /// How long until a request would start a renewal.
    pub(crate) fn renewal_in(&self, now: Reading) -> Duration {
        self.left(now).saturating_sub(self.soft.get())
    }

    /// Whether so much life is left that it is worth a call to end it.
    pub(crate) fn is_worth_deleting(&self, now: Reading) -> bool {
        self.left(now) > DELETE_LEFT.max(self.total().mul_f64(DELETE_SHARE))
    }

    /// How long until it is not worth a call any more.
    pub(crate) fn worth_deleting_for(&self, now: Reading) -> Duration {
        self.left(now)
            .saturating_sub(DELETE_LEFT.max(self.total().mul_f64(DELETE_SHARE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BORN: Reading = Reading {
        monotonic: Duration::from_secs(1_000),
        wall: Duration::from_secs(1_000_000),
    };

    fn after(seconds: f64) -> Reading {
        let age = Duration::from_secs_f64(seconds);
        Reading {
            monotonic: BORN.monotonic + age,
            wall: BORN.wall + age,
        }
    }

    fn life(total: u64, jitter: f64) -> Life {
        Life::new(BORN, Duration::from_secs(total), jitter)
    }

    #[test]
    fn the_formula_holds_at_every_legal_life() {
        // T, jitter, renewal starts at this age, sent no more from this age
        for (total, jitter, renewal, over) in [
            (30, 0.0, 20.0, 25.0),
            (60, 0.0, 48.0, 55.0),
            (60, 0.999, 45.003, 55.0),
            (3_600, 0.0, 2_880.0, 3_540.0),
            (3_600, 0.5, 2_790.0, 3_540.0),
            (86_400, 0.0, 85_500.0, 86_340.0),
        ] {
            let life = life(total, jitter);
            let at = |seconds| life.phase(after(seconds));
            assert_eq!(at(renewal - 0.01), Phase::Fresh, "T = {total}");
            assert_eq!(at(renewal + 0.01), Phase::Aging, "T = {total}");
            assert_eq!(at(over - 0.01), Phase::Aging, "T = {total}");
            assert_eq!(
                at(over),
                Phase::Over,
                "T = {total}, with exactly `hard` left"
            );
        }
    }

    #[test]
    fn jitter_only_ever_moves_the_renewal_earlier_and_never_past_half_of_the_life() {
        for total in [30, 40, 60, 100, 3_600, 86_400] {
            let at = |jitter| life(total, jitter).renewal_in(BORN);
            assert!(at(0.999) <= at(0.5) && at(0.5) <= at(0.0), "T = {total}");
            assert!(at(0.999) >= Duration::from_secs(total) / 2, "T = {total}");
        }
    }

    #[test]
    fn the_clock_that_says_older_ends_the_life() {
        let life = life(60, 0.0);
        let suspended = Reading {
            monotonic: BORN.monotonic,
            ..after(55.0)
        };
        assert_eq!(life.phase(suspended), Phase::Over);
        let set_back = Reading {
            wall: Duration::ZERO,
            ..after(55.0)
        };
        assert_eq!(life.phase(set_back), Phase::Over);
    }

    #[test]
    fn a_wall_clock_that_is_set_forward_ends_nothing_on_the_server() {
        let life = life(60, 0.0);
        let set_forward = Reading {
            monotonic: BORN.monotonic,
            ..after(86_400.0)
        };
        assert_eq!(life.phase(set_forward), Phase::Over);
        assert!(life.may_go_on(set_forward));
        assert!(!life.may_go_on(after(60.0)));
    }

    #[test]
    fn only_a_long_remaining_life_is_worth_a_call() {
        assert!(life(60, 0.0).is_worth_deleting(after(29.0)));
        assert!(!life(60, 0.0).is_worth_deleting(after(30.0)));
        assert!(life(3_600, 0.0).is_worth_deleting(after(3_239.0)));
        assert!(!life(3_600, 0.0).is_worth_deleting(after(3_240.0)));
        assert_eq!(
            life(60, 0.0).worth_deleting_for(after(29.0)),
            Duration::from_secs(1)
        );
    }
}
