//! The limit on *upkeep*: the checks and deletes of one API key in a day. Creates are not limited here, only by the
//! server's own quota.
//!
//! Checks, deletes and creates count against the same daily quota of the key. Requests need the creates most, so checks
//! and deletes stop earlier. Other processes may use the same key. So the server is asked for its own count now and
//! then, with `GET /v1/billing/usage`.

use std::{collections::BTreeMap, time::Duration};

use super::{Clearance, Gate};
use crate::{
    api::Quota,
    clock::Reading,
    error::{Error, ErrorKind},
    model::{
        budget::Purpose,
        partition::{KeyId, Partition},
    },
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the server's count is believed. After that it may have changed: the server may have restarted, or the key
/// may have got a larger quota.
const BELIEVED: Duration = Duration::from_secs(60 * 60);
const TIDY_AT: usize = 64;

/// The checks and deletes of a day, by key.
#[derive(Clone, Debug)]
pub(super) struct Upkeep {
    limit: u32,
    keys: BTreeMap<KeyId, Day>,
    tidy_at: usize,
}

/// The checks and deletes with one key in a day. The day begins with the first of them.
#[derive(Clone, Copy, Debug)]
struct Day {
    began: Reading,
    calls: u32,
    /// The number of calls at which the server is asked for its count.
    ask_at: u32,
    /// When the server said that little is left of the quota until midnight.
    scarce: Option<Reading>,
    /// When the server was last asked for its own count.
    asked: Option<Reading>,
}

impl Day {
    fn new(began: Reading, limit: u32) -> Self {
        Self {
            began,
            calls: 0,
            ask_at: (limit / 10).max(1),
            scarce: None,
            asked: None,
        }
    }

    /// Returns for how long this process may make no check or delete with the key, because its own limit is used up.
    fn used_up_for(&self, limit: u32, now: Reading) -> Duration {
        let is_used_up = self.calls >= limit;
        let left = is_used_up.then(|| DAY.saturating_sub(now.since(self.began)));
        left.unwrap_or_default()
    }

    /// Returns for how long no check or delete may be made, because little is left of the key's quota. The quota resets
    /// at midnight.
    fn scarce_for(&self, now: Reading) -> Duration {
        let left = self.scarce.map(|at| {
            let of_day = Duration::from_secs(at.wall.as_secs() % DAY.as_secs());
            DAY.saturating_sub(of_day.saturating_add(now.since(at)))
        });
        left.unwrap_or_default()
    }

    /// Returns whether this day still holds back calls or counts them.
    fn is_on(&self, now: Reading) -> bool {
        now.since(self.began) < DAY || !self.scarce_for(now).is_zero()
    }
}

impl Upkeep {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            keys: BTreeMap::new(),
            tidy_at: TIDY_AT,
        }
    }

    fn count(&mut self, key: KeyId, now: Reading) {
        if self.keys.len() >= self.tidy_at {
            self.keys.retain(|_, day| day.is_on(now));
            self.tidy_at = 2 * self.keys.len().max(TIDY_AT / 2);
        }
        let new = Day::new(now, self.limit);
        let day = self.keys.entry(key).or_insert(new);
        if now.since(day.began) >= DAY {
            *day = new;
        }
        day.calls = day.calls.saturating_add(1);
    }

    /// Returns whether to ask the server for its count. That is due once the calls reach a tenth of the limit, and each
    /// time they have doubled since. While little is left of the quota, it is also due once an hour.
    fn is_to_ask(&mut self, key: KeyId, now: Reading) -> bool {
        let Some(day) = self.keys.get_mut(&key) else {
            return false;
        };
        let is_old = |asked| now.since(asked) >= BELIEVED;
        let is_due = day.calls >= day.ask_at;
        if is_due {
            day.ask_at = day.ask_at.saturating_mul(2);
        }
        let is_due = is_due || (day.scarce.is_some() && day.asked.is_none_or(is_old));
        if is_due {
            day.asked = Some(now);
        }
        is_due
    }

    /// Notes the server's own count of today's calls with this key.
    fn heed(&mut self, key: KeyId, quota: Quota, now: Reading) {
        if let Some(day) = self.keys.get_mut(&key) {
            day.scarce = quota.is_nearly_used_up().then_some(now);
        }
    }

    /// Forgets that little is left of the quota. The server may have begun to count anew, or the key may have got a
    /// larger quota.
    fn forgive(&mut self, key: KeyId) -> bool {
        let day = self.keys.get_mut(&key);
        day.is_some_and(|day| day.scarce.take().is_some())
    }

    /// Returns how long until a check or delete may be made with this key. Returns `None` if one may be made now.
    fn spent_for(&self, key: KeyId, now: Reading) -> Option<Duration> {
        let Some(day) = self.keys.get(&key) else {
            return (self.limit == 0).then_some(DAY);
        };
        let wait = day.used_up_for(self.limit, now).max(day.scarce_for(now));
        (!wait.is_zero()).then_some(wait)
    }

    fn is_scarce(&self, key: KeyId, now: Reading) -> bool {
        let day = self.keys.get(&key);
        day.is_some_and(|day| day.scarce_for(now) > day.used_up_for(self.limit, now))
    }
}

impl<W: Clone> Gate<W> {
    /// Counts a granted call, if it is a check or a delete.
    pub(super) fn count_upkeep(&mut self, key: KeyId, purpose: Purpose, now: Reading) {
        if matches!(
            purpose,
            Purpose::Check | Purpose::Delete | Purpose::LastDelete
        ) {
            self.upkeep.count(key, now);
        }
    }

