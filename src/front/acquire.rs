//! Finds or creates the session of a partition (one API key with one set of defaults), and takes a lease on it. While
//! the lease exists, the session is not deleted.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::sleep};

use super::{
    admit::no_api_key, lease::Lease, manager::SessionManager, patience::Limit, waiting::Wanted,
};
use crate::{
    clock::Reading,
    driver::{
        core::Core,
        create::Create,
        flight::{Flight, Gate, Outcome, Waiters},
        once, reaper,
        stage::Stage,
    },
    engine::gate::Place,
    error::Error,
    hot::session::LiveSession,
    model::{
        budget::Purpose,
        failure::FLOOR,
        life::Phase,
        partition::{Partition, PartitionId},
    },
    runtime::{no_runtime, runtime},
};

impl SessionManager {
    /// Takes a lease on the partition's current session, without waiting. Returns `None` if a request has to wait.
    ///
    /// A session that is due for renewal is still used. Its renewal is started in the background.
    pub(crate) fn try_lease(&self, id: PartitionId) -> Option<Lease> {
        let core = self.core();
        let now = core.now();
        core.own_at(now);
        let session = core.cached(id).or_else(|| core.brought_back(id, now))?;
        let phase = session.phase(now);
        // Look at the expiry first: `is_held` may ask the server whether it still has its sessions. For an expired
        // session, that call would be wasted.
        if phase == Phase::Over
            || core.is_held(now)
            || (session.is_suspect(core.suspicion.signs()) && !core.is_cleared(&session, now))
        {
            return None;
        }
        // Taking the lease counts as a use, and records whether the session had been idle for long. `is_to_be_verified`
        // reads that record below.
        let lease = Lease::on(&session, self, now)?;
        core.fleet.used(core, now);
        match phase {
            Phase::Fresh if core.is_to_be_verified(&session, now) => {
                core.follow_up(&session, Some(&session), now);
            }
            Phase::Aging => core.follow_up(&session, None, now),
            Phase::Fresh | Phase::Over => {}
        }
        Some(lease)
    }

    /// Waits for a create, at most `max_wait`, and takes a lease on its session.
    pub(crate) async fn lease(self, partition: Arc<Partition>) -> Result<Lease, Error> {
        self.lease_on(Wanted::Session(partition), None).await
    }

    pub(crate) async fn lease_on(
        &self,
        wanted: Wanted,
        limit: Option<Limit>,
    ) -> Result<Lease, Error> {
        if !self.core().settings.inline.makes_sessions {
            return Err(no_sessions(self.core().stage()));
        }
        let (whose, partition) = (self.whose(&wanted), wanted.partition().cloned());
        let found = self.find_and_wait(wanted, limit);
        let found = self.in_time(limit, partition, found).await;
        found.map_err(|error| whose.name(self.core(), error))
    }

    async fn find_and_wait(&self, wanted: Wanted, limit: Option<Limit>) -> Result<Lease, Error> {
        let partition = self.find(wanted).await?;
        loop {
            let found = self.wait_for_lease(&partition).await;
            if let Err(error) = &found
                && self.comes_back(partition.id, limit, error).await
            {
                continue;
            }
            return found.inspect_err(|error| self.core().refused(&partition, error));
        }
    }

    async fn find(&self, wanted: Wanted) -> Result<Arc<Partition>, Error> {
        match wanted {
            Wanted::Session(partition) => Ok(partition),
            Wanted::OfManager(key) => {
                {
                    let identity = self.identity();
                    self.core().fleet.first_look(self.core(), &identity).await?;
                };
                Partition::new(key, self.identity().defaults())
            }
        }
    }

    /// Returns the partition of the wanted session, within the time limit. Before that, reads the group's present
    /// defaults from the fleet's store if needed.
    pub(crate) async fn look_up(
        &self,
        wanted: Wanted,
        limit: Option<Limit>,
    ) -> Result<Arc<Partition>, Error> {
        let whose = self.whose(&wanted);
        let found = self.in_time(limit, None, self.find(wanted)).await;
        found.map_err(|error| whose.name(self.core(), error))
    }

    /// Waits for a session of the configured API key and defaults.
    pub(crate) async fn lease_of_manager(&self) -> Result<Lease, Error> {
        let key = self.identity().key().cloned();
        let key = key.ok_or_else(no_api_key)?;
        self.lease_on(Wanted::OfManager(key), None).await
    }

