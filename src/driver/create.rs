//! One create, from its first try to its outcome. `engine::attempt` decides what it does next.
//!
//! A create runs in a task of its own. So a caller that gives up does not end the create for the others.

mod accept;
mod call;
mod complete;
mod drive;
mod panicked;
mod preconditions;

use std::sync::Arc;

use super::{
    caught::caught,
    core::Core,
    fleet::Claiming,
    flight::{Attempt, Flight, Outcome, beating},
    log,
    once::Sender,
    reaper,
    stand_in::StandsIn,
    whose::Whose,
};
use crate::{
    clock::Reading,
    engine::{
        attempt::{Fenced, Limits},
        flight::Status,
        gate::Place,
    },
    hot::session::LiveSession,
    model::partition::Partition,
};

/// A create under way. If it is dropped before it has ended, another one may begin.
pub(crate) struct Create {
    pub(crate) core: Arc<Core>,
    pub(crate) partition: Arc<Partition>,
    pub(crate) generation: u64,
    /// The create's own number, for the first session that it makes or adopts. `None` once that session has it.
    pub(super) number: Option<u64>,
    pub(crate) attempt: Attempt,
    pub(crate) status: Arc<Status>,
    /// Sends the outcome. `None` once that is done.
    done: Option<Sender<Outcome>>,
    pub(crate) claiming: Claiming,
    begun: Reading,
    /// Set while this create makes a session call in place of `GET /v1/health`.
    pub(crate) standing_in: Option<StandsIn>,
    /// How many signs of a restart there had been, and the time, just before this create asked the server for its
    /// session.
    pub(crate) asked: (u64, Reading),
    landed: bool,
    /// Whether no renewal may begin before this create has ended.
    holds_renewal: bool,
}

impl Create {
    pub(crate) fn new(
        core: Arc<Core>,
        partition: Arc<Partition>,
        suspect: Option<Arc<LiveSession>>,
        (flight, place): (&Flight, Place),
        done: Sender<Outcome>,
    ) -> Self {
        let (generation, status, now) = (flight.generation, flight.status.clone(), core.now());
        let limits = Limits {
            patience: core.patience(),
            timeout: core.settings.create_timeout,
        };
        Self {
            claiming: Claiming::instead_of(core.cached(partition.id).as_deref()),
            core,
            partition,
            generation,
            number: Some(generation),
            attempt: Attempt::new(generation, suspect, place, limits, now),
            status,
            done: Some(done),
            begun: now,
            standing_in: None,
            asked: (0, now),
            landed: false,
            holds_renewal: false,
        }
    }

    /// Makes this a create in the background: requests go on with the current session, and start no other renewal.
    pub(crate) fn in_background(mut self) -> Self {
        self.holds_renewal = true;
        self
    }

    /// Returns the future of the create's task.
    pub(crate) fn run(self) -> impl Future<Output = ()> + Send + 'static {
        let partition = self.partition.clone();
        log::create(self.generation, &partition, self.fly_and_land())
    }

    async fn fly_and_land(mut self) {
        let (core, whose) = (self.core.clone(), Whose::of(&self.partition));
        let (status, clock) = (self.status.clone(), core.clock());
        let outcome = tokio::select! {
            biased;
            // The last handle is gone, so nobody can use the session.
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
            () = self.give_back_claim(error) => {}
        }
        if let Ok(outcome) = outcome {
            let session = outcome.as_ref().ok().cloned();
            self.land(outcome);
            if let Some(session) = session {
                core.fleet
                    .landed(&core, &session, self.claiming.was_refused());
            }
            reaper::tend(&core).await;
        }
    }
}
