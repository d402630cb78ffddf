//! Using a session that others use: for how long, and how one stops.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::timeout,
};

use super::{Fleet, STEP, publication::Publication};
use crate::{
    clock::Reading,
    driver::core::Core,
    error::Error,
    hot::{session::LiveSession, shared::Shared},
    lock::Lock,
    model::reason::RetireReason,
    store::{Left, Member, Slot},
};

/// One session's place in the fleet.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(super) slot: Slot,
    pub(super) member: Member,
    pub(super) generation: u64,
    pub(super) sealed: Bytes,
    lease: Duration,
    /// What the store has said of its record.
    pub(super) publication: Lock<Publication>,
    /// When the store was last told that it is in use: before the call that did so went out.
    kept: Lock<Reading>,
    /// Nobody else uses it. Then it is for this process to delete.
    is_last: AtomicBool,
    /// It is not used here any more.
    has_left: AtomicBool,
    /// Read while the store is being told that it is in use, written to leave it: a `keep` that overtook its `leave` would make
    /// this process a user for ever, and nobody the last.
    telling: RwLock<()>,
}

/// A session's place in the fleet, if others use it too.
pub(crate) fn membership(session: &LiveSession) -> Option<&Membership> {
    let place: &dyn Any = session.shared()?;
    place.downcast_ref()
}

impl Shared for Membership {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn is_last(&self) -> bool {
        self.is_last.load(Ordering::Acquire)
    }

    fn was_refused(&self) -> bool {
        self.is_refused()
    }

    fn usable_for(&self, now: Reading, hard: Duration) -> Duration {
        // A short lease has no room for all of that.
        self.holds_for(now).saturating_sub(hard.min(self.lease / 2))
    }
}

/// What becomes of a session that this process does not use any more.
#[derive(Debug)]
pub(crate) enum Leaving {
    /// It is nobody else's: delete it.
    Delete,
    /// Others use it, and delete it when they are done.
    ToOthers,
    /// Whether others use it is not known, so it ends by itself.
    Unknown(Error),
}

impl Membership {
    pub(super) fn new(
        (slot, member): (Slot, Member),
        generation: u64,
        sealed: Bytes,
        lease: Duration,
        kept: Reading,
    ) -> Self {
        Self {
            slot,
            member,
            generation,
            sealed,
            lease,
            publication: Lock::new(Publication::UnderWay),
            kept: Lock::new(kept),
            is_last: AtomicBool::new(false),
            has_left: AtomicBool::new(false),
            telling: RwLock::new(()),
        }
    }

    /// How long this process may go on without reaching the store.
    pub(super) fn holds_for(&self, now: Reading) -> Duration {
        self.lease.saturating_sub(self.kept_since(now))
    }

    /// How long ago the store was last told that it is in use.
    pub(super) fn kept_since(&self, now: Reading) -> Duration {
        let kept = *self.kept.lock();
        now.since(kept)
    }

    pub(super) fn is_nobody_elses(&self) {
        self.is_last.store(true, Ordering::Release);
    }

    /// For as long as the store is being told that it is in use. `None` once it is being left.
    pub(super) fn tell(&self) -> Option<RwLockReadGuard<'_, ()>> {
        let telling = self.telling.try_read().ok();
        telling.filter(|_| !self.has_left.load(Ordering::Acquire))
    }

    /// Waits until the store has heard what it is being told. A task that stands still is not waited for longer than a step takes.
    async fn last_word(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        self.has_left.store(true, Ordering::Release);
        timeout(STEP, self.telling.write()).await.ok()
    }

    pub(super) fn kept(&self, sent: Reading) {
        let mut kept = self.kept.lock();
        if kept.monotonic <= sent.monotonic {
            *kept = sent;
        }
    }
}

impl Fleet {
    /// Forgets what another process uses, and is to give back.
    pub(crate) fn begin_anew(&self) {
        if let Some(inner) = self.inner() {
            inner.joined.lock().clear();
            inner.releases.forget_all();
            inner.watchdog.begin_anew();
            inner.first_look.begin_anew();
        }
    }

