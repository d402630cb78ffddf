//! An *attempt*: a create, a renewal or a check, as a state machine. It says what it waits for, and what follows from
//! each input.
//!
//! An attempt that begins with a session checks whether the server still knows that session. An attempt that begins
//! without one creates a session. After a failure, an attempt can turn from a check to a create or back, but only once.
//! A check that finds its session lost always goes on with a create. The task that drives an attempt looks at its
//! [`Step`], waits for what the step names, and hands in the [`Input`].
//!
//! Words that the names here use:
//!
//! - A *suspect* is a session about which the server has to be asked before it is used again.
//! - A *metered* check is `GET /v1/sessions/{id}`, which counts against the key's quota. `GET /v1/health` is free.
//! - An attempt that *stands in* makes a metered check because `GET /v1/health` says nothing. Other attempts wait for
//!   the result.
//! - An *adopted* session was created by another process of the fleet.

mod check;
mod failure;
mod land;
mod pause;
mod share;
mod step;
#[cfg(test)]
mod tests;
mod turn;

use std::{collections::VecDeque, mem, time::Duration};

use fastrand::Rng;

pub(crate) use self::{
    failure::is_unanswered,
    pause::Pause,
    share::Share,
    step::{Checked, Effect, Fenced, Input, Known, Outcome, Queued, Step},
};
use super::gate::{Gate, Place};
use crate::{
    clock::Reading,
    error::Error,
    model::{budget::Purpose, partition::Partition},
};

/// How many times an attempt may get a fresh time limit because it goes on with other work.
const PROLONGED_AT_MOST: u32 = 2;

/// Time limits of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long an attempt may wait before its first call.
    pub(crate) patience: Duration,
    /// How long its calls and retries may take, from the first call on.
    pub(crate) timeout: Duration,
}

/// What the driver knows at the moment an input comes in.
#[allow(clippy::struct_excessive_bools)] // independent flags
#[derive(Clone, Debug)]
pub(crate) struct Facts<S> {
    /// The live session that requests keep using during the attempt.
    pub(crate) current: Option<S>,
    /// Whether the session under check may not be used any more, even if it is alive: it has expired or was invalidated
    /// meanwhile.
    pub(crate) is_over: bool,
    /// How many signs of trouble have been seen.
    pub(crate) signs: u64,
    /// Whether the last `GET /v1/health` got a useful answer.
    pub(crate) is_told: bool,
    /// Whether sessions may stay in use, in doubt, while `GET /v1/health` gets no useful answer.
    pub(crate) may_go_on_untold: bool,
    /// Whether nobody can connect to the server at present.
    pub(crate) is_outage: bool,
    /// When the server last answered any request.
    pub(crate) answered: Option<Reading>,
}

/// What a decision needs besides the attempt.
pub(crate) struct Context<'a, W, S> {
    pub(crate) partition: &'a Partition,
    pub(crate) gate: &'a mut Gate<W>,
    pub(crate) facts: Facts<S>,
    pub(crate) now: Reading,
}

/// An attempt: a create, a renewal or a check under way. `S` is the type of a session.
#[allow(clippy::struct_excessive_bools)] // independent flags
#[derive(Clone, Debug)]
pub(crate) struct Attempt<S> {
    pub(crate) generation: u64,
    limits: Limits,
    step: Step<S>,
    effects: VecDeque<Effect<S>>,
    /// The session under check. `None` while the attempt creates one.
    suspect: Option<S>,
    /// Whether `suspect` was created by another process of the fleet and is not in use here yet.
    adopted: bool,
    place: Queueing,
    /// Whether a create's call is under way, or has created a session that is not the current one yet.
    calling: bool,
    /// Whether a failure has turned the attempt from a create to a check or back. That may happen only once.
    turned: bool,
    /// Whether only the metered `GET /v1/sessions/{id}` can tell if the session is alive.
    metered: bool,
    /// Whether this attempt makes the session call in place of `GET /v1/health`, which gets no useful answer.
    stands_in: bool,
    /// Whether a wait of this attempt has already ended early because the server answered another request.
    was_woken: bool,
    /// The purpose of the last try, if that try could not connect to the server.
    unreached: Option<Purpose>,
    begun: Reading,
    /// The source of the random lengths of its pauses.
    rng: Rng,
    /// When the present series of tries began. Before the first call, when the attempt began to wait for it.
    round: Reading,
    /// When the time limit of the present call began. Work before the call counts too.
    call: Reading,
    /// How many times the attempt has got a fresh time limit.
    prolonged: u32,
    /// How many signs of trouble had been seen when the attempt began its last check, and when that was.
    looked: (u64, Reading),
    tries: u32,
}

