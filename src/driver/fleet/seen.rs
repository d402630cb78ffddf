//! Remembers the newest generation that was seen in each slot, also after its session has ended. So this process never
//! adopts an older record.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    clock::{Clock, Reading},
    lock::Lock,
    store::Slot,
};

/// Twice as long as any session lives. After that, nothing that was seen can still be in use.
pub(super) const REMEMBERED: Duration = Duration::from_secs(48 * 60 * 60);
pub(super) const TIDY_AT: usize = 1024;

/// The last generation that was seen in a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) generation: u64,
    /// Whether this process must not adopt that generation again: its session has ended for the whole fleet, or was of
    /// no use here.
    pub(super) is_spent: bool,
}

impl Seen {
    /// Returns the generation that a record must exceed to be adopted, if no session of the slot is in use here. The
    /// last seen session itself may be adopted again, unless it is spent. Example: it was only evicted here, or its
    /// lease ended.
    pub(super) fn lowest(self) -> u64 {
        self.generation.saturating_sub(u64::from(!self.is_spent))
    }
}

#[derive(Debug)]
pub(super) struct AllSeen {
    clock: Arc<dyn Clock>,
    slots: Lock<Slots>,
}

#[derive(Debug)]
struct Slots {
    seen: HashMap<Slot, (Seen, Reading)>,
    /// The number of entries at which old ones are removed next.
    tidy_at: usize,
}

impl AllSeen {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let slots = Slots {
            seen: HashMap::new(),
            tidy_at: TIDY_AT,
        };
        Self {
            clock,
            slots: Lock::new(slots),
        }
    }

    pub(super) fn of(&self, slot: Slot) -> Seen {
        let slots = self.slots.lock();
        slots
            .seen
            .get(&slot)
            .map(|(seen, _)| *seen)
            .unwrap_or_default()
    }

    /// Notes that a generation was adopted or published, or that it has ended.
    pub(super) fn note(&self, slot: Slot, generation: u64, is_spent: bool) {
        let now = self.clock.now();
        let mut slots = self.slots.lock();
        if slots.seen.len() >= slots.tidy_at {
            slots.seen.retain(|_, (_, at)| now.since(*at) < REMEMBERED);
            slots.tidy_at = TIDY_AT.max(2 * slots.seen.len());
        }
        let (seen, at) = slots.seen.entry(slot).or_insert((Seen::default(), now));
        if generation > seen.generation || (generation == seen.generation && is_spent) {
            (*seen, *at) = (
                Seen {
                    generation,
                    is_spent,
                },
                now,
            );
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::TestClock;

    #[tokio::test(start_paused = true)]
    async fn what_is_spent_stays_so_until_something_newer_comes_and_nothing_older_counts() {
        let all = AllSeen::new(Arc::new(TestClock::new()));
        let slot = Slot([7; 16]);
        let is = |generation, is_spent| {
            let seen = all.of(slot);
            assert_eq!((seen.generation, seen.is_spent), (generation, is_spent));
        };
        all.note(slot, 5, false);
        is(5, false);
        all.note(slot, 5, true);
        all.note(slot, 5, false);
        is(5, true);
        all.note(slot, 4, true);
        is(5, true);
        all.note(slot, 6, false);
        all.note(slot, 5, true);
        is(6, false);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_slots_is_forgotten_after_two_days_and_not_before() {
        let all = AllSeen::new(Arc::new(TestClock::new()));
        let count = || all.slots.lock().seen.len();
        let note = |from: u32| {
            for number in from..from + 5_000 {
                let mut slot = [0; 16];
                slot[..4].copy_from_slice(&number.to_be_bytes());
                all.note(Slot(slot), 1, false);
            }
        };
        note(0);
        assert_eq!(count(), 5_000);
        tokio::time::advance(REMEMBERED).await;
        note(10_000);
        assert!(count() <= 8_192, "{}", count());
    }
}
