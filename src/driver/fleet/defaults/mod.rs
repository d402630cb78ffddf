//! Defaults that the processes of a group share. If one process changes them, the others switch to the new ones.
//!
//! A group is all processes with the same API key and base URL that were built with the same defaults. Later changes
//! are stored in a slot of their own, as a last-writer-wins map. Each changed field has a value, or is marked as
//! removed, and carries the store's time of the change.
//!
//! ```text
//!   update_defaults ─▶ pending ─(store's time)─▶ known ──▶ get, merge, claim, publish ──▶ the slot
//!                                                  ▲                                        │
//!                      first look, every look ─────┴── merge, make the successor, switch ◀──┘
//! ```
//!
//! | file | concept |
//! | --- | --- |
//! | `publish` | the form of the changes in the store, and writing them |
//! | `follower` | the interface of a manager that follows |
//! | `look` | reading the changes before a session is made or adopted, and following them later |

mod follower;
mod look;
mod publish;

use std::sync::{Arc, MutexGuard, Weak};

pub(crate) use self::follower::Follower;
pub(super) use self::look::FirstLook;
use super::{
    Fleet, Inner,
    seal::{Kind, Seal},
};
use crate::{
    api::{KNOWN_DEFAULTS, SessionDefaults},
    driver::core::Core,
    engine::fleet::{
        book::Book,
        lww::{LwwDefaults, names_in},
    },
    error::Error,
    lock::Lock,
    model::{change::DefaultsChange, identity::Identity},
    secret::ApiKey,
    store::Slot,
};

/// What this process knows of the group's defaults.
pub(super) struct Following {
    /// The defaults that all processes of the group were built with. The group's slot is named after these defaults.
    home: Arc<SessionDefaults>,
    manager: Weak<dyn Follower>,
    /// The manager's lock of changes. A task can wait for it without a handle, which would keep the manager alive.
    changing: Arc<tokio::sync::Mutex<()>>,
    book: Lock<Book>,
}

impl Following {
    /// Returns the manager, or `None` once the last handle is gone. Do not hold it over an await, because that would
    /// keep the manager alive.
    fn manager(&self) -> Option<Arc<dyn Follower>> {
        self.manager.upgrade()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock()
    }
}

/// The changes that a new API key's group has made. The manager [adopts](Fleet::moved_to) them once it uses that key.
#[derive(Default)]
pub(crate) struct Moving(LwwDefaults);

impl Fleet {
    /// Sets the manager whose defaults follow the fleet.
    pub(crate) fn follow<M: Follower + 'static>(
        &self,
        manager: &Arc<M>,
        changing: &Arc<tokio::sync::Mutex<()>>,
    ) {
        let Some(inner) = self.inner() else { return };
        let following = Following {
            home: manager.identity().defaults().defaults.clone(),
            manager: Arc::downgrade(manager) as Weak<dyn Follower>,
            changing: changing.clone(),
            book: Lock::default(),
        };
        let _ = inner.following.set(following);
    }

    /// Notes a change of the defaults that this process has just made. The heartbeat writes it into the store. The
    /// caller holds the lock of changes.
    pub(crate) fn changed_defaults(
        &self,
        core: &Arc<Core>,
        change: &DefaultsChange,
        older: &SessionDefaults,
    ) {
        let Some(following) = self.inner().and_then(|inner| inner.following.get()) else {
            return;
        };
        let mut book = following.book();
        let names = match change {
            DefaultsChange::Patch(patch) => names_in(patch),
            DefaultsChange::Replacement(defaults) => {
                let mut all = KNOWN_DEFAULTS.map(str::to_owned).to_vec();
                all.extend(book.known().names().cloned());
                all.extend(older.other.keys().chain(defaults.other.keys()).cloned());
                all
            }
        };
        let (DefaultsChange::Patch(values) | DefaultsChange::Replacement(values)) = change;
        book.change(names, values, core.now());
        drop(book);
        // The caller may give up before the change is in the store, so start the heartbeat, which writes it, too.
        self.start_heartbeat(core);
    }

    /// Writes this process's changes into the store, for the other processes. If the store cannot be reached, the
    /// heartbeat does so later.
    pub(crate) async fn tell_defaults(&self, core: &Core) {
        self.within((), async |inner| drop(inner.tell_defaults(core).await))
            .await;
    }

    /// Reads what the group of another API key has changed, before the manager uses that key.
    pub(crate) async fn move_to(&self, core: &Core, newer: Identity) -> (Identity, Moving) {
        let moved = self.within(None, async |inner| {
            let (following, seal) = inner.group(core, newer.key()?)?;
            // If the store cannot be reached, the manager goes on with the changes that it knows. The next look brings
            // the rest.
            let found = inner.read_defaults(core, &seal).await.ok();
            let others = found.and_then(publish::InSlot::into_state);
            let others = others.unwrap_or_default();
            let defaults = following.book().with(&others, &following.home);
            let moved = newer.with_defaults(defaults).ok()?;
            Some((moved, Moving(others)))
        });
        let moved = moved.await;
        moved.unwrap_or_else(|| (newer, Moving::default()))
    }

    /// Called when the manager has switched to another API key. That key's group has a slot of its own, which may be
    /// empty. So the changes of this process are written again, to that slot.
    pub(crate) fn moved_to(&self, core: &Arc<Core>, Moving(others): &Moving) {
        if let Some(following) = self.inner().and_then(|inner| inner.following.get()) {
            let mut book = following.book();
            book.adopt(others);
            book.tell_anew();
            drop(book);
            self.start_heartbeat(core);
        }
    }
}

impl Inner {
    /// Returns the group of an API key, and its slot.
    fn group(&self, core: &Core, key: &ApiKey) -> Option<(&Following, Seal)> {
        let following = self.following.get()?;
        let seal = self.seal(core, Kind::Defaults, key, &following.home);
        Some((following, seal))
    }

    /// Returns the group of the manager's present API key. `None` without a key.
    fn present_group(&self, core: &Core) -> Option<(&Following, Arc<Identity>, Seal)> {
        let identity = self.following.get()?.manager()?.identity();
        let (following, seal) = self.group(core, identity.key()?)?;
        Some((following, identity, seal))
    }

    pub(super) fn slot_of_defaults(&self, core: &Core) -> Option<Slot> {
        Some(self.present_group(core)?.2.slot)
    }

    /// Returns whether this process has changes that the store may not have.
    pub(super) fn is_untold(&self) -> bool {
        let is_untold = |following: &Following| following.book().is_untold();
        self.following.get().is_some_and(is_untold)
    }

    /// Writes the changes of this process into the store, if the store may not have them.
    pub(super) async fn tell_defaults(&self, core: &Core) -> Result<(), Error> {
        // Check this first: deriving names and keys takes time.
        if !self.is_untold() {
            return Ok(());
        }
        let Some((following, _, seal)) = self.present_group(core) else {
            return Ok(());
        };
        let found = self.read_defaults(core, &seal).await?;
        self.publish_defaults(core, following, &seal, found).await?;
        Ok(())
    }
}
