//! API keys that a gateway in front of the server refuses while it lets other keys through.
//!
//! A gateway's error may mean an outage, or concern one key only: a limit, a block, a route. If another key gets an
//! answer after the error, it is the key's *own trouble*. From then on it holds back that key alone, until a call of
//! the key is answered.

use std::{collections::BTreeMap, time::Duration};

use super::Gate;
use crate::{clock::Reading, model::partition::KeyId};

/// How long a gateway's refusal is remembered.
const REMEMBER: Duration = Duration::from_secs(10 * 60);
const TIDY_AT: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Refusal {
    at: Reading,
    /// Whether another key was answered after a refusal of this key, so that the trouble is the key's own.
    is_own: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Gateway {
    keys: BTreeMap<KeyId, Refusal>,
    tidy_at: usize,
}

impl Gateway {
    fn refused(&mut self, key: KeyId, answered: Option<Reading>, now: Reading) -> bool {
        if self.keys.len() >= self.tidy_at.max(TIDY_AT) {
            self.keys.retain(|_, refusal| is_recent(refusal, now));
            self.tidy_at = 2 * self.keys.len();
        }
        let before = self
            .keys
            .get(&key)
            .filter(|refusal| is_recent(refusal, now));
        let is_own = before.is_some_and(|before| is_own(before, answered));
        self.keys.insert(key, Refusal { at: now, is_own });
        is_own
    }
}

fn is_recent(refusal: &Refusal, now: Reading) -> bool {
    now.since(refusal.at) < REMEMBER
}

fn is_own(refusal: &Refusal, answered: Option<Reading>) -> bool {
    let answered_since = |answered: Reading| answered.monotonic >= refusal.at.monotonic;
    refusal.is_own || answered.is_some_and(answered_since)
}

impl<W: Clone> Gate<W> {
    /// Records that a gateway refused this key. The server last answered any key at `answered`. Returns whether the
    /// refusal is the key's own trouble.
    pub(crate) fn refused_by_gateway(
        &mut self,
        key: KeyId,
        answered: Option<Reading>,
        now: Reading,
    ) -> bool {
        self.gateway.refused(key, answered, now)
    }

    /// Returns whether the gateway's last refusal was this key's own trouble.
    pub(crate) fn has_own_trouble(&self, key: KeyId, answered: Option<Reading>) -> bool {
        let refusal = self.gateway.keys.get(&key);
        refusal.is_some_and(|refusal| is_own(refusal, answered))
    }

    /// Records that a call of this key was answered.
    pub(crate) fn let_through(&mut self, key: KeyId) {
        self.gateway.keys.remove(&key);
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
    fn it_is_a_keys_own_trouble_once_others_were_answered_and_until_the_key_is() {
        let (mut gateway, key) = (Gateway::default(), KeyId::of("k"));
        let mut refused =
            |answered: Option<u64>, now| gateway.refused(key, answered.map(at), at(now));
        assert!(!refused(None, 100));
        assert!(!refused(Some(99), 101), "before it");
        assert!(refused(Some(101), 102));
        assert!(refused(Some(101), 103), "and stays so");
        assert!(!refused(Some(101), 103 + 600), "until it is old");
    }

    #[test]
    fn keys_that_were_refused_long_ago_are_forgotten() {
        let mut gateway = Gateway::default();
        for number in 0..1_000 {
            let key = KeyId::of(&number.to_string());
            gateway.refused(key, None, at(number * 60));
        }
        assert!(gateway.keys.len() <= TIDY_AT, "{}", gateway.keys.len());
    }
}
