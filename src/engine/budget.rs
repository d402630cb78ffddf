//! The bound on session calls.
//!
//! Sipher counts session calls against the user's own limits, so they are scarce. Every call that a manager makes to
//! `/v1/sessions` (creates, retries, checks, deletes) first takes a token here. So in any span of time there are no
//! more calls than
//!
//! ```text
//! burst + per_minute · span / 60 s
//! ```
//!
//! This holds whatever fails, and for any number of callers, API keys and defaults. [`CallBudget::bound`] is the
//! formula.

mod share;

use std::time::Duration;

use crate::model::budget::{CallBudget, Purpose};

/// A token bucket. Tokens are counted as time: one token equals the interval between two refills. So one value is the
/// whole state: the moment at which the bucket will be full.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    budget: CallBudget,
    full_at: Duration,
    /// When the share will be full. The share is the part of the bucket for API keys that the server has not accepted
    /// yet.
    share_full_at: Duration,
}

impl Bucket {
    pub(crate) fn new(budget: CallBudget) -> Self {
        Self {
            budget,
            full_at: Duration::ZERO,
            share_full_at: Duration::ZERO,
        }
    }

    /// Takes a token, or returns how long until there is one. `waiting` is how many creates wait with keys that the
    /// server has not accepted yet. The tokens that their share has gained are left to them. `now` is monotonic time.
    pub(crate) fn take(
        &mut self,
        purpose: Purpose,
        waiting: usize,
        now: Duration,
    ) -> Result<(), Duration> {
        let reserve = self.reserve(purpose);
        let reserve = match purpose {
            Purpose::LastDelete => reserve,
            _ => reserve.max(self.left_to_share(waiting, now)),
        };
        let interval = self.budget.interval();
        match (interval * (reserve + 1)).checked_sub(self.level(now)) {
            None | Some(Duration::ZERO) => {
                let share = self.share(now);
                self.spend(now);
                self.set_share(share.min(self.level(now).max(interval)), now);
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }

    fn spend(&mut self, now: Duration) {
        self.full_at = self.full_at.max(now) + self.budget.interval();
    }

    pub(crate) fn is_half_full(&self, now: Duration) -> bool {
        self.level(now) * 2 >= self.budget.interval() * self.budget.burst
    }

    /// Returns the tokens that can be taken, as time.
    fn level(&self, now: Duration) -> Duration {
        let full = self.budget.interval() * self.budget.burst;
        full.saturating_sub(self.full_at.saturating_sub(now))
    }

    /// Returns how many tokens a call of this kind leaves in the bucket.
    fn reserve(&self, purpose: Purpose) -> u32 {
        match purpose {
            Purpose::Create | Purpose::Question | Purpose::LastDelete => 0,
            Purpose::Check => self.budget.burst / 8,
            // Creates of keys that are not accepted yet leave half of the bucket. Deletes leave one token more, because
            // creates come before deletes.
            Purpose::Delete => (self.budget.burst / 2 + 1).min(self.budget.burst - 1),
        }
    }

    /// Returns how many tokens can be taken within a span that begins with a full bucket.
    pub(crate) fn most_within(&self, span: Duration) -> usize {
        usize::try_from(self.budget.bound(span)).unwrap_or(usize::MAX)
    }

    /// Returns how long until a delete may have a token, so that enough are left for `queued` creates and checks.
    pub(crate) fn wait_beside(&self, queued: usize, now: Duration) -> Duration {
        let reserve = usize::try_from(self.reserve(Purpose::Check)).unwrap_or(usize::MAX);
        self.wait_for(queued.saturating_add(reserve).saturating_add(1), now)
    }

    /// Returns how long until `tokens` more tokens could have been taken.
    pub(crate) fn wait_for(&self, tokens: usize, now: Duration) -> Duration {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let interval = self.budget.interval();
        let full_at = self.full_at.max(now) + interval.saturating_mul(tokens);
        full_at
            .saturating_sub(now)
            .saturating_sub(interval * self.budget.burst)
    }
}

#[cfg(test)]
#[allow(clippy::unchecked_time_subtraction)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// Takes tokens as often as possible at every step. Returns when they were taken.
    fn greedy(budget: CallBudget, steps: impl Iterator<Item = u64>) -> Vec<Duration> {
        let mut bucket = Bucket::new(budget);
        let mut taken = Vec::new();
        for now in steps.map(Duration::from_millis) {
            while bucket.take(Purpose::Create, 0, now).is_ok() {
                taken.push(now);
            }
        }
        taken
    }

    #[test]
    fn no_span_of_time_holds_more_calls_than_the_formula_says() {
        for (per_minute, burst) in [(60, 60), (7, 3), (1, 1), (6000, 10)] {
            let budget = CallBudget::new(per_minute, burst).unwrap();
            let taken = greedy(budget, (0..400_000).step_by(37));
            assert!(
                taken.len() as u64 >= budget.bound(Duration::from_secs(399)),
                "nor many fewer"
            );
            for (i, start) in taken.iter().enumerate().step_by(13) {
                for (j, end) in taken.iter().enumerate().skip(i).step_by(7) {
                    let calls = (j - i + 1) as u64;
                    assert!(
                        calls <= budget.bound(*end - *start),
                        "{calls} in {:?}",
                        *end - *start
                    );
                }
            }
        }
    }

    #[test]
    fn the_wait_that_is_named_is_exactly_enough() {
        let mut bucket = Bucket::new(CallBudget::new(60, 2).unwrap());
        let now = Duration::from_secs(100);
        assert!(bucket.take(Purpose::Create, 0, now).is_ok());
        assert!(bucket.take(Purpose::Create, 0, now).is_ok());
        assert_eq!(bucket.wait_for(3, now), Duration::from_secs(3));
        let wait = bucket.take(Purpose::Create, 0, now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        assert!(
            bucket
                .take(Purpose::Create, 0, now + wait - Duration::from_nanos(1))
                .is_err()
        );
        assert!(bucket.take(Purpose::Create, 0, now + wait).is_ok());
    }

    #[test]
    fn deletes_leave_more_than_half_for_creates_until_the_last_ones() {
        let mut bucket = Bucket::new(CallBudget::new(60, 8).unwrap());
        let deletes = (0..8).filter(|_| bucket.take(Purpose::Delete, 0, Duration::ZERO).is_ok());
        assert_eq!(deletes.count(), 3);
        assert!(bucket.take(Purpose::Create, 0, Duration::ZERO).is_ok());
        let last = (0..8).filter(|_| bucket.take(Purpose::LastDelete, 0, Duration::ZERO).is_ok());
        assert_eq!(last.count(), 4);
    }

    #[test]
    fn a_budget_of_nothing_is_refused_by_name() {
        let text = |budget: Result<CallBudget, Error>| budget.unwrap_err().to_string();
        assert_eq!(
            text(CallBudget::new(0, 1)),
            "call_budget.per_minute: is 0; expected 1 or more"
        );
        assert_eq!(
            text(CallBudget::new(1, 0)),
            "call_budget.burst: is 0; expected 1 or more"
        );
    }
}
