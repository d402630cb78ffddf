//! How long a session is used, and when it is replaced.
//!
//! `T` is the life that the server granted, never more than was asked for. Counted back from its end:
//!
//! ```text
//! soft = min(clamp(0.20·T, 10 s, 15 min) · (1 + U[0, 0.25)), 0.5·T)   the next request starts a renewal
//! hard = clamp(0.03·T, 5 s, 60 s)                                    the id is sent no more
//! ```
//!
//! `U` is drawn at random, once for each session. It only moves the renewal earlier, so that processes that started
//! together do not renew together. `T` is counted from just before the create was *sent*. So the network delay shortens
//! the session's life and never lengthens it.

use std::time::Duration;

use crate::clock::{Moment, Reading};

const SOFT_SHARE: f64 = 0.20;
const SOFT_RANGE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(15 * 60));
const SOFT_JITTER: f64 = 0.25;
const SOFT_MOST: f64 = 0.5;
const HARD_SHARE: f64 = 0.03;
const HARD_RANGE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// When a session was idle for this share of its life, and for this time at least, the server is asked for it before
/// the next request uses it.
const IDLE_SHARE: f64 = 0.25;
const IDLE_LEAST: Duration = Duration::from_secs(60);
/// A replaced session with less than this time or this share of its life left is not worth a delete call.
const DELETE_LEFT: Duration = Duration::from_secs(30);
const DELETE_SHARE: f64 = 0.10;

/// The life of one session. There may be many sessions, so this type is kept small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    born: Moment,
    /// How old the session was at `born`. Zero if this process created it.
    age: Millis,
    total: Millis,
    soft: Millis,
    hard: Millis,
}

/// Milliseconds, up to 49 days.
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

/// How a session may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Use the session.
    Fresh,
    /// Use the session, and create a successor meanwhile.
    Aging,
    /// Send the session no more.
    Over,
}

impl Life {
    /// Creates a life. `born` is a time from before the create was sent. `jitter` is drawn from `[0, 1)`.
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

    /// Creates the life of a session that was already `age` old at `now`.
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

    /// Returns `hard`: how long before the session's end the id stops being sent.
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

    /// Returns how much of the whole life is left.
    pub(crate) fn left(&self, now: Reading) -> Duration {
        self.total()
            .saturating_sub(self.age.get())
            .saturating_sub(now.since(self.counted_from()))
    }

    /// Returns how long the present phase lasts.
    pub(crate) fn unchanged_for(&self, now: Reading) -> Duration {
        let usable_for = self.usable_for(now);
        match self.renewal_in(now) {
            Duration::ZERO => usable_for,
            renewal_in => renewal_in.min(usable_for),
        }
    }

    /// Returns after how long without use the server is asked whether it still has the session.
    pub(crate) fn long_idle(&self) -> Duration {
        self.total().mul_f64(IDLE_SHARE).max(IDLE_LEAST)
    }

    /// Returns whether the server may still have the session. Ignores the wall clock, which may have been set forward.
    pub(crate) fn may_go_on(&self, now: Reading) -> bool {
        let passed = now.monotonic.saturating_sub(self.counted_from().monotonic);
        passed.saturating_add(self.age.get()) < self.total()
    }

    /// Returns how long the id may still be sent.
    pub(crate) fn usable_for(&self, now: Reading) -> Duration {
        self.left(now).saturating_sub(self.hard())
    }

    /// Returns how long until a request would start a renewal.
    pub(crate) fn renewal_in(&self, now: Reading) -> Duration {
        self.left(now).saturating_sub(self.soft.get())
    }

    /// Returns whether enough life is left to be worth a delete call.
    pub(crate) fn is_worth_deleting(&self, now: Reading) -> bool {
        self.left(now) > DELETE_LEFT.max(self.total().mul_f64(DELETE_SHARE))
    }

    /// Returns how much longer the session is worth a delete call.
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
        // T, jitter, age at which the renewal starts, age from which on the id is sent no more.
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
