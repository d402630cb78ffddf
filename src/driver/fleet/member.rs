//! This process as one of the members that share a session: for how long it may use the session, and how it leaves. To
//! *leave* a session is to tell the store that this process does not use it any more.

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

/// A session's place in the fleet.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(super) slot: Slot,
    pub(super) member: Member,
    pub(super) generation: u64,
    pub(super) sealed: Bytes,
    lease: Duration,
    /// What the store has said about the session's record.
    pub(super) publication: Lock<Publication>,
    /// When the store was last told that the session is in use. This is the time just before that call was sent.
    kept: Lock<Reading>,
    /// Whether no other process uses the session. Then this process deletes it.
    is_last: AtomicBool,
    /// Whether this process does not use the session any more.
    has_left: AtomicBool,
    /// Locked for reading while the store is being told that the session is in use, and for writing to leave it.
    /// Without it, a `keep` could reach the store after the `leave`. The store would then count this process as a user
    /// again, and the real last user would not delete the session.
    telling: RwLock<()>,
}

/// Returns a session's place in the fleet, if other processes use it too.
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
        // A short lease may be shorter than `hard`, so subtract half of the lease at most.
        self.holds_for(now).saturating_sub(hard.min(self.lease / 2))
    }
}

/// What happens to a session that this process does not use any more.
#[derive(Debug)]
pub(crate) enum Leaving {
    /// No other process uses the session: delete it.
    Delete,
    /// Other processes use the session, and the last one deletes it.
    ToOthers,
    /// It is not known whether other processes use the session, so it is left to expire.
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

    /// Returns how long this process may still use the session if it cannot reach the store: what is left of its lease.
    pub(super) fn holds_for(&self, now: Reading) -> Duration {
        self.lease.saturating_sub(self.kept_since(now))
    }

    /// Returns how long ago the store was last told that the session is in use.
    pub(super) fn kept_since(&self, now: Reading) -> Duration {
        let kept = *self.kept.lock();
        now.since(kept)
    }

    pub(super) fn is_nobody_elses(&self) {
        self.is_last.store(true, Ordering::Release);
    }

    /// Returns a guard to hold while the store is being told that the session is in use. `None` once this process
    /// leaves the session.
    pub(super) fn tell(&self) -> Option<RwLockReadGuard<'_, ()>> {
        let telling = self.telling.try_read().ok();
        telling.filter(|_| !self.has_left.load(Ordering::Acquire))
    }

    /// Waits until no call that tells the store is under way. Gives up after the time that a step may take, because
    /// the task of that call may have stalled.
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
    /// Forgets the sessions and claims that belong to another process, after a fork.
    pub(crate) fn begin_anew(&self) {
        if let Some(inner) = self.inner() {
            inner.joined.lock().clear();
            inner.releases.forget_all();
            inner.watchdog.begin_anew();
            inner.first_look.begin_anew();
        }
    }

    /// Leaves a session. Called once no request here has it in flight.
    pub(crate) async fn leave(&self, core: &Core, session: &LiveSession) -> Leaving {
        let place = membership(session).filter(|place| !place.is_last());
        let Some(place) = place else {
            return Leaving::Delete;
        };
        self.within(Leaving::Delete, async |inner| {
            inner.forget(session);
            let _telling = place.last_word().await;
            // Send the revocations first, so that the members that stay learn of them.
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

    /// Notes that an adopted session cannot be used here, so that this process does not adopt it again.
    pub(crate) fn spend(&self, session: &LiveSession) {
        if let (Some(inner), Some(place)) = (self.inner(), membership(session)) {
            inner.seen.note(place.slot, place.generation, true);
        }
    }

    /// Called when a session was retired here. Revokes it if the other processes must not use it either.
    pub(crate) fn retired(&self, session: &LiveSession, reason: RetireReason) {
        use RetireReason::{Fenced, Invalidated, Leaked, Lost, Revoked, WrongAnswer};
        let (Some(inner), Some(place)) = (self.inner(), membership(session)) else {
            return;
        };
        let is_over = matches!(
            reason,
            Fenced | Invalidated | Leaked | Lost | Revoked | WrongAnswer
        );
        // Example: a create has lost its claim, and the store refuses its session. It must not revoke the winner's
        // session, nor end the winner's claim. Any other reason concerns the session itself, so revoke it. That holds
        // even if the store refused the record the second time: other processes may have the session since the first
        // time.
        let gave_way = reason == Fenced && place.was_refused();
        if !is_over || place.is_last() || gave_way {
            return;
        }
        if reason == RetireReason::Lost {
            // The server has lost the session, so its users need not be counted any more.
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

    /// Returns the slots of the shared sessions that this process has not left.
    pub(super) fn joined_slots(&self) -> Vec<Slot> {
        let mut joined = self.joined.lock();
        joined.retain(|_, sessions| {
            sessions.retain(|session| session.strong_count() > 0);
            !sessions.is_empty()
        });
        joined.keys().copied().collect()
    }

    /// Returns the shared sessions of one slot that this process has not left.
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