    /// Takes leave of a session. Called once nothing that bears it is in flight here.
    pub(crate) async fn leave(&self, core: &Core, session: &LiveSession) -> Leaving {
        let place = membership(session).filter(|place| !place.is_last());
        let Some(place) = place else {
            return Leaving::Delete;
        };
        self.within(Leaving::Delete, async |inner| {
            inner.forget(session);
            let _telling = place.last_word().await;
            // So that those who stay know what this process knows.
            let _ = inner.send_revocations(core, place.slot).await;
            match inner.leave(core, place).await {
                Ok(Left::Last) => {
                    place.is_nobody_elses();
                    inner.seen.note(place.slot, place.generation, true);
                    Leaving::Delete
                }
                Ok(Left::Others) => Leaving::ToOthers,
                Err(error) => Leaving::Unknown(error),
            }
        })
        .await
    }

    /// A session that was taken up is of no use here, and is not taken up again.
    pub(crate) fn spend(&self, session: &LiveSession) {
        if let (Some(inner), Some(place)) = (self.inner(), membership(session)) {
            inner.seen.note(place.slot, place.generation, true);
        }
    }

    /// A session has been retired: is it over for the others as well?
    pub(crate) fn retired(&self, session: &LiveSession, reason: RetireReason) {
        use RetireReason::{Fenced, Invalidated, Leaked, Lost, Revoked, WrongAnswer};
        let (Some(inner), Some(place)) = (self.inner(), membership(session)) else {
            return;
        };
        let is_over = matches!(
            reason,
            Fenced | Invalidated | Leaked | Lost | Revoked | WrongAnswer
        );
        // A create that gave way to another's has nothing to say about that one, whose claim a revocation would end. What speaks
        // against the session itself is told, also where it was refused the second time: others may have it from the first.
        let gave_way = reason == Fenced && place.was_refused();
        if !is_over || place.is_last() || gave_way {
            return;
        }
        if reason == RetireReason::Lost {
            // There is nothing to leave.
            inner.forget(session);
        }
        if reason == RetireReason::Revoked {
            inner.seen.note(place.slot, place.generation, true);
        } else {
            inner.revoke(place.slot, place.generation);
        }
    }
}

impl super::Inner {
    pub(super) fn join(&self, session: &Arc<LiveSession>) {
        let Some(place) = membership(session) else {
            return;
        };
        let mut joined = self.joined.lock();
        let members = joined.entry(place.slot).or_default();
        members.push(Arc::downgrade(session));
        drop(joined);
        let place = (place.slot, place.generation);
        self.ids.note(&session.id.to_id(), place);
    }

    /// Returns the slots with sessions that are shared, and not left yet.
    pub(super) fn joined_slots(&self) -> Vec<Slot> {
        let mut joined = self.joined.lock();
        joined.retain(|_, sessions| {
            sessions.retain(|session| session.strong_count() > 0);
            !sessions.is_empty()
        });
        joined.keys().copied().collect()
    }

    /// Returns the sessions of one slot that are shared, and not left yet.
    pub(super) fn joined(&self, slot: Slot) -> Vec<Arc<LiveSession>> {
        let joined = self.joined.lock();
        let sessions = joined.get(&slot).into_iter().flatten();
        sessions.filter_map(std::sync::Weak::upgrade).collect()
    }

    pub(super) async fn leave(&self, core: &Core, place: &Membership) -> Result<Left, Error> {
        let (slot, member, generation) = (place.slot, place.member, place.generation);
        self.step(core, Some(slot), |store| {
            store.leave(slot, member, generation)
        })
        .await
    }

    pub(super) fn forget(&self, session: &LiveSession) {
        let Some(place) = membership(session) else {
            return;
        };
        let mut joined = self.joined.lock();
        if let Some(sessions) = joined.get_mut(&place.slot) {
            sessions.retain(|other| !std::ptr::eq(other.as_ptr(), session));
            if sessions.is_empty() {
                joined.remove(&place.slot);
            }
        }
    }
}
