//! A change of defaults in one process is followed by the others that are configured alike.
//!
//! It stands in a slot of its own, which is named by the defaults that all of them were built with. Each follows what
//! was changed since it was built.

use std::{
    sync::{
        Arc, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    Fleet, Inner, new_member, refuse,
    seal::{Kind, Seal, to_json},
};
use crate::{
    api::SessionDefaults,
    clock::Reading,
    error::{Error, ErrorKind},
    manager::{Handle, SessionManager, core::Core, identity::Identity},
    store::{Claim, Record, Slot},
};

/// How long a change is there for who has not heard of it.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The right to write it down, which takes one step.
const LEASE: Duration = Duration::from_secs(10);
/// How often that is tried when others do the same.
const TRIES: usize = 3;

/// What is known of the fleet's defaults.
#[derive(Debug)]
pub(super) struct Following {
    /// What all were built with.
    home: Arc<SessionDefaults>,
    built: Reading,
    handle: Weak<Handle>,
    /// How many changes were made here, and how many of them the store has been told of.
    made: AtomicU64,
    told: AtomicU64,
}

impl Following {
    fn is_untold(&self) -> bool {
        self.told.load(Ordering::Acquire) < self.made.load(Ordering::Acquire)
    }
}

/// What is written down.
#[derive(Deserialize, Serialize)]
struct Change {
    /// By the store's clock, in milliseconds.
    at: u64,
    defaults: SessionDefaults,
}

impl Fleet {
    /// Says whose fleet it is.
    pub(in crate::manager) fn follow(&self, handle: &Arc<Handle>) {
        let Some(inner) = self.inner() else { return };
        let identity = handle
            .identity
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let following = Following {
            home: identity.defaults().defaults.clone(),
            built: handle.core.now(),
            handle: Arc::downgrade(handle),
            made: AtomicU64::new(0),
            told: AtomicU64::new(0),
        };
        let _ = inner.following.set(following);
    }

    /// The defaults were changed here, a moment ago and under the lock of changes.
    pub(crate) fn changed_defaults(&self, core: &Arc<Core>) {
        if let Some(following) = self.inner().and_then(|inner| inner.following.get()) {
            following.made.fetch_add(1, Ordering::AcqRel);
            // Also where nobody waits until the others are told.
            self.attend(core);
        }
    }

    /// Tells the others at once, or as soon as the store is there.
    pub(crate) async fn tell_defaults(&self, core: &Core) {
        if let Some(inner) = self.inner() {
            let _ = inner.tell_defaults(core).await;
        }
    }
}

impl Inner {
    /// Where this process looks for changes, as whom it speaks for now. Without an API key there is no such place.
    fn home(&self, core: &Core) -> Option<(&Following, Arc<Identity>, Seal)> {
        let following = self.following.get()?;
        // No longer than that: the last handle may go at any time.
        let identity = SessionManager(following.handle.upgrade()?).identity();
        let base = &core.settings.base;
        let seal = Seal::new(Kind::Defaults, identity.key()?, base, &following.home);
        Some((following, identity, seal))
    }

    pub(super) fn slot_of_defaults(&self, core: &Core) -> Option<Slot> {
        Some(self.home(core)?.2.slot)
    }

    /// Tells of a change that was made here, if there is one that has not been told.
    pub(super) async fn tell_defaults(&self, core: &Core) -> Result<(), Error> {
        let is_untold = || self.following.get().is_some_and(Following::is_untold);
        for _ in 0..TRIES {
            // Looked at first: names and keys are not for nothing.
            if !is_untold() {
                return Ok(());
            }
            // Counted before they are read: what is changed after that is told once more.
            let made = self
                .following
                .get()
                .map_or(0, |following| following.made.load(Ordering::Acquire));
            let Some((following, identity, seal)) = self.home(core) else {
                return Ok(());
            };
            if self.write_defaults(core, &seal, &identity).await? {
                following.told.fetch_max(made, Ordering::AcqRel);
            }
        }
        if !is_untold() {
            return Ok(());
        }
        let text = "another process changes the defaults";
        Err(Error::new(ErrorKind::Store, text))
    }

    /// Returns whether it is written; not so if another has been quicker.
    async fn write_defaults(
        &self,
        core: &Core,
        seal: &Seal,
        identity: &Identity,
    ) -> Result<bool, Error> {
        let (member, after) = (new_member(core), self.seen.of(seal.slot).generation);
        let claim = self.store().claim(seal.slot, member, after, LEASE);
        let (generation, at) = match self.step(core, claim).await? {
            Claim::Granted { generation, now } => (generation, now),
            Claim::Published(found) => {
                // The later one counts.
                self.seen.note(
                    seal.slot,
                    found.record.map_or(0, |record| record.generation),
                    false,
                );
                return Ok(false);
            }
            Claim::Held { .. } => return Ok(false),
        };
        let change = Change {
            at: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            defaults: (*identity.defaults().defaults).clone(),
        };
        let plain = to_json(&change);
        let Some(sealed) = seal.seal(generation, &plain) else {
            return Ok(true);
        };
        let record = Record {
            generation,
            sealed: Bytes::from(sealed),
            left: KEPT_FOR,
        };
        let publish = self.store().publish(seal.slot, member, record, LEASE);
        let is_published = self.step(core, publish).await?;
        if is_published {
            self.seen.note(seal.slot, generation, false);
        }
        Ok(is_published)
    }

    /// Looks for a change that another process has made, and follows it.
    pub(super) async fn follow_defaults(&self, core: &Arc<Core>) -> Result<(), Error> {
        let Some((following, identity, seal)) = self.home(core) else {
            return Ok(());
        };
        let made = following.made.load(Ordering::Acquire);
        let found = self.step(core, self.store().get(seal.slot)).await?;
        let seen = self.seen.of(seal.slot).generation;
        let Some(record) = found.record.filter(|record| record.generation > seen) else {
            return Ok(());
        };
        let plain = seal.open(record.generation, &record.sealed);
        let change = plain.and_then(|plain| serde_json::from_slice::<Change>(&plain).ok());
        let Some(change) = change else {
            refuse(core, seal.slot);
            self.seen.note(seal.slot, record.generation, false);
            return Ok(());
        };
        let built = found.now.saturating_sub(core.now().since(following.built));
        if Duration::from_millis(change.at) >= built {
            let Ok(newer) = identity.with_defaults(change.defaults) else {
                // Another version of this crate takes them for right.
                refuse(core, seal.slot);
                self.seen.note(seal.slot, record.generation, false);
                return Ok(());
            };
            let is_wanted = || following.made.load(Ordering::Acquire) == made;
            // Meanwhile nobody tells the store which sessions are in use. What is not done in time is done next time.
            let switched = timeout(
                self.interval(),
                switch(core, &following.handle, &newer, is_wanted),
            );
            match switched.await {
                Ok(switched) => switched?,
                Err(_) => return Ok(()),
            }
        }
        self.seen.note(seal.slot, record.generation, false);
        Ok(())
    }
}

/// Goes over to what another process has changed, unless something was changed here meanwhile.
async fn switch(
    core: &Arc<Core>,
    handle: &Weak<Handle>,
    newer: &Identity,
    is_wanted: impl FnOnce() -> bool,
) -> Result<(), Error> {
    // First without a handle, which would keep the manager alive for as long as that takes.
    if let Some(partition) = newer.partition()? {
        core.warm_up(&partition).await?;
    }
    match handle.upgrade() {
        Some(handle) => {
            let manager = SessionManager(handle);
            manager.follow_defaults(newer, is_wanted).await
        }
        None => Ok(()),
    }
}
