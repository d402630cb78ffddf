//! How an attempt waits for its turn to make its first call.

use std::mem;

use super::{Attempt, Context, Fenced, Queued, Queueing, Step};
use crate::{
    engine::gate::Clearance,
    error::Error,
    model::{budget::Purpose, failure},
};

impl<S: Clone> Attempt<S> {
    /// Enters the gate's queue, and waits there until the first call may be made. `check` is the session to check with
    /// that call, if the call is such a check.
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
                // If the error concerns this partition or key alone, its requests fail at once instead of waiting.
                if is_too_long || !failure::concerns_all(&error) {
                    return self.take_turn(Err(error), queued.check, cx);
                }
                wait
            }
        };
        let until = cx.now.monotonic.saturating_add(wait);
        Step::Queued(Queued { until, ..queued })
    }

    /// Goes on with the first call, or handles the error if it may not be made.
    pub(super) fn take_turn<W: Clone>(
        &mut self,
        turn: Result<(), Error>,
        check: Option<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        match (turn, check) {
            (Ok(()), None) => self.begin_round(cx),
            (Ok(()), Some(suspect)) => {
                // The time of this call begins now. The call of `GET /v1/health` before it had a time limit of its own.
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

    /// Returns whether the next call is a retry while nobody can connect to the server. Such retries are rationed for
    /// all keys together.
    fn tries_again_in_outage<W>(&self, cx: &Context<'_, W, S>) -> bool {
        self.place == Queueing::Over && self.purpose() != Purpose::Question && cx.facts.is_outage
    }

    /// Returns whether a wake-up ends the attempt's wait early. After an answer of the server to another request, that
    /// happens once for each attempt. Example: a gateway refuses this key and lets others through. If each answer to
    /// them ended the wait, the attempt would retry in a loop.
    ///
    /// If another attempt has found out that nobody can connect to the server, the wait always ends early.
    pub(super) fn wake<W: Clone>(&mut self, cx: &Context<'_, W, S>) -> bool {
        let is_first = !mem::replace(&mut self.was_woken, true);
        is_first || self.is_held_for_all(cx)
    }
}
