//! The *known* API keys: those that the server has accepted, and the manager's own key. Only these keys may use the
//! fleet's store, since anybody can make up others.
//!
//! A key stays known if the server refuses it later. So the processes of a fleet still learn through the store of one
//! another's tries with it.

use std::{collections::BTreeMap, time::Duration};

use super::cooldown::REMEMBER;
use crate::{
    clock::Reading,
    model::{failure, partition::KeyId},
};

/// How long a key is known after its last use here or by another process of the fleet. None of its sessions lives
/// longer.
const KNOWN_FOR: Duration = Duration::from_secs(48 * 60 * 60);
const TIDY_AT: usize = 64;

/// The keys that the server has accepted, and the manager's own key.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownKeys {
    /// The manager's own key, which is never forgotten.
    own: Option<KeyId>,
    others: BTreeMap<KeyId, Known>,
    tidy_at: usize,
}

#[derive(Clone, Debug)]
struct Known {
    used: Reading,
    /// How long other processes of the fleet wait after a failure with the key, and when this process saw that.
    pause: Option<(Duration, Reading)>,
}

impl KnownKeys {
    /// Sets the manager's own key.
    pub(crate) fn own(&mut self, key: Option<KeyId>) {
        self.own = key;
    }

    pub(crate) fn accept(&mut self, key: KeyId, now: Reading) {
        if self.others.len() >= self.tidy_at.max(TIDY_AT) {
            self.others
                .retain(|_, known| now.since(known.used) < KNOWN_FOR);
            self.tidy_at = 2 * self.others.len();
        }
        let known = self.others.entry(key).or_insert(Known {
            used: now,
            pause: None,
        });
        known.used = now;
    }

    /// Returns whether no key is known yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_none() && self.others.is_empty()
    }

    pub(crate) fn is_own(&self, key: KeyId) -> bool {
        self.own == Some(key)
    }

    pub(crate) fn is_accepted(&self, key: KeyId) -> bool {
        self.own == Some(key) || self.others.contains_key(&key)
    }

    /// Records that another process of the fleet has failed with this key, and that no process may try it for `left`.
    pub(crate) fn paused_elsewhere(&mut self, key: KeyId, left: Duration, now: Reading) {
        self.accept(key, now);
        if let Some(known) = self.others.get_mut(&key) {
            let before = known
                .pause
                .filter(|(pause, at)| is_recent(*pause, *at, now));
            let longest = before.map_or(left, |(pause, _)| pause.max(left));
            known.pause = Some((longest, now));
        }
    }

    /// Returns how many times in a row other processes of the fleet were refused the key. The number follows from how
    /// long they wait.
    pub(crate) fn refusals_elsewhere(&self, key: KeyId, now: Reading) -> u32 {
        let pause = self.others.get(&key).and_then(|known| known.pause);
        let pause = pause.filter(|(pause, at)| is_recent(*pause, *at, now));
        pause.map_or(0, |(pause, _)| failure::refusals_before(pause))
    }

    /// Records that a create with this key has succeeded, so other processes need not wait any longer.
    pub(crate) fn succeeded(&mut self, key: KeyId, now: Reading) {
        self.accept(key, now);
        self.forgive(key);
    }

    /// Forgets how long other processes wait.
    pub(crate) fn forgive(&mut self, key: KeyId) {
        if let Some(known) = self.others.get_mut(&key) {
            known.pause = None;
        }
    }
}

fn is_recent(pause: Duration, at: Reading, now: Reading) -> bool {
    now.since(at) <= pause.saturating_add(REMEMBER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: Duration) -> Reading {
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    fn key(number: usize) -> KeyId {
        KeyId::of(&number.to_string())
    }

    #[test]
    fn keys_that_were_not_used_for_two_days_are_forgotten_but_for_the_managers_own() {
        let mut keys = KnownKeys::default();
        keys.own(Some(key(0)));
        for number in 0..1_000 {
            keys.accept(key(number), at(Duration::ZERO));
        }
        keys.accept(key(1), at(KNOWN_FOR / 2));
        for number in 0..2_000 {
            keys.accept(key(10_000 + number), at(KNOWN_FOR));
        }
        let known = (0..1_000).filter(|number| keys.is_accepted(key(*number)));
        assert_eq!(known.collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn how_often_others_were_refused_is_seen_by_how_long_they_wait_until_that_is_old() {
        let (mut keys, key, minute) = (KnownKeys::default(), key(0), Duration::from_secs(60));
        assert_eq!(keys.refusals_elsewhere(key, at(minute)), 0);
        keys.paused_elsewhere(key, minute * 2, at(minute));
        keys.paused_elsewhere(key, minute, at(minute * 2));
        assert_eq!(keys.refusals_elsewhere(key, at(minute * 3)), 3);
        assert_eq!(keys.refusals_elsewhere(key, at(minute * 60)), 0);
        keys.succeeded(key, at(minute * 4));
        assert_eq!(keys.refusals_elsewhere(key, at(minute * 4)), 0);
    }
}
