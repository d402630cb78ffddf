//! From "this partition" to a lease on its session.

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
    /// The hit: a lease on the partition's current session, without waiting.
    ///
    /// A session that is due for renewal is still handed out, and its renewal started.
    pub(crate) fn try_lease(&self, id: PartitionId) -> Option<Lease> {
        let core = self.core();
        let now = core.now();
        core.own_at(now);
        let session = core.cached(id).or_else(|| core.brought_back(id, now))?;
        let phase = session.phase(now);
        // The server is not asked about what has ended by itself.
        if phase == Phase::Over
            || core.is_held(now)
            || (session.is_suspect(core.suspicion.signs()) && !core.is_cleared(&session, now))
        {
            return None;
        }
        // From here on it is used, and whether it was not for long is known.
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

    /// The miss: waits for a create, at most `max_wait`.
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

    /// What is wanted, once the fleet was asked for its defaults; in time.
    pub(crate) async fn look_up(
        &self,
        wanted: Wanted,
        limit: Option<Limit>,
    ) -> Result<Arc<Partition>, Error> {
        let whose = self.whose(&wanted);
        let found = self.in_time(limit, None, self.find(wanted)).await;
        found.map_err(|error| whose.name(self.core(), error))
    }

    /// The miss for the configured API key and defaults.
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
                // It had made room for others, and nobody has looked whether the server is to be asked.
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
                        // Where it was only asked about, its renewal may be due.
                        if let Some(lease) = self.try_lease(partition.id) {
                            return Ok(lease);
                        }
                        // It may have had to make room for others already.
                        if core.is_good(session, core.now())
                            && let Some(lease) = Lease::on(session, self, core.now())
                        {
                            return Ok(lease);
                        }
                    }
                    // What failed may have been to replace a session that is good after all.
                    Some(Err(error)) => {
                        let lease = self.try_lease(partition.id);
                        return lease.ok_or_else(|| error.clone());
                    }
                    // Its task is gone: once more, as where it was retired as soon as it was there.
                    None => {}
                },
                () = sleep(overdue_in) => {}
            }
        }
    }
}

enum Joined {
    Session(Arc<LiveSession>),
    /// With how long until it counts as lost.
    Flight(Flight, Duration),
    /// None may begin, as so many are under way; soon, as they take no calls.
    Crowd,
}

impl Core {
    /// Makes sure that a partition has a session, for no request in particular. `None` if that has to be tried again.
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

    /// Sees to it that a partition has a session by and by.
    pub(crate) fn see_to(self: &Arc<Self>, partition: &Arc<Partition>) {
        if let Err(error) = self.join(partition) {
            self.refused(partition, &error);
        }
    }

    /// Finds the create under way for a partition, or starts it.
    fn join(self: &Arc<Self>, partition: &Arc<Partition>) -> Result<Joined, Error> {
        let runtime = runtime()?;
        self.own();
        // Where there is no room, it alone makes some, and its own runtime may be gone.
        reaper::start(self);
        // A create that others wait for starts before anybody is told of anything.
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
        // Never under the lock: a runtime that shuts down drops the task right here, and the task takes the lock.
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

    /// Starts a renewal, or a check of `suspect`, in the background; unless there is one under way, or it was not long
    /// ago that one failed.
    fn follow_up(
        self: &Arc<Self>,
        session: &Arc<LiveSession>,
        suspect: Option<&Arc<LiveSession>>,
        now: Reading,
    ) {
        let Ok(runtime) = runtime() else { return };
        // A renewal that does not end is given up by then, and another begun.
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
        // Another may have taken its place since it was looked at.
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

    /// Whether a create asks the fleet before it waits for a call: what another process may have made costs none. A key that
    /// anybody may have made up pays first, so that a flood of them is bounded as calls are.
    pub(crate) fn shares(&self, gate: &Gate, partition: &Partition) -> bool {
        self.fleet.is_there() && gate.known_keys.is_accepted(partition.key_id)
    }

    /// A create that does not end, because its runtime is stalled or gone, makes room for another.
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
        // The next one may fare no better.
        if let Some(session) = self.cached(id) {
            session.renew_later(now);
        }
    }

    /// How long a create may wait for its first call.
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
