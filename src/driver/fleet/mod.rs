//! Sessions that this process shares with other processes, through a store.
//!
//! A *slot* is one place in the store, for example for the session of one partition. A *record* is what a slot holds,
//! encrypted. A *member* is one user of a session. A *look* at a slot tells the store which sessions are in use here,
//! and learns what has become of them.
//!
//! ```text
//!   create ──▶ claim ──┬─ granted ────▶ POST ──▶ publish ──▶ used, kept … left; the last one deletes it
//!                      ├─ published ──▶ open, join ────────▶ used, kept … left
//!                      ├─ held ───────▶ wait, claim again
//!                      └─ store down ─▶ a session of one's own, which is published once the store is back
//! ```
//!
//! | file | concept |
//! | --- | --- |
//! | `record`, `seal`, `cipher` | what the members store about a session; its encrypted form; the encryption |
//! | `share`, `claim`, `publication` | which process creates a session; the claim for that; publishing the session |
//! | `releases` | unused claims that are to be released |
//! | `superseded` | early renewals, where the fleet has a newer session |
//! | `seen`, `ids` | the newest generation seen in each slot; which record an id belongs to |
//! | `adopt` | adopting a session that another process created |
//! | `member` | using a session that other processes use, too; ending that use |
//! | `revocations` | revocations that the store has not been told yet |
//! | `defaults` | the defaults that a group of processes shares |
//! | `heartbeat` | the one task that keeps contact with the store |
//! | `looks` | how many looks run at the same time |
//! | `watchdog` | whether that task has ended or stalled, so that another one takes over |
//! | `look` | one look at a slot: an exchange with the store |
//! | `inquiry` | one `GET /v1/health` for the whole fleet |
//! | `stand_in` | one session call in place of `GET /v1/health`, for the whole fleet |
//! | `guarded` | catches the panics of a store |
//! | `outage` | which slots of the store cannot be reached |

mod adopt;
#[cfg(feature = "store")]
mod cipher;
mod claim;
mod defaults;
mod guarded;
mod heartbeat;
mod ids;
mod inquiry;
mod look;
mod looks;
mod member;
mod outage;
mod publication;
mod record;
mod releases;
mod revocations;
mod seal;
mod seen;
mod share;
mod stand_in;
mod superseded;
mod watchdog;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock, Weak, atomic::AtomicBool},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

#[cfg(feature = "store")]
pub(crate) use self::cipher::derive;
pub(crate) use self::{
    claim::Claiming,
    defaults::Follower,
    member::{Leaving, Membership, membership},
    seal::Derive,
    stand_in::{Since, StandIn, WhoAsks},
};
use self::{
    defaults::{FirstLook, Following},
    guarded::Guarded,
    ids::Ids,
    outage::{Kind, Outage},
    releases::Releases,
    revocations::Revocations,
    seen::AllSeen,
    superseded::Superseded,
    watchdog::Watchdog,
};
use super::core::Core;
use crate::{
    clock::Clock,
    error::{Error, ErrorKind},
    hot::session::LiveSession,
    lock::Lock,
    model::{event::Event, settings::OnStoreDown},
    store::{Found, Member, SessionStore, Slot, StoreFuture},
};

/// The longest time that one step of a store may take, whatever the store's own limit is.
const STEP: Duration = Duration::from_secs(5);

/// How sessions are shared.
#[derive(Clone, Debug)]
pub(crate) struct Sharing {
    pub(crate) store: Arc<dyn SessionStore>,
    /// How slots and encryption keys are derived. Only the feature `store` provides this.
    pub(crate) derive: Derive,
    pub(crate) on_store_down: OnStoreDown,
    pub(crate) member_lease: Duration,
    pub(crate) verify_adopted: bool,
}

/// What a manager knows of its fleet. `None` without a store.
pub(crate) struct Fleet(Option<Arc<Inner>>);

struct Inner {
    sharing: Sharing,
    store: Guarded,
    seen: AllSeen,
    superseded: Superseded,
    ids: Ids,
    /// The shared sessions, until this process leaves them.
    joined: Lock<HashMap<Slot, Vec<Weak<LiveSession>>>>,
    following: OnceLock<Following>,
    first_look: FirstLook,
    revoked: Revocations,
    /// Wakes the heartbeat when there is something to tell the store.
    wake: Arc<Notify>,
    releases: Arc<Releases>,
    watchdog: Watchdog,
    /// Whether some sessions may not be published yet, because the store was down or the API key was new.
    has_own: AtomicBool,
    /// Notified when a session that was not published yet may be published at once.
    own: Notify,
    outage: Outage,
}

