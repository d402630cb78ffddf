//! Rights that were granted and not used. They are given back as soon as the store can be told.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::Inner;
use crate::{
    driver::core::Core,
    error::Error,
    store::{Member, Slot},
};

/// One right to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) slot: Slot,
    pub(super) member: Member,
    pub(super) generation: u64,
    pub(super) pause: Duration,
    /// In monotonic time. There is nothing to give back after that.
    pub(super) lapses_at: Duration,
}

#[derive(Debug)]
pub(super) struct Unused {
    rights: Mutex<Vec<Release>>,
    /// Of the heartbeat.
    wake: Arc<Notify>,
}

impl Unused {
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        let rights = Mutex::default();
        Self { rights, wake }
    }

    pub(super) fn add(&self, release: Release) {
        self.lock().push(release);
        self.wake.notify_one();
    }

    /// Returns the slots of those that have not lapsed.
    pub(super) fn slots(&self, now: Duration) -> HashSet<Slot> {
        let mut rights = self.lock();
        rights.retain(|release| release.lapses_at > now);
        rights.iter().map(|release| release.slot).collect()
    }

    pub(super) fn forget_all(&self) {
        self.lock().clear();
    }

    fn first(&self, slot: Slot, now: Duration) -> Option<Release> {
        let is_due = |release: &&Release| release.slot == slot && release.lapses_at > now;
        self.lock().iter().find(is_due).copied()
    }

    fn remove(&self, release: Release) {
        self.lock().retain(|other| *other != release);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Release>> {
        self.rights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Tells the store of a slot what it could not be told before.
    pub(super) async fn catch_up(&self, core: &Core, slot: Slot) -> Result<(), Error> {
        self.send_revocations(core, slot).await?;
        self.give_back_rights(core, slot).await
    }

    /// Gives back the rights to a slot that were not used. What the store could not be told is kept for the next time.
    pub(super) async fn give_back_rights(&self, core: &Core, slot: Slot) -> Result<(), Error> {
        while let Some(release) = self.unused.first(slot, core.now().monotonic) {
            let Release {
                member,
                generation,
                pause,
                ..
            } = release;
            let told = self.store().release(slot, member, generation, pause);
            self.step_at(core, slot, told).await?;
            self.unused.remove(release);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_lapsed_is_not_given_back() {
        let unused = Unused::new(Arc::default());
        let slot = Slot([1; 16]);
        let release = Release {
            slot,
            member: Member(1),
            generation: 7,
            pause: Duration::ZERO,
            lapses_at: Duration::from_secs(10),
        };
        unused.add(release);
        let (before, after) = (Duration::from_secs(9), Duration::from_secs(10));
        assert_eq!(unused.first(slot, before), Some(release));
        assert_eq!(unused.first(Slot([2; 16]), before), None);
        assert_eq!(unused.slots(before), HashSet::from([slot]));
        assert_eq!(unused.first(slot, after), None);
        assert!(unused.slots(after).is_empty());
        assert!(unused.lock().is_empty(), "it is forgotten");
    }
}
