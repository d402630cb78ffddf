//! When to look at which slot. Each has a time of its own, so that one that fails or hangs holds up no other.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use crate::store::Slot;

/// How soon a slot that failed is looked at again.
const RETRY: Duration = Duration::from_secs(2);
/// How many slots that failed are looked at at once. There is always room for others beside them.
const FAILING_AT_ONCE: usize = 16;

/// All times are monotonic.
#[derive(Debug, Default)]
pub(super) struct Rota {
    entries: HashMap<Slot, Entry>,
    /// The next one in front.
    due: BTreeSet<(Duration, Slot)>,
    /// The same for those that failed when they were last looked at.
    failing: BTreeSet<(Duration, Slot)>,
    /// How many of those are being looked at.
    failing_under_way: usize,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// The last time that it was looked at.
    has_failed: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Due(Duration),
    /// Being looked at; and when to do so again, if that was asked for meanwhile.
    UnderWay(Option<Duration>),
}

impl Rota {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Says which slots there are. New ones are due at once.
    pub(super) fn set(&mut self, slots: &HashSet<Slot>, now: Duration) {
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
                self.put(*slot, now, false);
            }
        }
    }

    /// Looks at a slot no later than at that time. Returns whether it is there.
    pub(super) fn hurry(&mut self, slot: Slot, at: Duration) -> bool {
        match self.entries.get_mut(&slot).map(|entry| &mut entry.state) {
            Some(State::UnderWay(again)) => *again = Some(again.unwrap_or(at).min(at)),
            Some(State::Due(due)) => {
                if *due > at
                    && let Some(entry) = self.take(slot)
                {
                    self.put(slot, at, entry.has_failed);
                }
            }
            None => return false,
        }
        true
    }

    pub(super) fn hurry_all(&mut self, at: Duration) {
        let slots: Vec<_> = self.entries.keys().copied().collect();
        for slot in slots {
            self.hurry(slot, at);
        }
    }

    /// Takes out the slot that is to be looked at now: those that did not fail come first.
    pub(super) fn next(&mut self, now: Duration) -> Option<Slot> {
        let first = |due: &BTreeSet<(Duration, Slot)>| {
            let (_, slot) = due.first().filter(|(at, _)| *at <= now)?;
            Some(*slot)
        };
        let failing = || first(&self.failing).filter(|_| self.failing_under_way < FAILING_AT_ONCE);
        let slot = first(&self.due).or_else(failing)?;
        let entry = self.take(slot)?;
        self.failing_under_way += usize::from(entry.has_failed);
        let state = State::UnderWay(None);
        self.entries.insert(slot, Entry { state, ..entry });
        Some(slot)
    }

    /// How long until the next one is due.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let first = |due: &BTreeSet<(Duration, Slot)>| due.first().map(|(at, _)| *at);
        let next = [first(&self.due), first(&self.failing)];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_sub(now))
    }

    /// A slot has been looked at. The next time is after `interval`, and sooner where it failed.
    pub(super) fn done(&mut self, slot: Slot, is_ok: bool, now: Duration, interval: Duration) {
        let Some(entry) = self.entries.remove(&slot) else {
            return;
        };
        self.failing_under_way -= usize::from(entry.has_failed);
        let wait = if is_ok { interval } else { RETRY.min(interval) };
        let again = match entry.state {
            State::UnderWay(again) => again,
            State::Due(_) => None,
        };
        let at = now.saturating_add(wait);
        self.put(slot, again.map_or(at, |again| again.min(at)), !is_ok);
    }

    fn put(&mut self, slot: Slot, at: Duration, has_failed: bool) {
        let state = State::Due(at);
        self.entries.insert(slot, Entry { state, has_failed });
        self.queue(has_failed).insert((at, slot));
    }

    fn take(&mut self, slot: Slot) -> Option<Entry> {
        let entry = self.entries.remove(&slot)?;
        if let State::Due(at) = entry.state {
            self.queue(entry.has_failed).remove(&(at, slot));
        }
        Some(entry)
    }

    fn queue(&mut self, has_failed: bool) -> &mut BTreeSet<(Duration, Slot)> {
        if has_failed {
            &mut self.failing
        } else {
            &mut self.due
        }
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

    fn rota(slots: std::ops::Range<u8>) -> Rota {
        let mut rota = Rota::default();
        rota.set(&slots.map(slot).collect(), at(0));
        rota
    }

    #[test]
    fn each_slot_is_looked_at_at_once_and_then_after_the_interval() {
        let mut rota = rota(0..2);
        assert_eq!(rota.next(at(0)), Some(slot(0)));
        assert_eq!(rota.next(at(0)), Some(slot(1)));
        assert_eq!(rota.next(at(100)), None, "both are under way");
        rota.done(slot(1), true, at(1), INTERVAL);
        assert_eq!(rota.wait(at(1)), Some(INTERVAL));
        assert_eq!(rota.next(at(10)), None);
        assert_eq!(rota.next(at(11)), Some(slot(1)));
    }

    #[test]
    fn one_that_fails_is_tried_again_sooner_until_it_does_not() {
        let mut rota = rota(0..1);
        assert_eq!(rota.next(at(0)), Some(slot(0)));
        rota.done(slot(0), false, at(0), INTERVAL);
        assert_eq!(rota.wait(at(0)), Some(RETRY));
        assert_eq!(rota.next(at(2)), Some(slot(0)));
        rota.done(slot(0), true, at(2), INTERVAL);
        assert_eq!(rota.wait(at(2)), Some(INTERVAL));
    }

    #[test]
    fn those_that_failed_come_last_and_never_take_all_places() {
        let mut rota = rota(0..30);
        let first: Vec<_> = std::iter::from_fn(|| rota.next(at(0))).collect();
        assert_eq!(first.len(), 30);
        for number in 0..30 {
            rota.done(slot(number), number >= 20, at(0), INTERVAL);
        }
        let then: Vec<_> = std::iter::from_fn(|| rota.next(at(20))).collect();
        assert_eq!(then.len(), 10 + FAILING_AT_ONCE);
        assert!(then[..10].iter().all(|it| *it >= slot(20)), "{then:?}");
        rota.done(then[10], false, at(20), INTERVAL);
        assert!(rota.next(at(20)).is_some(), "there is room for another");
    }

    #[test]
    fn a_change_that_comes_during_a_look_leads_to_another() {
        let mut rota = rota(0..1);
        assert_eq!(rota.next(at(0)), Some(slot(0)));
        assert!(rota.hurry(slot(0), at(1)) && !rota.hurry(slot(1), at(1)));
        rota.done(slot(0), true, at(2), INTERVAL);
        assert_eq!(rota.next(at(2)), Some(slot(0)));
        rota.done(slot(0), true, at(2), INTERVAL);
        rota.hurry_all(at(3));
        rota.hurry_all(at(4));
        assert_eq!((rota.next(at(2)), rota.next(at(3))), (None, Some(slot(0))));
    }

    #[test]
    fn what_is_gone_is_not_looked_at_any_more() {
        let mut rota = rota(0..3);
        assert_eq!(rota.next(at(0)), Some(slot(0)));
        rota.set(&HashSet::from([slot(2)]), at(0));
        assert_eq!((rota.next(at(0)), rota.next(at(0))), (Some(slot(2)), None));
        for number in [0, 2] {
            rota.done(slot(number), true, at(0), INTERVAL);
        }
        rota.set(&HashSet::new(), at(0));
        assert!(rota.is_empty());
        assert_eq!(rota.wait(at(0)), None);
    }
}
