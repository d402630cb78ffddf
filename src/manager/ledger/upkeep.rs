//! How many checks and deletes one API key may cost in a day. Creates are not limited here: the server's own quota ends them.
//!
//! Checks and deletes count against the same quota of the key as creates do, and a request needs a create more.

use std::{collections::HashMap, time::Duration};

use super::{Clearance, Ledger};
use crate::{
    clock::Reading,
    error::{Error, ErrorKind},
    manager::{
        budget::Purpose,
        partition::{KeyId, Partition},
    },
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TIDY_AT: usize = 64;

/// The calls of a day that are not creates, by key. A day begins with a key's first such call.
#[derive(Debug)]
pub(super) struct Upkeep {
    limit: u32,
    keys: HashMap<KeyId, (Reading, u32)>,
    tidy_at: usize,
}

impl Upkeep {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            keys: HashMap::new(),
            tidy_at: TIDY_AT,
        }
    }

    fn count(&mut self, key: KeyId, now: Reading) {
        if self.keys.len() >= self.tidy_at {
            self.keys.retain(|_, (began, _)| now.since(*began) < DAY);
            self.tidy_at = 2 * self.keys.len().max(TIDY_AT / 2);
        }
        let day = self.keys.entry(key).or_insert((now, 0));
        if now.since(day.0) >= DAY {
            *day = (now, 0);
        }
        day.1 = day.1.saturating_add(1);
    }

    /// How long until another may be made, if none may now.
    fn spent_for(&self, key: KeyId, now: Reading) -> Option<Duration> {
        let Some((began, calls)) = self.keys.get(&key) else {
            return (self.limit == 0).then_some(DAY);
        };
        let left = DAY.saturating_sub(now.since(*began));
        (*calls >= self.limit && !left.is_zero()).then_some(left)
    }
}

impl Ledger {
    /// A call was granted.
    pub(super) fn count_upkeep(&mut self, key: KeyId, purpose: Purpose, now: Reading) {
        if matches!(
            purpose,
            Purpose::Check | Purpose::Delete | Purpose::LastDelete
        ) {
            self.upkeep.count(key, now);
        }
    }

    /// Of a check, if none may be made.
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

    /// Why no check and no delete may be made for this key any more today, if that is so. Those of a shutdown may.
    pub(crate) fn out_of_upkeep(&self, partition: &Partition, now: Reading) -> Option<Error> {
        let left = self.upkeep.spent_for(partition.key_id, now)?;
        let limit = self.upkeep.limit;
        let text = format!("the key's {limit} checks and deletes of a day are used up");
        Some(Error::new(ErrorKind::Budget, text).with_retry_after(left))
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