    async fn wait_for_lease(&self, partition: &Arc<Partition>) -> Result<Lease, Error> {
        let core = self.core();
        loop {
            if let Some(lease) = self.try_lease(partition.id) {
                return Ok(lease);
            }
            let (flight, overdue_in) = match core.join(partition)? {
                Joined::Flight(flight, overdue_in) => (flight, overdue_in),
                // The session was evicted and has just been put back. Nobody has checked yet whether the server must be
                // asked before the session is used. So begin again, which checks it.
                Joined::Session(_) if core.is_held(core.now()) => continue,
                Joined::Session(session) => match Lease::on(&session, self, core.now()) {
                    Some(lease) => return Ok(lease),
                    None => continue,
                },
                Joined::Crowd => {
                    sleep(FLOOR).await;
                    continue;
                }
            };
            tokio::select! {
                biased;
                _ = core.closed() => return Err(Error::shutdown()),
                outcome = flight.waiters.outcome.wait() => match outcome {
                    Some(Ok(session)) => {
                        // The create may have been a check that kept the session. The session's renewal may then be
                        // due, and `try_lease` starts it.
                        if let Some(lease) = self.try_lease(partition.id) {
                            return Ok(lease);
                        }
                        // The session may already have been evicted to make room for others. It is still good for this
                        // request.
                        if core.is_good(session, core.now())
                            && let Some(lease) = Lease::on(session, self, core.now())
                        {
                            return Ok(lease);
                        }
                    }
                    // The failed create may have been a renewal. The current session can still be good, so try it once
                    // more.
                    Some(Err(error)) => {
                        let lease = self.try_lease(partition.id);
                        return lease.ok_or_else(|| error.clone());
                    }
                    // The task of the create is gone, or the new session was retired at once. Try again.
                    None => {}
                },
                () = sleep(overdue_in) => {}
            }
        }
    }
}

enum Joined {
    Session(Arc<LiveSession>),
    /// The create under way, and how long until it counts as lost.
    Flight(Flight, Duration),
    /// Too many creates wait for the fleet's store, so no other may begin now. They make no calls, so one of them may
    /// end soon.
    Crowd,
}

impl Core {
    /// Makes sure that a partition has a session, although no request needs it yet. Returns `None` if the caller has to
    /// try again.
    pub(crate) async fn warm_up(self: &Arc<Self>, partition: &Arc<Partition>) -> Option<Outcome> {
        let (flight, overdue_in) = match self.join(partition) {
            Ok(Joined::Flight(flight, overdue_in)) => (flight, overdue_in),
            Ok(Joined::Session(session)) => return Some(Ok(session)),
            Ok(Joined::Crowd) => return None,
            Err(error) => return Some(Err(error)),
        };
        tokio::select! {
            biased;
            _ = self.closed() => Some(Err(Error::shutdown())),
            outcome = flight.waiters.outcome.wait() => outcome.cloned(),
            () = sleep(overdue_in) => None,
        }
    }

    /// Starts a create in the background if the partition has no session.
    pub(crate) fn see_to(self: &Arc<Self>, partition: &Arc<Partition>) {
        if let Err(error) = self.join(partition) {
            self.refused(partition, &error);
        }
    }

    /// Finds the create under way for a partition, or starts one.
    fn join(self: &Arc<Self>, partition: &Arc<Partition>) -> Result<Joined, Error> {
        let runtime = runtime()?;
        self.own();
        // If `max_sessions` is reached, only the reaper's task makes room. Its runtime may have ended, so start the
        // task here if it is not running.
        reaper::start(self);
        // Queue all events until the create has been started. Subscribers run in this thread, and must not delay a
        // create for which other requests wait.
        let _later = self.observer.later();
        let mut gate = self.gate();
        if self.stage() != Stage::Open {
            return Err(Error::shutdown());
        }
        let now = self.now();
        let found = self.find(partition.id, now);
        if let Some(session) = found.clone().filter(|session| self.is_good(session, now)) {
            drop(gate);
            reaper::start(self);
            return Ok(Joined::Session(session));
        }
        self.give_up_overdue(&mut gate, partition, now, &runtime);
        let timeout = self.settings.create_timeout;
        if let Some(flight) = gate.flight(partition.id) {
            let overdue_in = flight.overdue_to(&runtime, timeout, now);
            return Ok(Joined::Flight(flight.clone(), overdue_in));
        }
        let suspect = self.may_begin(&mut gate, partition, found, now)?;
        if suspect.is_none()
            && self.shares(&gate, partition)
            && gate.is_crowded(partition.id, self.patience(), now)?
        {
            return Ok(Joined::Crowd);
        }
        let (flight, create) = self.begin(&mut gate, &runtime, partition, suspect, now);
        // Release the gate's lock before the spawn. If the runtime is shutting down, it drops the task at once, and
        // dropping the task takes that lock.
        drop(gate);
        self.had_calls();
        runtime.spawn(create.run());
        if flight.waiters.outcome.is_closed() {
            return Err(no_runtime());
        }
        Ok(Joined::Flight(flight, timeout))
    }

