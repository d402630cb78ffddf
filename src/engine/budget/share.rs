//! How API keys that the server has accepted and *new* keys share one bucket. A key is new until the server accepts it.
//!
//! Anybody can make up keys, and they look like the key of a new tenant. So all new keys together get half of the
//! bucket, and half of the tokens that it gains: their *share*. The other half is for accepted keys. Each side may use
//! what the other one leaves:
//!
//! - Tokens that come while the accepted keys' half is full go to the new keys as well.
//! - Accepted keys take all tokens, except those that the share of new keys has gained while new keys wait.

use std::time::Duration;

use super::Bucket;

impl Bucket {
    /// Takes a token for a new key, or returns how long until there is one.
    pub(crate) fn take_behind(&mut self, now: Duration) -> Result<(), Duration> {
        match self.wait_behind(1, 0, now) {
            Duration::ZERO => {
                let share = self.share(now);
                self.spend(now);
                self.set_share(share.saturating_sub(self.budget.interval()), now);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Returns how long until new keys could have taken `tokens` more tokens. `ahead` creates and checks of accepted
    /// keys wait meanwhile.
    pub(crate) fn wait_behind(&self, tokens: usize, ahead: usize, now: Duration) -> Duration {
        let tokens = self.worth(tokens);
        let of_share = tokens.saturating_sub(self.share(now)) * 2;
        let of_rest = tokens + self.worth(ahead) + self.others_half();
        let of_rest = of_rest.saturating_sub(self.level(now));
        of_share
            .min(of_rest)
            .max(tokens.saturating_sub(self.level(now)))
    }

    /// Returns how long until accepted keys could have taken `tokens` more tokens. `behind` creates of new keys wait
    /// meanwhile.
    pub(crate) fn wait_ahead(&self, tokens: usize, behind: usize, now: Duration) -> Duration {
        let after_all = self.wait_for(tokens.saturating_add(behind), now);
        let after_share = self.worth(tokens) + self.share(now);
        after_all.min(after_share.saturating_sub(self.level(now)) * 2)
    }

    /// Returns how many tokens accepted keys leave to `waiting` creates of new keys.
    pub(super) fn left_to_share(&self, waiting: usize, now: Duration) -> u32 {
        let interval = self.budget.interval();
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        // The loop is short: the share is at most half of the burst.
        let has_come = (1..=waiting).take_while(|tokens| interval * *tokens <= self.share(now));
        has_come.last().unwrap_or(0)
    }

    /// Returns the tokens that new keys can take, as time: one token is worth the interval between two refills.
    pub(super) fn share(&self, now: Duration) -> Duration {
        let missing = self.share_full_at.saturating_sub(now) / 2;
        let own = self.half().saturating_sub(missing);
        own.max(self.level(now).saturating_sub(self.others_half()))
    }

    pub(super) fn set_share(&mut self, share: Duration, now: Duration) {
        self.share_full_at = now + self.half().saturating_sub(share) * 2;
    }

    /// Returns the new keys' half of the bucket, as time. It is one token at least: with a burst of one, new keys get
    /// every other token.
    fn half(&self) -> Duration {
        self.budget.interval() * (self.budget.burst / 2).max(1)
    }

    /// Returns the accepted keys' half of the bucket, as time.
    fn others_half(&self) -> Duration {
        self.budget.interval() * (self.budget.burst - self.budget.burst / 2)
    }

    fn worth(&self, tokens: usize) -> Duration {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        self.budget.interval().saturating_mul(tokens)
    }
}

#[cfg(test)]
#[allow(clippy::unchecked_time_subtraction)]
mod tests {
    use super::*;
    use crate::model::budget::{CallBudget, Purpose};

    const STEP: Duration = Duration::from_millis(100);

    /// Returns how many tokens accepted keys and new keys took from `from` on, for `seconds`. `accepted` and `new` say
    /// which of them ask for tokens at each step. A new key that gets none waits.
    fn taken(
        bucket: &mut Bucket,
        from: u64,
        seconds: u64,
        (accepted, new): (bool, bool),
    ) -> (u64, u64) {
        let (mut of_accepted, mut of_new, mut waiting) = (0, 0, 0);
        let start = Duration::from_secs(from);
        let mut now = start;
        while now < start + Duration::from_secs(seconds) {
            while accepted && bucket.take(Purpose::Create, waiting, now).is_ok() {
                of_accepted += 1;
            }
            while new && bucket.take_behind(now).is_ok() {
                of_new += 1;
            }
            waiting = if new { 100 } else { 0 };
            now += STEP;
        }
        (of_accepted, of_new)
    }

    fn bucket(burst: u32) -> Bucket {
        Bucket::new(CallBudget::new(60, burst).unwrap())
    }

    #[test]
    fn where_both_want_all_each_gets_half_of_what_comes() {
        for burst in [1, 2, 3, 8, 60] {
            let mut bucket = bucket(burst);
            taken(&mut bucket, 0, 60, (true, true));
            let (accepted, new) = taken(&mut bucket, 60, 600, (true, true));
            assert!((298..=302).contains(&accepted), "{burst}: {accepted} {new}");
            assert!((298..=302).contains(&new), "{burst}: {accepted} {new}");
        }
    }

    #[test]
    fn each_may_use_what_the_other_leaves() {
        for burst in [2, 3, 8, 60] {
            let all = 600 + u64::from(burst);
            let (accepted, _) = taken(&mut bucket(burst), 0, 600, (true, false));
            assert!(accepted + 1 >= all, "{burst}: {accepted}");
            let (_, new) = taken(&mut bucket(burst), 0, 600, (false, true));
            let half = u64::from(burst - burst / 2);
            assert!(new + half + 1 >= all, "{burst}: {new}");
        }
    }

    #[test]
    fn the_reserve_of_new_keys_fills_with_what_others_leave() {
        let mut bucket = bucket(60);
        let now = Duration::ZERO;
        let new = (0..60).take_while(|_| bucket.take_behind(now).is_ok());
        assert_eq!(new.count(), 30);
        // If the share got only half of the tokens that come, it would be half full now.
        let now = Duration::from_secs(30);
        let accepted = (0..60).take_while(|_| bucket.take(Purpose::Create, 100, now).is_ok());
        assert_eq!(accepted.count(), 30);
    }

    #[test]
    fn new_keys_leave_half_to_who_has_been_idle_however_long_they_have_taken() {
        let mut bucket = bucket(60);
        taken(&mut bucket, 0, 600, (false, true));
        let now = Duration::from_secs(600);
        let accepted = (0..60).filter(|_| bucket.take(Purpose::Create, 100, now).is_ok());
        assert!(accepted.count() >= 30);
    }

    #[test]
    fn a_new_key_comes_with_the_next_two_tokens_however_busy_the_others_are() {
        for burst in [1, 2, 60] {
            let mut bucket = bucket(burst);
            taken(&mut bucket, 0, 600, (true, false));
            let mut now = Duration::from_secs(600);
            let wait = bucket.wait_behind(1, 100, now);
            assert!(wait <= Duration::from_secs(2), "{burst}: {wait:?}");
            while bucket.take_behind(now).is_err() {
                now += STEP;
                while bucket.take(Purpose::Create, 1, now).is_ok() {}
            }
            let took = now - Duration::from_secs(600);
            assert!(took <= Duration::from_millis(2_100), "{burst}: {took:?}");
        }
    }

    #[test]
    fn whoever_takes_them_there_are_no_more_tokens_than_the_bound() {
        for seed in 0..40 {
            let mut random = fastrand::Rng::with_seed(seed);
            let budget = CallBudget::new(60, random.u32(1..12)).unwrap();
            let (mut bucket, mut at, mut now) = (Bucket::new(budget), Vec::new(), Duration::ZERO);
            for _ in 0..400 {
                let waiting = random.usize(0..4);
                let taken = match random.u8(0..4) {
                    0 => bucket.take(Purpose::Delete, waiting, now),
                    1 => bucket.take(Purpose::Create, waiting, now),
                    _ => bucket.take_behind(now),
                };
                at.extend(taken.is_ok().then_some(now));
                now += Duration::from_millis(random.u64(0..700));
            }
            assert!(at.len() > 80, "{seed}: {}", at.len());
            for (i, start) in at.iter().enumerate() {
                for (j, end) in at.iter().enumerate().skip(i) {
                    let calls = (j - i + 1) as u64;
                    assert!(calls <= budget.bound(*end - *start), "{seed}");
                }
            }
        }
    }

    #[test]
    fn the_wait_that_is_named_is_enough_and_no_longer_than_needed() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut bucket = bucket(random.u32(1..12));
            let mut now = Duration::ZERO;
            for _ in 0..100 {
                now += Duration::from_millis(random.u64(0..900));
                let Err(wait) = bucket.take_behind(now) else {
                    let _ = bucket.take(Purpose::Create, 0, now);
                    continue;
                };
                let nearly = now + wait - Duration::from_nanos(2);
                assert!(bucket.take_behind(nearly).is_err(), "{seed}");
                now += wait;
                assert!(bucket.take_behind(now).is_ok(), "{seed}");
            }
        }
    }
}
