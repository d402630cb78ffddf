//! The current session of each partition: finding, replacing and ending it.

use std::sync::Arc;

use super::{core::Core, known_ids::IdHash, reaper, stage::Stage};
use crate::{
    clock::Reading,
    driver::flight::Gate,
    hot::{memo, session::LiveSession},
    model::{event::Event, identity::Identity, partition::PartitionId, reason::RetireReason},
};

impl Core {
    /// Returns the current session of a partition. This also finds a session that was evicted while requests used it.
    pub(crate) fn find(&self, id: PartitionId, now: Reading) -> Option<Arc<LiveSession>> {
        match self.cached(id) {
            Some(session) if session.is_usable(now) => return Some(session),
            // Remove an expired session here. The cache drops idle entries only, and each lookup counts as a use.
            Some(session) if !session.life.may_go_on(now) => self.forget(&session),
            _ => {}
        }
        let pinned = self.retirement.unpin(id)?;
        if !pinned.is_usable(now) {
            self.retirement.retire(&pinned, RetireReason::Replaced);
            return None;
        }
        self.install(&pinned);
        Some(pinned)
    }

    /// Returns a partition's session that was evicted while requests used it, and puts it back into the cache.
    pub(crate) fn brought_back(&self, id: PartitionId, now: Reading) -> Option<Arc<LiveSession>> {
        self.retirement.pinned(id)?;
        let _gate = self.gate();
        self.find(id, now)
    }

    /// Returns every session that is not retired, even if its id may no longer be sent.
    ///
    /// Exact only if the caller holds the lock of the gate. Under that lock, sessions come and go, and move between
    /// the cache and the pinned ones.
    pub(crate) fn sessions(&self) -> Vec<Arc<LiveSession>> {
        let cached = self.live.iter().map(|(_, session)| session);
        let all = cached.chain(self.retirement.all_pinned());
        all.filter(|session| !session.in_flight.is_retired())
            .collect()
    }

    pub(crate) fn has_sessions(&self) -> bool {
        !self.sessions().is_empty()
    }

    /// Returns whether there is a usable session for this API key and these defaults. A session counts even while the
    /// server is asked about it.
    pub(crate) fn has_usable_session(&self, of: &Identity, now: Reading) -> bool {
        let id = of.key_id().map(|key| of.defaults().with_key(key));
        let session = id.and_then(|id| self.cached(id));
        session.is_some_and(|session| session.is_usable(now))
    }

    /// Returns the session that the cache has for a partition, whatever its state.
    pub(crate) fn cached(&self, id: PartitionId) -> Option<Arc<LiveSession>> {
        self.live.get(&id)
    }

    /// Waits until a partition has a good session. Used by requests that wait for a create of another request.
    pub(crate) async fn arrival(&self, id: PartitionId) {
        loop {
            // Subscribe before the look, so that no arrival after it is missed.
            let arrived = self.observer.arrivals.notified();
            let session = self.cached(id);
            if session.is_some_and(|session| self.is_good(&session, self.now())) {
                return;
            }
            arrived.await;
        }
    }

    /// Removes a session that has expired.
    pub(crate) fn forget(&self, session: &Arc<LiveSession>) {
        memo::forget(session);
        self.live.invalidate(&session.partition.id);
    }

    /// Makes a session the current one of its partition, and retires the one that it replaces. The caller holds the
    /// lock of the gate.
    pub(crate) fn install(&self, session: &Arc<LiveSession>) -> Option<Arc<LiveSession>> {
        let id = session.partition.id;
        self.known_ids.note(IdHash::of_session(session), id);
        let older = [self.live.get(&id), self.retirement.unpin(id)];
        self.live.insert(id, session.clone());
        self.observer.arrived();
        let older = older
            .into_iter()
            .flatten()
            .filter(|older| !Arc::ptr_eq(older, session));
        let older = older
            .inspect(|older| self.retirement.retire(older, RetireReason::Replaced))
            .last();
        // Run evictions now, before another thread looks for a session that is about to be evicted.
        self.live.run_pending_tasks();
        older
    }

    /// Makes a session that another process of the fleet created the current one. Requests go on meanwhile.
    pub(crate) fn take_up(self: &Arc<Self>, session: &Arc<LiveSession>) {
        let event = {
            let _gate = self.gate();
            if self.stage() != Stage::Open {
                self.retirement.retire(session, RetireReason::Shutdown);
                return;
            }
            let current = self.cached(session.partition.id);
            if current.is_some_and(|current| current.is_newer_than(session)) {
                self.retirement.retire(session, RetireReason::Replaced);
                return;
            }
            let replaces = self.install(session).map(|before| before.reference());
            let usable_for = session.life.usable_for(self.now());
            Event::Adopted {
                session: session.reference(),
                defaults: session.partition.defaults.clone(),
                replaces,
                usable_for,
            }
        };
        self.emit(event);
        reaper::start(self);
    }

    /// Retires a session. Returns whether requests could get it until now.
    pub(crate) fn retire_this(
        self: &Arc<Self>,
        reason: RetireReason,
        session: &Arc<LiveSession>,
    ) -> bool {
        let is_held = {
            let mut gate = self.gate();
            let id = session.partition.id;
            let held = [self.cached(id), self.retirement.pinned(id)];
            let is_held = held
                .iter()
                .flatten()
                .any(|held| Arc::ptr_eq(held, session) && !session.in_flight.is_retired());
            if is_held {
                self.end(&mut gate, reason, session);
            } else {
                // The session was replaced here, or never used here. Other processes of the fleet may still use it, so
                // tell them.
                self.fleet.retired(session, reason);
            }
            is_held
        };
        self.start_tasks();
        is_held
    }

    /// Retires all sessions for which `is_meant` returns `true`, and returns them.
    pub(crate) fn retire_all(
        self: &Arc<Self>,
        reason: RetireReason,
        mut is_meant: impl FnMut(&Arc<LiveSession>) -> bool,
    ) -> Vec<Arc<LiveSession>> {
        self.own();
        let meant: Vec<_> = {
            let mut gate = self.gate();
            for session in self.retirement.sessions() {
                // The session was replaced here, but other processes of the fleet may still use it. So they have to be
                // told.
                if is_meant(&session) {
                    self.fleet.retired(&session, reason);
                }
            }
            let meant = self
                .sessions()
                .into_iter()
                .filter(|session| is_meant(session));
            let mut meant: Vec<_> = meant.collect();
            // The cache has no stable order.
            meant.sort_by_key(|session| session.generation);
            for session in &meant {
                self.end(&mut gate, reason, session);
            }
            meant
        };
        self.start_tasks();
        meant
    }

    /// Starts the task that deletes retired sessions and the task that informs the fleet. They may run already, but
    /// their runtimes may also have ended or stalled.
    fn start_tasks(self: &Arc<Self>) {
        reaper::start(self);
        self.fleet.used(self, self.now());
    }

    fn end(&self, gate: &mut Gate, reason: RetireReason, session: &Arc<LiveSession>) {
        let id = session.partition.id;
        if reason == RetireReason::Invalidated {
            // Fence off a create under way: what made the user invalidate this session may be true of the new one as
            // well.
            gate.fence(id);
        }
        if self
            .cached(id)
            .is_some_and(|cached| Arc::ptr_eq(&cached, session))
        {
            self.live.invalidate(&id);
        }
        self.retirement.unpin_this(session);
        self.retirement.retire(session, reason);
        self.fleet.retired(session, reason);
    }
}