impl Fleet {
    pub(crate) fn new(sharing: Option<Sharing>, clock: Arc<dyn Clock>) -> Self {
        let wake = Arc::new(Notify::new());
        Self(sharing.map(|sharing| {
            Arc::new(Inner {
                store: Guarded(sharing.store.clone()),
                sharing,
                seen: AllSeen::new(clock.clone()),
                superseded: Superseded::default(),
                ids: Ids::new(clock),
                joined: Lock::default(),
                following: OnceLock::new(),
                first_look: FirstLook::default(),
                revoked: Revocations::default(),
                releases: Arc::new(Releases::new(wake.clone())),
                wake,
                watchdog: Watchdog::default(),
                has_own: AtomicBool::new(false),
                own: Notify::new(),
                outage: Outage::default(),
            })
        }))
    }

    /// Runs the `work` of a fleet. Without a fleet, returns `alone`. Without the feature `store` there never is a
    /// fleet, and only this function awaits such work. So the compiler can leave all of it out.
    #[cfg_attr(not(feature = "store"), allow(clippy::unused_async))]
    async fn within<T>(&self, alone: T, work: impl AsyncFnOnce(Arc<Inner>) -> T) -> T {
        #[cfg(feature = "store")]
        if let Some(inner) = &self.0 {
            return work(inner.clone()).await;
        }
        let _ = work;
        alone
    }

    #[inline]
    fn inner(&self) -> Option<&Inner> {
        if cfg!(feature = "store") {
            self.0.as_deref()
        } else {
            None
        }
    }

    /// Returns whether there is a fleet.
    #[inline]
    pub(crate) fn is_there(&self) -> bool {
        self.inner().is_some()
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sharing = self.inner().map(|inner| &inner.sharing);
        f.debug_tuple("Fleet").field(&sharing).finish()
    }
}

impl Inner {
    /// Reads a slot. A failure is noted for the slot `at`, or for the slot of the defaults if that is `None`. A
    /// successful read does not clear a failed write: the store may answer reads only.
    async fn get(&self, core: &Core, at: Option<Slot>, slot: Slot) -> Result<Found, Error> {
        self.bounded(core, (at, Kind::Read), |store| store.get(slot))
            .await
    }

    /// Runs one step of the store that changes something, with a time limit.
    async fn step<T: Send + 'static>(
        &self,
        core: &Core,
        at: Option<Slot>,
        step: impl FnOnce(&dyn SessionStore) -> StoreFuture<'_, T>,
    ) -> Result<T, Error> {
        self.bounded(core, (at, Kind::Write), step).await
    }

    async fn bounded<T: Send + 'static>(
        &self,
        core: &Core,
        (slot, kind): (Option<Slot>, Kind),
        step: impl FnOnce(&dyn SessionStore) -> StoreFuture<'_, T>,
    ) -> Result<T, Error> {
        let step = self.store.step(step);
        let source = match timeout(STEP, step).await {
            Ok(Ok(done)) => {
                if self.outage.answered(slot, kind, core.now()) {
                    core.emit(Event::StoreUp);
                }
                return Ok(done);
            }
            Ok(Err(source)) => Some(source),
            Err(_) => None,
        };
        let error = Error::new(ErrorKind::Store, "the shared store cannot be reached");
        let error = match source {
            Some(source) => error.with_source(source),
            None => error,
        };
        if self.outage.failed(slot, kind, core.now()) {
            let error = error.clone();
            core.emit(Event::StoreDown { error });
        }
        Err(error)
    }
}

/// Returns a new member, that is one user of a session. If a manager adopts a session twice, it counts as two
/// members. So one can leave while the other goes on.
fn new_member(core: &Core) -> Member {
    Member(core.unique_number())
}

/// Emits an event about a record that this process refuses. Example: no process of this fleet wrote it, or it is older
/// than a record that was seen before.
fn refuse(core: &Core, slot: Slot) {
    core.emit(Event::RecordRefused {
        slot: slot.to_string(),
    });
}
