//! Decides when to read which slot of the store. A slot is the store's place for one session, that of an API key with
//! one set of defaults. Each slot has a time of its own, so a slot that fails or hangs delays no other.
//!
//! Reading a slot is named a *look*.
//!
//! Slots for which the store has announced a change come first, then other slots that are due, then slots that failed
//! at the last look.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::store::Slot;

/// How soon a slot that failed is looked at again.
const RETRY: Duration = Duration::from_secs(2);
/// How many failing slots are looked at at once at most, so that there is always room for others.
const FAILING_AT_ONCE: usize = 256;
/// How many announced slots may be looked at at once, even if there is no room for other looks.
const TOLD_AT_ONCE: usize = 64;

/// The times of all slots. All times are monotonic.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    entries: BTreeMap<Slot, Entry>,
    /// Slots for which the store has announced a change, or that have a change to write.
    told: Queue,
    regular: Queue,
    failing: Queue,
}

/// Slots of one rank.
#[derive(Debug, Default)]
struct Queue {
    /// When each slot is due, the next due slot first.
    due: BTreeSet<(Duration, Slot)>,
    /// How many slots of this rank are being looked at.
    under_way: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    state: State,
    rank: Rank,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Due(Duration),
    /// The slot is being looked at. If another look was requested meanwhile, the value says when it is due, and its
    /// rank.
    UnderWay(Option<(Duration, Rank)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The store has announced a change, or this process has a change to write.
    Told,
    Regular,
    /// The slot failed at the last look.
    Failing,
}

impl Queue {
    fn first(&self, now: Duration) -> Option<Slot> {
        let (_, slot) = self.due.first().filter(|(at, _)| *at <= now)?;
        Some(*slot)
    }

    fn next_at(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }
}

impl Schedule {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets the slots. New ones are due at once. Those for which `is_failing` returns `true` come after all others.
    pub(crate) fn set(
        &mut self,
        slots: &BTreeSet<Slot>,
        now: Duration,
        is_failing: impl Fn(Slot) -> bool,
    ) {
        let is_gone = |(slot, entry): (&Slot, &Entry)| {
            let is_due = matches!(entry.state, State::Due(_));
            (is_due && !slots.contains(slot)).then_some(*slot)
        };
        let gone: Vec<_> = self.entries.iter().filter_map(is_gone).collect();
        for slot in gone {
            self.take(slot);
        }
        for slot in slots {
            if !self.entries.contains_key(slot) {
                self.put(*slot, now, rank(is_failing(*slot)));
            }
        }
    }

    /// Makes an announced slot due at `at` at the latest, before others. Returns whether the slot is known here.
    pub(crate) fn announced(&mut self, slot: Slot, at: Duration) -> bool {
        self.hurry(slot, at, Rank::Told)
    }

    /// Makes all slots due at `at` at the latest.
    pub(crate) fn hurry_all(&mut self, at: Duration) {
        let slots: Vec<_> = self.entries.keys().copied().collect();
        for slot in slots {
            self.hurry(slot, at, Rank::Regular);
        }
    }

    fn hurry(&mut self, slot: Slot, at: Duration, rank: Rank) -> bool {
        let Some(entry) = self.entries.get_mut(&slot) else {
            return false;
        };
        match &mut entry.state {
            State::UnderWay(again) => {
                let (before, other) = again.unwrap_or((at, rank));
                *again = Some((before.min(at), other.min(rank)));
            }
            State::Due(due) => {
                let at = at.min(*due);
                // An announcement does not say whether the slot can be reached, so a failing slot keeps its rank.
                let rank = if entry.rank == Rank::Failing {
                    entry.rank
                } else {
                    rank.min(entry.rank)
                };
                self.take(slot);
                self.put(slot, at, rank);
            }
        }
        true
    }

