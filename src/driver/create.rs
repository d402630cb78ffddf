//! One create, from its first try to its outcome.
//!
//! It runs in a task of its own: callers come and go, and nobody who gives up takes the create with him.

mod accept;
mod caught;
mod complete;
mod preconditions;
mod turn;
mod wait;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use self::{caught::caught, complete::renewal_failed};
use super::{
    check::no_use_for,
    core::Core,
    fleet::{Attempt, Share, StandIn},
    flight::{Flight, Outcome, beating},
    log,
    observe::Call,
    once::Sender,
    reaper,
    whose::Whose,
};
use crate::{
    api::CreateSession,
    clock::Reading,
    engine::{flight::Status, gate::Place},
    error::{Error, ErrorKind},
    hot::session::LiveSession,
    model::{budget::Purpose, event::Event, failure, partition::Partition},
};

/// A create under way. Dropped before it has ended, it lets somebody else begin another.
#[allow(clippy::struct_excessive_bools)] // any of them may go with any other
pub(crate) struct Create {
    pub(crate) core: Arc<Core>,
    pub(crate) partition: Arc<Partition>,
    /// The session that may do, if the server still knows it.
    pub(crate) suspect: Option<Arc<LiveSession>>,
    pub(crate) generation: u64,
    /// The same, until a session has it.
    pub(super) number: Option<u64>,
    pub(crate) status: Arc<Status>,
    /// Until it has landed.
    done: Option<Sender<Outcome>>,
    pub(crate) progress: Progress,
    pub(crate) attempt: Attempt,
    /// The session has been made by another process, and is new to this one.
    pub(crate) adopted: bool,
    pub(crate) begun: Reading,
    /// From a create to a check or the other way round, which happens once at most.
    turned: bool,
    /// Only the session itself can tell: it is asked for, which is a session call.
    pub(crate) metered: bool,
    /// It is asked for in place of the free question, which nobody answers.
    pub(crate) stands_in: bool,
    /// And the processes of the fleet are told what comes of it.
    pub(crate) for_fleet: Option<Box<StandIn>>,
    /// No renewal begins before this has ended.
    pub(crate) holds_renewal: bool,
    /// A pause of it has ended early, as the server answered somebody again.
    pub(crate) was_woken: bool,
    /// What its last try was for, if that could not connect to the server.
    pub(crate) unreached: Option<Purpose>,
}

