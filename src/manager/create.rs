//! One create, from its first try to its outcome.
//!
//! It runs in a task of its own: callers come and go, and nobody who gives up takes the create with him.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use super::{
    budget::Purpose,
    core::{Core, Stage},
    echo,
    event::{Event, RetireReason},
    janitor,
    ledger::{Clearance, Flight, Ledger, Outcome},
    life::Life,
    log,
    observe::Call,
    partition::Partition,
    policy,
    session::LiveSession,
};
use crate::{
    api::{CreateSession, SessionRecord, SessionsApi},
    clock::Reading,
    error::{Error, ErrorKind},
};

/// A create under way. Dropped before it has ended, it lets somebody else begin another.
pub(crate) struct Create {
    core: Arc<Core>,
    partition: Arc<Partition>,
    generation: u64,
    given_up: Arc<AtomicBool>,
    done: watch::Sender<Option<Outcome>>,
    progress: Progress,
    begun: Reading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Waiting until the first call may be made.
    Queued,
    /// Between two calls.
    Pausing,
    /// A call is on its way, and what becomes of it is not known.
    Calling,
    Landed,
}

impl Create {
    pub(crate) fn new(
        core: Arc<Core>,
        partition: Arc<Partition>,
        flight: &Flight,
        done: watch::Sender<Option<Outcome>>,
    ) -> Self {
        let (generation, given_up) = (flight.generation, flight.given_up.clone());
        Self {
            begun: core.now(),
            core,
            partition,
            generation,
            given_up,
            done,
            progress: Progress::Queued,
        }
    }

    pub(crate) async fn run(mut self) {
        let core = self.core.clone();
        let outcome = tokio::select! {
            biased;
            // Whoever could have used it is gone.
            () = core.abandoned() => return,
            outcome = self.fly() => outcome,
        };
        self.land(outcome);
        janitor::tend(&core).await;
    }

    async fn fly(&mut self) -> Outcome {
        self.queue().await?;
        let begun = self.core.now();
        let mut tries = 0;
        loop {
            tries += 1;
            log::tries(tries);
            self.progress = Progress::Calling;
            let outcome = self.call(begun).await;
            self.progress = Progress::Pausing;
            let Err(error) = outcome else { return outcome };
            // The pace concerns everybody at once, other failures only those who wait for this create.
            let paced = error.kind() == ErrorKind::RateLimited;
            let error = if paced { self.hold_back(error) } else { error };
            match self.core.with_rng(|rng| policy::retry(&error, tries, rng)) {
                Some(pause) if self.pause(pause, begun).await => {}
                _ => return Err(if paced { error } else { self.hold_back(error) }),
            }
        }
    }

    /// Waits until the first call may be made, as long as callers would.
    async fn queue(&mut self) -> Result<(), Error> {
        let patience = self.core.patience();
        let since = self.core.now();
        loop {
            let now = self.core.now();
            match self.clear(now) {
                Clearance::Granted => return Ok(()),
                Clearance::Wait(wait, error) => {
                    if now.since(since) + wait > patience {
                        return Err(error);
                    }
                    if !self.nap(wait).await {
                        return Err(Error::shutdown());
                    }
                }
            }
        }
    }

    /// Waits for the next call; `false` if there is no time for one, or nobody to make it for.
    async fn pause(&mut self, pause: Duration, begun: Reading) -> bool {
        let mut wait = pause;
        loop {
            let waited = self.core.now().since(begun);
            if waited + wait >= self.core.settings.create_timeout || !self.nap(wait).await {
                return false;
            }
            if !self
                .core
                .ledger()
                .is_flying(self.partition.id, self.generation)
            {
                return false;
            }
            match self.clear(self.core.now()) {
                Clearance::Granted => return true,
                Clearance::Wait(more, _) => wait = more,
            }
        }
    }

    /// Sleeps; `false` if the manager shuts down meanwhile.
    async fn nap(&self, duration: Duration) -> bool {
        tokio::select! {
            biased;
            _ = self.core.closed() => false,
            () = sleep(duration) => true,
        }
    }

    fn clear(&mut self, now: Reading) -> Clearance {
        let mut ledger = self.core.ledger();
        let clearance = ledger.clear(&self.partition, Purpose::Create, now);
        if matches!(clearance, Clearance::Granted) && self.progress == Progress::Queued {
            ledger.leave_queue(self.partition.id, self.generation, now);
            self.progress = Progress::Pausing;
        }
        clearance
    }

