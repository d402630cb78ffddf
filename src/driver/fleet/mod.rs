//! Sessions that are shared with other processes, through a store.
//!
//! ```text
//!   create ──▶ claim ──┬─ granted ────▶ POST ──▶ publish ──▶ used, kept … left; the last one deletes it
//!                      ├─ published ──▶ open, join ────────▶ used, kept … left
//!                      ├─ held ───────▶ wait, claim again
//!                      └─ store down ─▶ a session of one's own, which is published once the store is back
//! ```
//!
//! | room | concept |
//! | --- | --- |
//! | `record`, `seal`, `cipher` | what the members tell each other of a session; the form in which it leaves the process; how that is sealed |
//! | `share`, `claim`, `publication` | who makes a session; the claim on that; making it known |
//! | `releases` | claims that are to be released |
//! | `seen`, `ids` | what is older than what was seen before; which record an id belongs to |
//! | `adopt` | taking up what another has made |
//! | `member` | using a session that others use; leaving it |
//! | `revocations` | what nobody may use any more, and the store has not been told |
//! | `defaults` | the defaults that a group of processes shares |
//! | `heartbeat` | the one task that keeps in touch with the store |
//! | `looks` | the slots that are being looked at side by side, and how many may be |
//! | `watchdog` | whether that task has ended or stands still, so that another takes over |
//! | `look` | one look at a slot |
//! | `inquiry` | one question to the server for the whole fleet |
//! | `stand_in` | one session call in place of that, for the whole fleet |
//! | `guarded` | a store that panics |
//! | `outage` | which slots cannot be reached |

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
    stand_in::{StandIn, WhoAsks},
};
use self::{
    defaults::{FirstLook, Following},
    guarded::Guarded,
    ids::Ids,
    outage::{Kind, Outage},
    releases::Releases,
    revocations::Revocations,
    seen::AllSeen,
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

/// How long one step of a store may take, whatever the store's own bound is.
const STEP: Duration = Duration::from_secs(5);

/// How sessions are shared.
#[derive(Clone, Debug)]
pub(crate) struct Sharing {
    pub(crate) store: Arc<dyn SessionStore>,
    /// Brought by the feature `store` alone.
    pub(crate) derive: Derive,
    pub(crate) on_store_down: OnStoreDown,
    pub(crate) member_lease: Duration,
    pub(crate) verify_adopted: bool,
}

/// What a manager knows of its fleet: nothing, where it has none.
pub(crate) struct Fleet(Option<Arc<Inner>>);

struct Inner {
    sharing: Sharing,
    store: Guarded,
    seen: AllSeen,
    ids: Ids,
    /// Sessions that are shared, and not left yet.
    joined: Lock<HashMap<Slot, Vec<Weak<LiveSession>>>>,
    following: OnceLock<Following>,
    first_look: FirstLook,
    revoked: Revocations,
    /// There is something to tell the store.
    wake: Arc<Notify>,
    releases: Arc<Releases>,
    watchdog: Watchdog,
    /// There may be sessions that were made while the store was down, or with a key that was new.
    has_own: AtomicBool,
    /// There is one that may become the fleet's at once.
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

    /// Waits for the `work` of a fleet; without one it is `alone`. Without the feature there is none, and so that the compiler knows
    /// it and leaves all that work out, nothing waits for a store but in here.
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

    /// Whether there is one.
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
    /// Looks into a slot. A store that answers that may refuse all else. A failure counts for the slot `at`; `None` is that of the
    /// defaults.
    async fn get(&self, core: &Core, at: Option<Slot>, slot: Slot) -> Result<Found, Error> {
        self.bounded(core, (at, Kind::Read), |store| store.get(slot))
            .await
    }

    /// One step of the store that changes something, in bounded time.
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

/// One holder of a session. A manager that takes one up twice is two of them: one may leave and the other go on.
fn new_member(core: &Core) -> Member {
    Member(core.unique_number())
}

/// What is there was not written by this fleet, or is older than what was seen.
fn refuse(core: &Core, slot: Slot) {
    core.emit(Event::RecordRefused {
        slot: slot.to_string(),
    });
}
