//! Which slots of the store cannot be reached. The store counts as down from the first failure until no failing slot
//! is left.
//!
//! A store may be spread over several machines. A part that is down says nothing about the other parts.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{clock::Reading, lock::Lock, store::Slot};

/// How long a failed slot counts as failing if nothing asks for it again.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// How many slots are remembered as failing.
const MOST: usize = 1024;

/// What a step does to the store. A full store, or a replica, answers reads and refuses writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    kind: Kind,
    at: Reading,
}

#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Checked first, so that the lock is not taken while nothing fails.
    is_down: AtomicBool,
    /// The last failure of each slot. `None` is the slot of the defaults.
    failing: Lock<HashMap<Option<Slot>, Failure>>,
}

impl Outage {
    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    /// Returns whether this slot has failed and not answered since.
    pub(super) fn is_at(&self, slot: Slot) -> bool {
        let is_failing = || self.failing.lock().contains_key(&Some(slot));
        self.is_down() && is_failing()
    }

    /// Notes that a step failed. Returns whether the store counts as down from now on and did not before.
    pub(super) fn failed(&self, slot: Option<Slot>, kind: Kind, now: Reading) -> bool {
        let mut failing = self.failing.lock();
        if failing.len() >= MOST {
            forget(&mut failing, now);
        }
        if failing.len() < MOST {
            let before = failing.get(&slot).map_or(kind, |failure| failure.kind);
            let kind = kind.max(before);
            failing.insert(slot, Failure { kind, at: now });
        }
        !self.is_down.swap(true, Ordering::AcqRel)
    }

    /// Notes that a step succeeded. Returns whether the store counts as up from now on and did not before. A successful
    /// read does not clear a failed write.
    pub(super) fn answered(&self, slot: Option<Slot>, kind: Kind, now: Reading) -> bool {
        if !self.is_down() {
            return false;
        }
        let mut failing = self.failing.lock();
        if failing
            .get(&slot)
            .is_some_and(|failure| failure.kind <= kind)
        {
            failing.remove(&slot);
        }
        forget(&mut failing, now);
        failing.is_empty() && self.is_down.swap(false, Ordering::AcqRel)
    }
}

fn forget(failing: &mut HashMap<Option<Slot>, Failure>, now: Reading) {
    failing.retain(|_, failure| now.since(failure.at) < FORGOTTEN);
}

#[cfg(test)]
mod tests {
    use super::{
        Kind::{Read, Write},
        *,
    };

    const ONE: Option<Slot> = Some(Slot([1; 16]));
    const OTHER: Option<Slot> = Some(Slot([2; 16]));

    fn at(seconds: u64) -> Reading {
        let time = Duration::from_secs(seconds);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn the_first_failure_is_down_and_the_last_one_that_ends_is_up() {
        let outage = Outage::default();
        assert!(!outage.answered(ONE, Write, at(0)), "it was never down");
        assert!(outage.failed(ONE, Write, at(1)));
        assert!(!outage.failed(OTHER, Write, at(2)), "it is down already");
        assert!(outage.is_at(Slot([1; 16])) && outage.is_at(Slot([2; 16])));
        assert!(!outage.answered(ONE, Write, at(3)), "the other still fails");
        assert!(!outage.is_at(Slot([1; 16])) && outage.is_at(Slot([2; 16])));
        assert!(!outage.failed(OTHER, Write, at(4)));
        assert!(outage.answered(OTHER, Write, at(5)));
        assert!(!outage.answered(ONE, Write, at(6)));
    }

    #[test]
    fn a_read_says_nothing_of_writes() {
        let outage = Outage::default();
        assert!(outage.failed(ONE, Write, at(1)));
        assert!(!outage.answered(ONE, Read, at(2)));
        assert!(!outage.failed(ONE, Read, at(3)));
        assert!(!outage.answered(ONE, Read, at(4)), "writes failed as well");
        assert!(outage.answered(ONE, Write, at(5)));
        assert!(outage.failed(ONE, Read, at(6)));
        assert!(outage.answered(ONE, Read, at(7)));
    }

    #[test]
    fn a_slot_that_nobody_asks_for_any_more_does_not_keep_it_down() {
        let outage = Outage::default();
        assert!(outage.failed(ONE, Write, at(0)));
        assert!(!outage.answered(OTHER, Write, at(59)));
        assert!(outage.answered(OTHER, Write, at(60)));
    }

    #[test]
    fn a_flood_of_failing_slots_is_not_remembered() {
        let outage = Outage::default();
        for number in 0..3000_u32 {
            let mut slot = [0; 16];
            slot[..4].copy_from_slice(&number.to_be_bytes());
            outage.failed(Some(Slot(slot)), Write, at(u64::from(number / 1500) * 30));
        }
        assert_eq!(outage.failing.lock().len(), MOST);
        assert!(outage.answered(ONE, Write, at(90)));
    }
}