    fn is_to_be_verified(&self, session: &LiveSession, now: Reading) -> bool {
        let every = self.settings.verify_every;
        every.is_some_and(|every| now.since(session.alive_at()) >= every)
            || session.was_out_of_sight(now)
    }

    /// Starts a renewal, or a check of `suspect`, in the background. Does nothing if one is under way, or if one failed
    /// a short time ago.
    fn follow_up(
        self: &Arc<Self>,
        session: &Arc<LiveSession>,
        suspect: Option<&Arc<LiveSession>>,
        now: Reading,
    ) {
        let Ok(runtime) = runtime() else { return };
        // If the renewal has not ended by then, it is given up and another one is started.
        let again_at = now.monotonic.saturating_add(self.settings.create_timeout);
        if !session.begin_renewal(now.monotonic, again_at) {
            return;
        }
        let partition = &session.partition;
        let mut gate = self.gate();
        let before = gate.flight(partition.id);
        if before.is_some_and(|before| before.goes_on_with(&runtime)) {
            return;
        }
        self.give_up_overdue(&mut gate, partition, now, &runtime);
        if gate.flight(partition.id).is_some() || self.stage() != Stage::Open {
            return;
        }
        // Another session may have become the current one since this one was read.
        let current = self.cached(partition.id);
        if !current.is_some_and(|current| Arc::ptr_eq(&current, session)) {
            return;
        }
        let patience = self.patience();
        let is_crowded = gate.is_crowded(partition.id, patience, now);
        if suspect.is_none() && is_crowded.unwrap_or(true) {
            session.renew_again_at(now.monotonic.saturating_add(FLOOR));
            return;
        }
        let may_begin = match suspect {
            Some(_) => gate.check(partition, Purpose::Check, patience, now),
            None => self.may_create(&mut gate, partition, now),
        };
        match may_begin {
            Ok(()) => {
                if suspect.is_none() {
                    session.set_superseded(false);
                }
                let suspect = suspect.cloned();
                let (_, create) = self.begin(&mut gate, &runtime, partition, suspect, now);
                drop(gate);
                self.had_calls();
                runtime.spawn(create.in_background().run());
            }
            Err(error) => {
                let pause = error.next_attempt_in().unwrap_or_default();
                session.renew_again_at(now.monotonic.saturating_add(pause));
            }
        }
    }

    fn begin(
        self: &Arc<Self>,
        gate: &mut Gate,
        runtime: &Handle,
        partition: &Arc<Partition>,
        suspect: Option<Arc<LiveSession>>,
        now: Reading,
    ) -> (Flight, Create) {
        let generation = self.next_number();
        let (done, outcome) = once::channel::<Outcome>();
        let signs = self.suspicion.signs();
        let place = match &suspect {
            Some(suspect) if suspect.is_suspect(signs) => Place::Nowhere,
            None if self.shares(gate, partition) => Place::Store,
            None if gate.comes_behind(partition, Purpose::Create, now) => Place::Behind,
            Some(_) | None => Place::Queue,
        };
        let runtime = runtime.id();
        let waiters = Waiters { outcome, runtime };
        let flight = gate.begin(partition.id, generation, waiters, place, now);
        let create = Create::new(
            self.clone(),
            partition.clone(),
            suspect,
            (&flight, place),
            done,
        );
        (flight, create)
    }

    /// Returns whether a create first looks into the fleet's store, and waits for the call budget only after that. It
    /// does so for API keys that the server has accepted: to adopt a session from the store costs no call.
    ///
    /// Any other key may be made up. Its create waits for the call budget first. So a flood of made-up keys reads the
    /// store no more often than the budget allows.
    pub(crate) fn shares(&self, gate: &Gate, partition: &Partition) -> bool {
        self.fleet.is_there() && gate.known_keys.is_accepted(partition.key_id)
    }

    /// Gives up a create that has not ended in time because its runtime has stalled or is gone. Then another can start.
    fn give_up_overdue(&self, gate: &mut Gate, partition: &Partition, now: Reading, on: &Handle) {
        let id = partition.id;
        let timeout = self.settings.create_timeout;
        let is_overdue = |flight: &Flight| flight.overdue_to(on, timeout, now).is_zero();
        if !gate.flight(id).is_some_and(is_overdue) {
            return;
        }
        if gate.give_up(id) {
            self.emit(partition.possible_orphan(None));
        }
        // The next renewal may fail in the same way, so do not try again at once.
        if let Some(session) = self.cached(id) {
            session.renew_later(now);
        }
    }

    /// Returns how long a create may wait until it may make its first call.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.max_wait.min(self.settings.create_timeout)
    }
}

#[cold]
fn no_sessions(stage: Stage) -> Error {
    match stage {
        Stage::Open => {
            Error::config("without_sessions: is set; expected no call that needs a session")
        }
        Stage::ShuttingDown | Stage::Abandoned => Error::shutdown(),
    }
}
