//! An attempt's turn for its first call.

use std::mem;

use super::{Attempt, Context, Fenced, Queued, Queueing, Step};
use crate::{
    engine::gate::Clearance,
    error::Error,
    model::{budget::Purpose, failure},
};

impl<S: Clone> Attempt<S> {
    /// Waits until the first call may be made, for as long as waiting requests would.
    pub(super) fn queue<W: Clone>(
        &mut self,
        check: Option<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        if self.place == Queueing::Outside {
            cx.gate.enter_queue(self.generation, cx.now);
            self.place = Queueing::Inside;
        }
        let queued = Queued {
            since: cx.now,
            until: cx.now.monotonic,
            check,
        };
        self.ask_for_turn(queued, cx)
    }

    pub(super) fn ask_for_turn<W: Clone>(
        &mut self,
        queued: Queued<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        let wait = match self.clear(cx) {
            Err(Fenced) => return Step::Ended(Err(Fenced)),
            Ok(Clearance::Granted) => return self.take_turn(Ok(()), queued.check, cx),
            Ok(Clearance::Soon) => failure::FLOOR,
            Ok(Clearance::Wait(wait, error)) => {
                let waited = cx.now.since(queued.since);
                let is_too_long = waited.saturating_add(wait) > self.limits.patience;
                // An error that concerns only the requests of this attempt fails them at once.
                if is_too_long || !failure::concerns_all(&error) {
                    return self.take_turn(Err(error), queued.check, cx);
                }
                wait
            }
        };
        let until = cx.now.monotonic.saturating_add(wait);
        Step::Queued(Queued { until, ..queued })
    }

    pub(super) fn take_turn<W: Clone>(
        &mut self,
        turn: Result<(), Error>,
        check: Option<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        match (turn, check) {
            (Ok(()), None) => self.begin_round(cx),
            (Ok(()), Some(suspect)) => {
                // The earlier step was shared with other attempts and had a time limit of its own, so this call's time
                // begins now.
                self.call = cx.now;
                Step::Checking(suspect)
            }
            (Err(error), None) => self.lose_turn(error, cx),
            (Err(error), Some(_)) => {
                self.gives_up_standing_in();
                self.found(Err(error), cx)
            }
        }
    }

    /// Asks the gate for permission to make the next call.
    pub(super) fn clear<W: Clone>(
        &mut self,
        cx: &mut Context<'_, W, S>,
    ) -> Result<Clearance, Fenced> {
        let id = cx.partition.id;
        if !cx.gate.is_flying(id, self.generation) {
            return Err(Fenced);
        }
        let (create, purpose) = (Some(self.generation), self.purpose());
        if self.tries_again_in_outage(cx)
            && !self.is_held_for_all(cx)
            && let Some(wait) = cx.gate.retry_reach(cx.now)
        {
            return Ok(wait);
        }
        let clearance = cx.gate.clear(cx.partition, purpose, create, cx.now);
        if matches!(clearance, Clearance::Granted) && self.place == Queueing::Inside {
            cx.gate.leave_queue(id, self.generation, cx.now);
            self.place = Queueing::Over;
        }
        Ok(clearance)
    }

    fn tries_again_in_outage<W>(&self, cx: &Context<'_, W, S>) -> bool {
        self.place == Queueing::Over && self.purpose() != Purpose::Question && cx.facts.is_outage
    }

    /// Returns whether a wait ends early. After an answer to another request, this attempt's wait ends early once only.
    /// A gateway may answer others and always refuse this attempt, which would then retry in a loop.
    pub(super) fn wake<W: Clone>(&mut self, cx: &Context<'_, W, S>) -> bool {
        let is_first = !mem::replace(&mut self.was_woken, true);
        is_first || self.is_held_for_all(cx)
    }
}
