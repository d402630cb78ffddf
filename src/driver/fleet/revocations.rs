//! Revocations that the store has not been told yet. After a revocation, no process of the fleet may use the session.

use std::{collections::HashMap, time::Duration};

use super::{Inner, seen::REMEMBERED};
use crate::{driver::core::Core, error::Error, lock::Lock, store::Slot};

/// The highest revoked generation of each slot. It revokes every older one too.
#[derive(Debug, Default)]
pub(super) struct Revocations(Lock<HashMap<Slot, Untold>>);

#[derive(Clone, Copy, Debug)]
struct Untold {
    generation: u64,
    /// When the last revocation was noted, in monotonic time.
    since: Duration,
}

impl Revocations {
    pub(super) fn note(&self, slot: Slot, generation: u64, now: Duration) {
        let mut all = self.0.lock();
        let untold = all.entry(slot).or_insert(Untold {
            generation,
            since: now,
        });
        untold.generation = generation.max(untold.generation);
        untold.since = now;
    }

    /// Returns the slots of the pending revocations. Forgets revocations that are older than any session can be.
    pub(super) fn slots(&self, now: Duration) -> Vec<Slot> {
        let mut all = self.0.lock();
        all.retain(|_, untold| now.saturating_sub(untold.since) < REMEMBERED);
        all.keys().copied().collect()
    }

    fn of(&self, slot: Slot) -> Option<u64> {
        self.0.lock().get(&slot).map(|untold| untold.generation)
    }

    /// Notes that the store was told. If a newer generation was revoked meanwhile, that one stays.
    fn told(&self, slot: Slot, generation: u64) {
        let mut all = self.0.lock();
        if all
            .get(&slot)
            .is_some_and(|untold| untold.generation == generation)
        {
            all.remove(&slot);
        }
    }
}

impl Inner {
    /// Tells the store of a slot's revocations. If the store cannot be reached, they are kept for the next time.
    pub(super) async fn send_revocations(&self, core: &Core, slot: Slot) -> Result<(), Error> {
        while let Some(generation) = self.revoked.of(slot) {
            self.step(core, Some(slot), |store| store.revoke(slot, generation))
                .await?;
            self.revoked.told(slot, generation);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Slot = Slot([1; 16]);
    const OTHER: Slot = Slot([2; 16]);

    #[test]
    fn the_highest_one_is_kept_until_the_store_has_been_told_of_it() {
        let (revocations, now) = (Revocations::default(), Duration::ZERO);
        for generation in [3, 7, 5] {
            revocations.note(ONE, generation, now);
        }
        assert_eq!(revocations.of(ONE), Some(7));
        revocations.note(ONE, 8, now);
        revocations.told(ONE, 7);
        revocations.told(OTHER, 8);
        assert_eq!(revocations.of(ONE), Some(8), "it came meanwhile");
        revocations.told(ONE, 8);
        assert_eq!(revocations.slots(now), []);
    }

    #[test]
    fn what_nobody_can_have_any_more_is_forgotten() {
        let revocations = Revocations::default();
        revocations.note(ONE, 1, Duration::ZERO);
        revocations.note(OTHER, 1, Duration::ZERO);
        revocations.note(OTHER, 2, Duration::from_secs(60));
        assert_eq!(
            revocations
                .slots(REMEMBERED.saturating_sub(Duration::from_secs(1)))
                .len(),
            2
        );
        assert_eq!(revocations.slots(REMEMBERED), [OTHER]);
    }
}
