//! A create, a renewal or a check: what it waits for, and what follows from each thing that comes.
//!
//! It begins with a session that may do, and finds out whether the server still knows it; or with none, and makes one. It turns from
//! one to the other once at most. Whoever drives it looks at its [`Step`], waits for that, and hands in the [`Input`].

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

/// So often an attempt has time anew, when it goes on with something else.
const PROLONGED_AT_MOST: u32 = 2;

/// How long an attempt may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until its first call goes out.
    pub(crate) patience: Duration,
    /// From then on.
    pub(crate) timeout: Duration,
}

/// What is known besides when something comes in.
#[allow(clippy::struct_excessive_bools)] // each is known by itself
#[derive(Clone, Debug)]
pub(crate) struct Facts<S> {
    /// The session that requests go on with meanwhile.
    pub(crate) current: Option<S>,
    /// No request may bear the session that is asked about any more, whatever the server says of it.
    pub(crate) is_over: bool,
    /// So many signs of trouble have been seen.
    pub(crate) signs: u64,
    /// The free question was answered when it was last asked.
    pub(crate) is_told: bool,
    /// Sessions go on where nobody answers the free question.
    pub(crate) may_go_on_untold: bool,
    /// Nobody can connect to the server.
    pub(crate) is_outage: bool,
    /// When the server last answered anybody.
    pub(crate) answered: Option<Reading>,
}

/// What decisions are made with, besides the attempt itself.
pub(crate) struct Context<'a, W, S> {
    pub(crate) partition: &'a Partition,
    pub(crate) gate: &'a mut Gate<W>,
    pub(crate) facts: Facts<S>,
    pub(crate) now: Reading,
}

/// A create, a renewal or a check under way. `S` is a session.
#[allow(clippy::struct_excessive_bools)] // any of them may go with any other
#[derive(Clone, Debug)]
pub(crate) struct Attempt<S> {
    pub(crate) generation: u64,
    limits: Limits,
    step: Step<S>,
    effects: VecDeque<Effect<S>>,
    /// The session that may do, if the server still knows it.
    suspect: Option<S>,
    /// It has been made by another process, and is new to this one.
    adopted: bool,
    place: Queueing,
    /// A call is on its way, or has made a session that is not the current one yet.
    calling: bool,
    /// From a create to a check or the other way round, which happens once at most.
    turned: bool,
    /// Only the session itself can tell: it is asked for, which is a session call.
    metered: bool,
    /// It is asked for in place of the free question, which nobody answers.
    stands_in: bool,
    /// A pause of it has ended early, as the server answered somebody again.
    was_woken: bool,
    /// What its last try was for, if that could not connect to the server.
    unreached: Option<Purpose>,
    begun: Reading,
    /// Where the lengths of its pauses come from.
    rng: Rng,
    /// Since when its calls are made, or since when it waits for the first.
    round: Reading,
    /// Since when the present call, with what comes before it, may last.
    call: Reading,
    /// How often it has been given time anew.
    prolonged: u32,
    /// How many signs had been seen, and when, before it began to find out.
    looked: (u64, Reading),
    tries: u32,
}

/// Whether it has had its turn for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queueing {
    /// It is not known yet whether it will make one.
    Outside,
    Inside,
    /// It has.
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

    /// Something has come in: moves on to what follows. What does not belong to the present step changes nothing.
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

    /// What is to be done before the next thing is waited for, in the order in which it was decided.
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

    /// What its next call is for.
    pub(crate) fn purpose(&self) -> Purpose {
        match self.suspect {
            Some(_) if self.metered => Purpose::Check,
            Some(_) => Purpose::Question,
            None => Purpose::Create,
        }
    }

    /// How much longer its present call may last.
    pub(crate) fn time_left(&self, now: Reading) -> Duration {
        self.limits.timeout.saturating_sub(now.since(self.call))
    }

    /// Whoever drives it has failed: what its tries met before says nothing about the server, and holds back nobody else.
    pub(crate) fn forget_reach(&mut self) {
        self.unreached = None;
    }

    fn begin<W: Clone>(&mut self, cx: &mut Context<'_, W, S>) -> Step<S> {
        match self.suspect {
            None => Step::Sharing,
            Some(_) => self.queue_first(cx),
        }
    }

    /// Its first call waits for its turn. The free question does not.
    fn queue_first<W: Clone>(&mut self, cx: &mut Context<'_, W, S>) -> Step<S> {
        self.round = cx.now;
        if self.purpose() == Purpose::Question {
            return self.begin_round(cx);
        }
        self.queue(None, cx)
    }

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

    /// What comes next has time of its own. Who waits for the attempt would give it up before that is done.
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

    /// What came of a create's call. A session is known to nobody else in this process until the attempt has ended.
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