/// Another create has taken the place of this one. Whoever waits looks again.
#[derive(Debug)]
pub(crate) struct Fenced;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Finding out whether another process makes the session, or what became of the one there is.
    Asking,
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
        suspect: Option<Arc<LiveSession>>,
        (flight, place): (&Flight, Place),
        done: Sender<Outcome>,
    ) -> Self {
        let (generation, status) = (flight.generation, flight.status.clone());
        let attempt = Attempt::instead_of(core.cached(partition.id).as_deref());
        Self {
            begun: core.now(),
            core,
            partition,
            suspect,
            generation,
            number: Some(generation),
            status,
            done: Some(done),
            progress: match place {
                Place::Queue | Place::Behind => Progress::Queued,
                Place::Store | Place::Nowhere => Progress::Asking,
            },
            attempt,
            adopted: false,
            turned: false,
            metered: place == Place::Queue,
            stands_in: false,
            for_fleet: None,
            holds_renewal: false,
            was_woken: false,
            unreached: None,
        }
    }

    /// Requests go on meanwhile, and begin no other.
    pub(crate) fn in_background(mut self) -> Self {
        self.holds_renewal = true;
        self
    }

    /// Its task.
    pub(crate) fn run(self) -> impl Future<Output = ()> + Send + 'static {
        let partition = self.partition.clone();
        log::create(self.generation, &partition, self.fly_and_land())
    }

    async fn fly_and_land(mut self) {
        let (core, whose) = (self.core.clone(), Whose::of(&self.partition));
        let (status, clock) = (self.status.clone(), core.clock());
        let outcome = tokio::select! {
            biased;
            // Whoever could have used it is gone.
            () = core.abandoned() => return,
            outcome = caught(beating(&status, &*clock, self.fly())) => outcome,
        };
        let outcome = outcome.unwrap_or_else(|| Ok(Err(self.panicked())));
        let outcome = outcome.map(|outcome| self.spare_others(outcome));
        let outcome = outcome.map(|outcome| outcome.map_err(|error| whose.name(&core, error)));
        let error = outcome
            .as_ref()
            .ok()
            .and_then(|outcome| outcome.as_ref().err());
        tokio::select! {
            biased;
            () = core.abandoned() => return,
            () = self.give_back_right(error) => {}
        }
        if let Ok(outcome) = outcome {
            let session = outcome.as_ref().ok().cloned();
            self.land(outcome);
            if let Some(session) = session {
                core.fleet
                    .landed(&core, &session, self.attempt.was_refused());
            }
            reaper::tend(&core).await;
        }
    }

    /// Asks the fleet, waits for its turn, and calls until there is an outcome.
    async fn fly(&mut self) -> Result<Outcome, Fenced> {
        if self.suspect.is_none()
            && let Some(outcome) = self.settle_with_fleet().await?
        {
            return Ok(outcome);
        }
        let begun = self.core.now();
        if self.purpose() != Purpose::Question
            && let Err(error) = self.queue().await?
            && !self.goes_on_unasked(&error, begun).await?
        {
            return Ok(Err(error));
        }
        let begun = self.core.now();
        let mut tries = 0;
        loop {
            tries += 1;
            log::tries(tries);
            let outcome = self.try_once(begun).await?;
            self.note_reach(&outcome);
            // It may have ended while the server was asked: the same create goes on to make a successor.
            if outcome.is_ok() && self.is_over() && self.turn_to(None, begun).await? {
                tries = 0;
                continue;
            }
            if let (Err(error), Some(suspect)) = (&outcome, self.suspect.clone())
                && let Some(reason) = no_use_for(error)
            {
                self.give_up_suspect(&suspect, reason);
                // The same create goes on to make a successor.
                if self.pause(failure::FLOOR, begun).await? {
                    continue;
                }
                let text = "the server has lost the session, and there was no time to make another";
                return Ok(Err(Error::new(ErrorKind::Timeout, text)));
            }
            let Err(error) = outcome else {
                return Ok(outcome);
            };
            if self.goes_on_unasked(&error, begun).await?
                || (tries > 1 && self.goes_on_unheard(&error, begun).await?)
            {
                tries = 0;
                continue;
            }
            // A successor cannot be had for now, and what there is has become suspect by that: it may be alive all the same.
            if let Some(current) = self.current_after(&error) {
                let error = self.hold_back(error);
                if !self.turn_to(Some(current.clone()), begun).await? {
                    return Ok(Err(error));
                }
                let failed = renewal_failed(&current, error, self.core.now());
                self.core.emit(failed);
                tries = 0;
                continue;
            }
            // The pace concerns everybody at once, other failures only those who wait for this create.
            let paced = error.kind() == ErrorKind::RateLimited;
            let error = if paced { self.hold_back(error) } else { error };
            let pause = self.core.with_rng(|rng| failure::retry(&error, tries, rng));
            // All others fail at once until this one has found out.
            let pause = pause.filter(|_| !self.probes_reach());
            let again = match pause {
                Some(pause) => {
                    let least = error.retry_after().unwrap_or_default();
                    self.pause_at_least(least, pause, begun).await?
                }
                None => false,
            };
            if again {
                continue;
            }
            // What a gateway says holds back this partition as well: it may say so to nobody else, and others have to find out.
            let is_outage = self.unreached.is_some() && error.status().is_none();
            let held = paced || is_outage;
            let error = if held { error } else { self.hold_back(error) };
            // Where the question is not answered, a successor may be had all the same.
            let unanswered = self.suspect.as_ref().map(|suspect| suspect.reference());
            let Some(session) = unanswered.filter(|_| !self.turned && failure::is_local(&error))
            else {
                return Ok(Err(error));
            };
            if !self.turn_to(None, begun).await? {
                return Ok(Err(error));
            }
            self.core.emit(Event::CheckFailed { session, error });
            tries = 0;
        }
    }

    pub(crate) fn purpose(&self) -> Purpose {
        match self.suspect {
            Some(_) if self.metered => Purpose::Check,
            Some(_) => Purpose::Question,
            None => Purpose::Create,
        }
    }

    fn calling(&mut self, calling: bool) {
        self.progress = if calling {
            Progress::Calling
        } else {
            Progress::Pausing
        };
        self.status.calling.store(calling, Ordering::Release);
    }

    pub(crate) fn hold_back(&self, error: Error) -> Error {
        self.core
            .gate()
            .failed(&self.partition, self.purpose(), error, self.core.now())
    }

    /// `None` if there is a call to be made, by this create.
    async fn settle_with_fleet(&mut self) -> Result<Option<Outcome>, Fenced> {
        match self.share().await {
            Share::Create => Ok(None),
            Share::Ask { session, by_itself } => {
                self.adopted = true;
                self.metered = by_itself;
                self.suspect = Some(session);
                let (core, now) = (&self.core, self.core.now());
                let held = core
                    .gate()
                    .check_holds(&self.partition, Purpose::Check, now);
                Ok(held.err().map(Err))
            }
            Share::Done(outcome) => {
                self.adopted = outcome.is_ok();
                Ok(Some(outcome))
            }
            Share::Fenced => Err(Fenced),
        }
    }

    async fn try_once(&mut self, begun: Reading) -> Result<Outcome, Fenced> {
        if self.suspect.is_none()
            && let Some(outcome) = self.settle_with_fleet().await?
        {
            return Ok(outcome);
        }
        if let Some(suspect) = self.suspect.clone() {
            return self.find_out(suspect, begun).await;
        }
        self.calling(true);
        let mut outcome = self.call(begun).await;
        if let Ok(session) = &outcome {
            let session = session.clone();
            outcome = self.publish(&session).await.map(|()| session);
        }
        if outcome.is_err() {
            self.calling(false);
        }
        // A session is known to nobody else in this process until it has landed.
        Ok(outcome)
    }

    /// One call, already counted in the budget.
    async fn call(&mut self, begun: Reading) -> Outcome {
        let (core, partition) = (self.core.clone(), self.partition.clone());
        // From before the call: the way to the server is taken from the session's life.
        let (born, signs) = (core.now(), core.suspicion.signs());
        let time_left = core
            .settings
            .create_timeout
            .saturating_sub(born.since(begun));
        // What comes later than the right lasts is refused.
        let accepted_for = self.attempt.accepted_for(born);
        let time_left = time_left.min(accepted_for.unwrap_or(time_left));
        let api = core.calls(&partition);
        let request = CreateSession::new((*partition.defaults).clone()).ttl(core.settings.ttl);
        core.observer.session_call(Call::Create);
        match api.timeout(time_left).create_with_head(&request).await {
            Ok((record, head)) => {
                let made_at = Duration::from_millis(record.created_at.unwrap_or_default());
                core.saw_create(&head, born, made_at);
                core.answered_to(&partition);
                core.counted_call(&partition);
                let generation = self.number_of_session();
                self.accept(&record, generation, born, signs)
            }
            Err(error) => {
                self.look_at(&partition, &error, born);
                if error.is_unknown_outcome() {
                    core.emit(partition.possible_orphan(Some(error.clone())));
                }
                Err(error)
            }
        }
    }
}