    /// Returns how long a check has to wait, if none may be made.
    pub(super) fn wait_for_upkeep(
        &self,
        partition: &Partition,
        purpose: Purpose,
        now: Reading,
    ) -> Option<Clearance> {
        if purpose != Purpose::Check {
            return None;
        }
        let error = self.out_of_upkeep(partition, now)?;
        Some(Clearance::Wait(error.retry_after()?, error))
    }

    /// Returns why no check and no delete may be made for this key any more today. Deletes at shutdown are still made.
    pub(crate) fn out_of_upkeep(&self, partition: &Partition, now: Reading) -> Option<Error> {
        let left = self.upkeep.spent_for(partition.key_id, now)?;
        let text = if self.upkeep.is_scarce(partition.key_id, now) {
            "three quarters of the key's calls for today are used up; the rest is kept for creates"
                .to_owned()
        } else {
            let limit = self.upkeep.limit;
            format!("the key's {limit} checks and deletes for today are used up")
        };
        Some(Error::new(ErrorKind::Budget, text).with_retry_after(left))
    }

    /// Returns whether to ask the server now how much of the day's quota this key has left.
    pub(crate) fn asks_for_quota(&mut self, key: KeyId, now: Reading) -> bool {
        self.upkeep.is_to_ask(key, now)
    }

    /// Allows checks and deletes again, whatever the server's last count was. Returns whether that count held them
    /// back.
    pub(super) fn clear_quota(&mut self, key: KeyId) -> bool {
        self.upkeep.forgive(key)
    }

    /// Records the server's own count of today's calls with this key.
    pub(crate) fn heed_quota(&mut self, key: KeyId, quota: Quota, now: Reading) {
        self.upkeep.heed(key, quota, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> Reading {
        let time = Duration::from_secs(hours * 3_600);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn a_key_has_so_many_in_a_day_and_each_key_its_own() {
        let (mut upkeep, one, two) = (Upkeep::new(2), KeyId::of("one"), KeyId::of("two"));
        upkeep.count(one, at(100));
        assert_eq!(upkeep.spent_for(one, at(101)), None);
        upkeep.count(one, at(110));
        assert_eq!(upkeep.spent_for(one, at(110)), Some(14 * DAY / 24));
        assert_eq!(upkeep.spent_for(two, at(110)), None);
        assert_eq!(upkeep.spent_for(one, at(124)), None);
        upkeep.count(one, at(124));
        assert_eq!(upkeep.spent_for(one, at(124)), None, "a new day");
    }

    #[test]
    fn the_server_is_asked_ever_more_seldom() {
        let (mut upkeep, key) = (Upkeep::new(500), KeyId::of("one"));
        let mut asked = Vec::new();
        for call in 1..=500 {
            upkeep.count(key, at(100));
            if upkeep.is_to_ask(key, at(100)) {
                asked.push(call);
            }
        }
        assert_eq!(asked, [50, 100, 200, 400]);
    }

    #[test]
    fn the_last_quarter_of_a_keys_day_is_left_to_creates_until_midnight() {
        let (mut upkeep, key) = (Upkeep::new(500), KeyId::of("one"));
        // 04:00 on the fifth day.
        upkeep.count(key, at(100));
        let quota = |used| Quota { used, of: 2_000 };
        upkeep.heed(key, quota(1_500), at(100));
        assert_eq!(upkeep.spent_for(key, at(100)), None);
        upkeep.heed(key, quota(1_501), at(100));
        assert_eq!(upkeep.spent_for(key, at(100)), Some(20 * DAY / 24));
        assert_eq!(upkeep.spent_for(key, at(119)), Some(DAY / 24));
        assert_eq!(upkeep.spent_for(key, at(120)), None, "midnight");
        assert_eq!(upkeep.spent_for(KeyId::of("two"), at(100)), None);
        upkeep.heed(key, quota(3), at(101));
        assert_eq!(upkeep.spent_for(key, at(101)), None, "it has restarted");
    }

    #[test]
    fn while_little_is_left_the_server_is_asked_each_hour_though_nothing_else_is() {
        let (mut upkeep, key) = (Upkeep::new(500), KeyId::of("one"));
        upkeep.count(key, at(100));
        assert!(!upkeep.is_to_ask(key, at(100)));
        let quota = |used| Quota { used, of: 2_000 };
        upkeep.heed(key, quota(1_900), at(100));
        let asked = (100..104).filter(|hour| upkeep.is_to_ask(key, at(*hour)));
        assert_eq!(asked.collect::<Vec<_>>(), [100, 101, 102, 103]);
        assert!(!upkeep.is_to_ask(key, at(103)));
        upkeep.heed(key, quota(3), at(103));
        assert!(!upkeep.is_to_ask(key, at(110)));
        upkeep.heed(key, quota(1_900), at(110));
        assert!(upkeep.forgive(key) && !upkeep.forgive(key));
        assert_eq!(upkeep.spent_for(key, at(110)), None);
    }

    #[test]
    fn with_a_limit_of_0_there_are_none() {
        let upkeep = Upkeep::new(0);
        assert_eq!(upkeep.spent_for(KeyId::of("one"), at(1)), Some(DAY));
    }

    #[test]
    fn keys_of_another_day_are_forgotten() {
        let mut upkeep = Upkeep::new(2);
        for number in 0..1_000 {
            upkeep.count(KeyId::of(&number.to_string()), at(number));
        }
        assert!(upkeep.keys.len() <= TIDY_AT, "{}", upkeep.keys.len());
    }
}