/// Whether the attempt waits in the gate's queue for its turn to make the first call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queueing {
    /// Not in the queue: it is not known yet whether the attempt will make a call.
    Outside,
    /// It waits in the queue.
    Inside,
    /// It has had its turn, and retries without a queue.
    Over,
}

impl<S: Clone> Attempt<S> {
    pub(crate) fn new(
        generation: u64,
        suspect: Option<S>,
        place: Place,
        limits: Limits,
        now: Reading,
    ) -> Self {
        Self {
            generation,
            limits,
            step: Step::Begun,
            effects: VecDeque::new(),
            suspect,
            adopted: false,
            place: match place {
                Place::Queue | Place::Behind => Queueing::Inside,
                Place::Store | Place::Nowhere => Queueing::Outside,
            },
            calling: false,
            turned: false,
            metered: place == Place::Queue,
            stands_in: false,
            was_woken: false,
            unreached: None,
            begun: now,
            rng: Rng::with_seed(0),
            round: now,
            call: now,
            prolonged: 0,
            looked: (0, now),
            tries: 0,
        }
    }

    /// Handles one input and moves on to the next step. An input that the present step does not wait for changes
    /// nothing.
    pub(crate) fn handle<W: Clone>(&mut self, input: Input<S>, cx: &mut Context<'_, W, S>) {
        self.step = match (mem::replace(&mut self.step, Step::Begun), input) {
            (Step::Begun, Input::Begun(seed)) => {
                self.rng = Rng::with_seed(seed);
                self.begin(cx)
            }
            (Step::Sharing, Input::Shared(share)) => self.shared(share, cx),
            (Step::Queued(queued), Input::Due) => self.ask_for_turn(queued, cx),
            (Step::Queued(queued), Input::Woken) if self.wake(cx) => self.ask_for_turn(queued, cx),
            (Step::Queued(queued), Input::Closed) => {
                self.take_turn(Err(Error::shutdown()), queued.check, cx)
            }
            (Step::Asking(suspect), Input::Said(said)) => self.said(suspect, said, cx),
            (Step::AskingOldest(suspect), Input::SaidOfOldest(said)) => {
                self.said_of_oldest(suspect, said, cx)
            }
            (Step::Checking(suspect), Input::Checked(checked)) => {
                self.checked(suspect, checked, cx)
            }
            (Step::Telling(_, found), Input::Told) => {
                self.stands_in = false;
                self.found(found, cx)
            }
            (Step::Calling, Input::Called(outcome)) => self.called(outcome, cx),
            (Step::Publishing(session), Input::Published(result)) => {
                self.came(result.map(|()| session), cx)
            }
            (Step::Pausing(pause), Input::Due) => self.pause_is_due(pause, cx),
            (Step::Pausing(pause), Input::Woken) if self.wake(cx) => self.pause_is_due(pause, cx),
            (Step::Pausing(pause), Input::Closed) => self.ends_late(pause, cx),
            (step, _) => step,
        };
    }

    /// Returns the next effect to carry out before the task waits again. Effects come in the order in which they were
    /// decided.
    pub(crate) fn next_effect(&mut self) -> Option<Effect<S>> {
        self.effects.pop_front()
    }