    fn hold_back(&self, error: Error) -> Error {
        self.core
            .ledger()
            .failed(&self.partition, error, self.core.now())
    }

    /// One call, already counted in the budget.
    async fn call(&self, begun: Reading) -> Outcome {
        let (core, partition) = (&self.core, &self.partition);
        // From before the call: the way to the server is taken from the session's life.
        let born = core.now();
        let time_left = core
            .settings
            .create_timeout
            .saturating_sub(born.since(begun));
        let api = SessionsApi::of_partition(&core.transport, &core.settings.base, partition);
        let request = CreateSession::new((*partition.defaults).clone()).ttl(core.settings.ttl);
        core.observer.session_call(Call::Create);
        match api.timeout(time_left).create_session(&request).await {
            Ok(record) => self.accept(&record, born),
            Err(error) => {
                if error.is_unknown_outcome() {
                    core.emit(Event::PossibleOrphan {
                        error: Some(error.clone()),
                    });
                }
                Err(error)
            }
        }
    }

    fn accept(&self, record: &SessionRecord, born: Reading) -> Outcome {
        let (core, partition) = (&self.core, &self.partition);
        let ttl = core.settings.ttl;
        let session = |life| {
            let life = Life::new(born, life, core.with_rng(fastrand::Rng::f64));
            let id = record.id.clone();
            Arc::new(LiveSession::new(
                id,
                self.generation,
                partition.clone(),
                life,
            ))
        };
        match echo::check(record, &partition.defaults, ttl) {
            Ok(granted) => {
                let session = session(granted.life);
                for name in granted.unknown {
                    core.emit(Event::UnknownDefault {
                        session: session.reference(),
                        name,
                    });
                }
                Ok(session)
            }
            Err(error) => {
                core.retirement
                    .retire(&session(ttl), RetireReason::WrongAnswer);
                Err(error)
            }
        }
    }

    fn land(&mut self, outcome: Outcome) {
        let core = self.core.clone();
        let event = {
            // One lock over all of it: whoever asks next finds either this create or its session.
            let mut ledger = core.ledger();
            let current = self.end(&mut ledger);
            match &outcome {
                Ok(session) => {
                    ledger.succeeded(&self.partition);
                    self.succeed(session, current)
                }
                Err(error) => self.fail(error),
            }
        };
        core.observer.create_took(core.now().since(self.begun));
        core.emit(event);
        self.done.send_replace(Some(outcome));
    }

    /// Strikes the create from the ledger; returns whether it was still the one for its partition.
    fn end(&mut self, ledger: &mut Ledger) -> bool {
        if self.progress == Progress::Queued {
            ledger.leave_queue(self.partition.id, self.generation, self.core.now());
        }
        if self.progress != Progress::Calling && self.given_up.load(Ordering::Acquire) {
            // It ended after all, and what came of it is known or counted.
            self.core.observer.take_back_orphan();
        }
        self.progress = Progress::Landed;
        ledger.end(self.partition.id, self.generation)
    }

    /// `current` says whether this create was still the one to bring a session for its partition.
    fn succeed(&self, session: &Arc<LiveSession>, current: bool) -> Event {
        let core = &self.core;
        let usable_for = session.life.usable_for(core.now());
        let mut replaces = None;
        if !current {
            core.retirement.retire(session, RetireReason::Fenced);
        } else if core.stage() != Stage::Open {
            core.retirement.retire(session, RetireReason::Shutdown);
        } else {
            replaces = core.install(session).map(|before| before.reference());
        }
        Event::Created {
            session: session.reference(),
            replaces,
            usable_for,
        }
    }

    fn fail(&self, error: &Error) -> Event {
        let (core, error, now) = (&self.core, error.clone(), self.core.now());
        match core.current(self.partition.id, now) {
            Some(session) => {
                session.renew_again_at(now.monotonic + error.retry_after().unwrap_or_default());
                let usable_for = session.life.usable_for(now);
                Event::RenewalFailed {
                    session: session.reference(),
                    usable_for,
                    error,
                }
            }
            None => Event::CreateFailed { error },
        }
    }
}

impl Drop for Create {
    fn drop(&mut self) {
        if self.progress == Progress::Landed {
            return;
        }
        // The task was ended half-way, by its runtime or by a panic in the transport.
        let calling = self.progress == Progress::Calling;
        let core = self.core.clone();
        self.end(&mut core.ledger());
        if calling && !self.given_up.load(Ordering::Acquire) {
            core.emit(Event::PossibleOrphan { error: None });
        }
    }
}