    /// Takes out the slot to look at now. `has_room` says whether there is room for another look. Without room, only a
    /// few announced slots are taken.
    pub(crate) fn next(&mut self, now: Duration, has_room: bool) -> Option<Slot> {
        let is_urgent = self.told.under_way < TOLD_AT_ONCE;
        let told = || self.told.first(now).filter(|_| has_room || is_urgent);
        let regular = || self.regular.first(now).filter(|_| has_room);
        let may_fail = has_room && self.failing.under_way < FAILING_AT_ONCE;
        let failing = || self.failing.first(now).filter(|_| may_fail);
        let slot = told().or_else(regular).or_else(failing)?;
        let Entry { rank, .. } = self.take(slot)?;
        self.queue(rank).under_way += 1;
        let state = State::UnderWay(None);
        self.entries.insert(slot, Entry { state, rank });
        Some(slot)
    }

    /// Returns for how long the slot that is due longest has been overdue. Failing slots may wait, so they do not
    /// count.
    pub(crate) fn late(&self, now: Duration) -> Duration {
        let next = self
            .told
            .next_at()
            .into_iter()
            .chain(self.regular.next_at());
        next.min()
            .map_or(Duration::ZERO, |at| now.saturating_sub(at))
    }

    /// Returns how long until the next slot is due.
    pub(crate) fn wait(&self, now: Duration) -> Option<Duration> {
        let queues = [&self.told, &self.regular, &self.failing];
        let next = queues.into_iter().filter_map(Queue::next_at).min()?;
        Some(next.saturating_sub(now))
    }

    /// Records that a slot was looked at. The next look is after `interval`, or sooner if this one failed.
    pub(crate) fn done(&mut self, slot: Slot, is_ok: bool, now: Duration, interval: Duration) {
        let Some(entry) = self.entries.remove(&slot) else {
            return;
        };
        self.queue(entry.rank).under_way -= 1;
        let wait = if is_ok { interval } else { RETRY.min(interval) };
        let at = now.saturating_add(wait);
        self.put(slot, at, rank(!is_ok));
        if let State::UnderWay(Some((again, rank))) = entry.state {
            self.hurry(slot, again, rank);
        }
    }

    fn put(&mut self, slot: Slot, at: Duration, rank: Rank) {
        let state = State::Due(at);
        self.entries.insert(slot, Entry { state, rank });
        self.queue(rank).due.insert((at, slot));
    }

    fn take(&mut self, slot: Slot) -> Option<Entry> {
        let entry = self.entries.remove(&slot)?;
        if let State::Due(at) = entry.state {
            self.queue(entry.rank).due.remove(&(at, slot));
        }
        Some(entry)
    }

