//! Claims that were granted but not used. They are released as soon as the store can be reached.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::Inner;
use crate::{
    driver::core::Core,
    error::Error,
    lock::Lock,
    store::{Member, Slot},
};

/// One claim to release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) slot: Slot,
    pub(super) member: Member,
    pub(super) generation: u64,
    pub(super) pause: Duration,
    /// When the claim lapses, in monotonic time. After that there is nothing to release.
    pub(super) lapses_at: Duration,
}

#[derive(Debug)]
pub(super) struct Releases {
    untold: Lock<Vec<Release>>,
    /// Wakes the heartbeat.
    wake: Arc<Notify>,
}

impl Releases {
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        let untold = Lock::default();
        Self { untold, wake }
    }

    pub(super) fn add(&self, release: Release) {
        self.untold.lock().push(release);
        self.wake.notify_one();
    }

    /// Returns the slots of claims that have not lapsed.
    pub(super) fn slots(&self, now: Duration) -> HashSet<Slot> {
        let mut untold = self.untold.lock();
        untold.retain(|release| release.lapses_at > now);
        untold.iter().map(|release| release.slot).collect()
    }

    pub(super) fn forget_all(&self) {
        self.untold.lock().clear();
    }

    fn first(&self, slot: Slot, now: Duration) -> Option<Release> {
        let is_due = |release: &&Release| release.slot == slot && release.lapses_at > now;
        self.untold.lock().iter().find(is_due).copied()
    }

    fn remove(&self, release: Release) {
        self.untold.lock().retain(|other| *other != release);
    }
}

impl Inner {
    /// Tells the store what it could not be told before about one slot: revocations, and claims to release.
    pub(super) async fn catch_up(&self, core: &Core, slot: Slot) -> Result<(), Error> {
        self.send_revocations(core, slot).await?;
        self.release_claims(core, slot).await
    }

    /// Releases the unused claims to a slot. If the store cannot be reached, the rest is kept for the next time.
    pub(super) async fn release_claims(&self, core: &Core, slot: Slot) -> Result<(), Error> {
        while let Some(release) = self.releases.first(slot, core.now().monotonic) {
            let Release {
                member,
                generation,
                pause,
                ..
            } = release;
            self.step(core, Some(slot), |store| {
                store.release(slot, member, generation, pause)
            })
            .await?;
            self.releases.remove(release);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_lapsed_is_not_released() {
        let releases = Releases::new(Arc::default());
        let slot = Slot([1; 16]);
        let release = Release {
            slot,
            member: Member(1),
            generation: 7,
            pause: Duration::ZERO,
            lapses_at: Duration::from_secs(10),
        };
        releases.add(release);
        let (before, after) = (Duration::from_secs(9), Duration::from_secs(10));
        assert_eq!(releases.first(slot, before), Some(release));
        assert_eq!(releases.first(Slot([2; 16]), before), None);
        assert_eq!(releases.slots(before), HashSet::from([slot]));
        assert_eq!(releases.first(slot, after), None);
        assert!(releases.slots(after).is_empty());
        assert!(releases.untold.lock().is_empty(), "it is forgotten");
    }
}