    pub(crate) fn step(&self) -> &Step<S> {
        &self.step
    }

    pub(crate) fn suspect(&self) -> Option<&S> {
        self.suspect.as_ref()
    }

    pub(crate) fn is_adopted(&self) -> bool {
        self.adopted
    }

    pub(crate) fn is_calling(&self) -> bool {
        self.calling
    }

    pub(crate) fn unreached(&self) -> Option<Purpose> {
        self.unreached
    }

    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// Returns what the next call is for.
    pub(crate) fn purpose(&self) -> Purpose {
        match self.suspect {
            Some(_) if self.metered => Purpose::Check,
            Some(_) => Purpose::Question,
            None => Purpose::Create,
        }
    }

    /// Returns how much longer the present call may last.
    pub(crate) fn time_left(&self, now: Reading) -> Duration {
        self.limits.timeout.saturating_sub(now.since(self.call))
    }

    /// Forgets that the server could not be reached. Called after a panic in the task that drives the attempt. A panic
    /// says nothing about the server, so it must not hold back other attempts as an outage would.
    pub(crate) fn forget_reach(&mut self) {
        self.unreached = None;
    }

    fn begin<W: Clone>(&mut self, cx: &mut Context<'_, W, S>) -> Step<S> {
        match self.suspect {
            None => Step::Sharing,
            Some(_) => self.queue_first(cx),
        }
    }

    /// Waits for a turn before the first call. An attempt that begins with `GET /v1/health` needs no turn for it.
    fn queue_first<W: Clone>(&mut self, cx: &mut Context<'_, W, S>) -> Step<S> {
        self.round = cx.now;
        if self.purpose() == Purpose::Question {
            return self.begin_round(cx);
        }
        self.queue(None, cx)
    }

    /// Begins a series of tries, with a fresh time limit.
    fn begin_round<W: Clone>(&mut self, cx: &mut Context<'_, W, S>) -> Step<S> {
        self.round = cx.now;
        self.tries = 0;
        self.try_again(cx)
    }

    fn try_again<W: Clone>(&mut self, cx: &mut Context<'_, W, S>) -> Step<S> {
        self.tries += 1;
        self.call = self.round;
        match self.suspect.clone() {
            None => Step::Sharing,
            Some(suspect) => self.find_out(suspect, cx),
        }
    }

    /// Gives the next piece of work a fresh time limit. Example: a check takes nearly all of the time and finds the
    /// session lost. Without a fresh limit, waiting requests would replace the attempt as overdue before its create is
    /// done.
    fn prolong<W: Clone>(&mut self, cx: &mut Context<'_, W, S>) {
        if self.prolonged < PROLONGED_AT_MOST {
            self.prolonged += 1;
            (self.round, self.call) = (cx.now, cx.now);
            cx.gate.prolong(cx.partition.id, self.generation, cx.now);
        }
    }

    fn called<W: Clone>(&mut self, outcome: Outcome<S>, cx: &mut Context<'_, W, S>) -> Step<S> {
        match outcome {
            Ok(session) => Step::Publishing(session),
            Err(error) => self.came(Err(error), cx),
        }
    }

    /// Handles the outcome of a create's call. After a success, `calling` stays set until the attempt ends: if the
    /// attempt is given up before, its session is a possible orphan.
    fn came<W: Clone>(&mut self, outcome: Outcome<S>, cx: &mut Context<'_, W, S>) -> Step<S> {
        self.calling = outcome.is_ok();
        self.follows(outcome, cx)
    }

    fn hold_back<W: Clone>(&self, error: Error, cx: &mut Context<'_, W, S>) -> Error {
        let purpose = self.purpose();
        cx.gate.failed(cx.partition, purpose, error, cx.now)
    }

    fn is_held_for_all<W: Clone>(&self, cx: &Context<'_, W, S>) -> bool {
        let create = Some(self.generation);
        let reach = cx.gate.check_reach(self.purpose(), create, cx.now);
        reach.is_err()
    }
}