    fn queue(&mut self, rank: Rank) -> &mut Queue {
        match rank {
            Rank::Told => &mut self.told,
            Rank::Regular => &mut self.regular,
            Rank::Failing => &mut self.failing,
        }
    }
}

fn rank(is_failing: bool) -> Rank {
    if is_failing {
        Rank::Failing
    } else {
        Rank::Regular
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn slot(number: u8) -> Slot {
        Slot([number; 16])
    }

    fn schedule(slots: std::ops::Range<u8>) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.set(&slots.map(slot).collect(), at(0), |_| false);
        schedule
    }

    #[test]
    fn each_slot_is_looked_at_at_once_and_then_after_the_interval() {
        let mut schedule = schedule(0..2);
        assert_eq!(schedule.next(at(0), true), Some(slot(0)));
        assert_eq!(schedule.next(at(0), true), Some(slot(1)));
        assert_eq!(schedule.next(at(100), true), None, "both are under way");
        schedule.done(slot(1), true, at(1), INTERVAL);
        assert_eq!(schedule.wait(at(1)), Some(INTERVAL));
        assert_eq!(schedule.next(at(10), true), None);
        assert_eq!(schedule.next(at(11), true), Some(slot(1)));
    }

    #[test]
    fn one_that_fails_is_tried_again_sooner_until_it_does_not() {
        let mut schedule = schedule(0..1);
        assert_eq!(schedule.next(at(0), true), Some(slot(0)));
        schedule.done(slot(0), false, at(0), INTERVAL);
        assert_eq!(schedule.wait(at(0)), Some(RETRY));
        assert_eq!(schedule.next(at(2), true), Some(slot(0)));
        schedule.done(slot(0), true, at(2), INTERVAL);
        assert_eq!(schedule.wait(at(2)), Some(INTERVAL));
    }

    /// Takes out all slots that may be looked at.
    fn all(schedule: &mut Schedule, now: Duration, has_room: bool) -> Vec<Slot> {
        std::iter::from_fn(|| schedule.next(now, has_room)).collect()
    }

    #[test]
    fn those_that_failed_come_last_and_never_take_all_places() {
        let mut schedule = Schedule::default();
        let slots = (0..400_u16).map(|number| {
            let mut slot = [0; 16];
            slot[..2].copy_from_slice(&number.to_be_bytes());
            Slot(slot)
        });
        let slots: Vec<_> = slots.collect();
        let set = slots.iter().copied().collect();
        schedule.set(&set, at(0), |slot| slot == slots[0]);
        let first = all(&mut schedule, at(0), true);
        assert_eq!(
            (first.len(), first.last()),
            (400, Some(&slots[0])),
            "it is known to fail"
        );
        for (number, slot) in slots.iter().enumerate() {
            schedule.done(*slot, number >= 390, at(0), INTERVAL);
        }
        assert_eq!(
            schedule.late(at(9)),
            Duration::ZERO,
            "those that failed may wait"
        );
        assert_eq!(schedule.late(at(20)), at(10));
        let then = all(&mut schedule, at(20), true);
        assert_eq!(then.len(), 10 + FAILING_AT_ONCE);
        assert!(then[..10].iter().all(|it| *it >= slots[390]), "{then:?}");
        schedule.done(then[10], false, at(20), INTERVAL);
        assert!(
            schedule.next(at(20), true).is_some(),
            "there is room for another"
        );
    }

    #[test]
    fn those_that_are_told_of_come_first_and_a_few_of_them_where_there_is_no_room() {
        let mut schedule = schedule(0..200);
        for number in 50..150 {
            assert!(schedule.announced(slot(number), at(1)));
        }
        assert_eq!(
            schedule.next(at(1), false),
            Some(slot(50)),
            "though the others were due before"
        );
        assert_eq!(all(&mut schedule, at(1), false).len(), TOLD_AT_ONCE - 1);
        let all = all(&mut schedule, at(1), true);
        assert_eq!(
            all[100 - TOLD_AT_ONCE],
            slot(0),
            "after all that were told of"
        );
        // After its look, the slot takes its turn with the others again.
        schedule.done(slot(50), true, at(1), INTERVAL);
        assert_eq!(schedule.next(at(11), false), None);
        assert_eq!(schedule.next(at(11), true), Some(slot(50)));
        // A slot that fails does not come first, even if it is announced.
        schedule.announced(slot(50), at(12));
        schedule.done(slot(50), false, at(12), INTERVAL);
        assert_eq!(schedule.next(at(14), false), None);
        assert_eq!(schedule.next(at(14), true), Some(slot(50)));
    }

    #[test]
    fn a_change_that_comes_during_a_look_leads_to_another() {
        let mut schedule = schedule(0..1);
        assert_eq!(schedule.next(at(0), true), Some(slot(0)));
        assert!(schedule.announced(slot(0), at(1)) && !schedule.announced(slot(1), at(1)));
        schedule.done(slot(0), true, at(2), INTERVAL);
        assert_eq!(schedule.next(at(2), true), Some(slot(0)));
        schedule.done(slot(0), true, at(2), INTERVAL);
        schedule.hurry_all(at(3));
        schedule.hurry_all(at(4));
        assert_eq!(
            (schedule.next(at(2), true), schedule.next(at(3), true)),
            (None, Some(slot(0)))
        );
    }

    #[test]
    fn what_is_gone_is_not_looked_at_any_more() {
        let mut schedule = schedule(0..3);
        assert_eq!(schedule.next(at(0), true), Some(slot(0)));
        schedule.set(&BTreeSet::from([slot(2)]), at(0), |_| false);
        assert_eq!(
            (schedule.next(at(0), true), schedule.next(at(0), true)),
            (Some(slot(2)), None)
        );
        for number in [0, 2] {
            schedule.done(slot(number), true, at(0), INTERVAL);
        }
        schedule.set(&BTreeSet::new(), at(0), |_| false);
        assert!(schedule.is_empty());
        assert_eq!(schedule.wait(at(0)), None);
    }
}
