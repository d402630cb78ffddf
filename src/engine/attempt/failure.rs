//! Decides what an attempt does after the outcome of a try: it ends, retries, or turns from a check to a create or
//! back.

use std::mem;

use super::{
    Attempt, Context, Effect, Outcome, Step,
    pause::{Late, Next, Plan},
};
use crate::{
    clock::Reading,
    error::{Error, ErrorKind},
    model::{evidence::Cause, failure, failure::FLOOR, reason::RetireReason, sign},
};

impl<S: Clone> Attempt<S> {
    /// Decides what follows from the outcome of a try.
    pub(super) fn follows<W: Clone>(
        &mut self,
        outcome: Outcome<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        self.note_reach(&outcome, cx);
        match outcome {
            // The check found the session alive, but it has expired or was invalidated meanwhile. So create a
            // successor.
            Ok(session) if self.suspect.is_some() && cx.facts.is_over => {
                let late = Late::End(Ok(session));
                self.turn_to(None, Plan::new(Next::Anew, late), cx)
            }
            Ok(session) => Step::Ended(Ok(Ok(session))),
            Err(error) => self.try_failed(error, cx),
        }
    }

    fn try_failed<W: Clone>(&mut self, error: Error, cx: &mut Context<'_, W, S>) -> Step<S> {
        if let Some(reason) = self.suspect.as_ref().and_then(|_| no_use_for(&error)) {
            return self.replace_suspect(reason, cx);
        }
        if let Some(suspect) = self.unaskable(&error, cx) {
            let late = Late::Retry(error.clone());
            return self.go_on_without(suspect, error, Plan::new(Next::Anew, late), cx);
        }
        // A renewal failed in a way that may mean a restart, for example with a refused connection. The current session
        // may still be alive, so check it.
        if let Some(current) = self.current_after(&error, cx) {
            let error = self.hold_back(error, cx);
            let plan = Plan::new(Next::Anew, Late::End(Err(error.clone())));
            let (session, suspect) = (current.clone(), Some(current));
            let plan = plan.telling(Effect::RenewalFailed { session, error });
            return self.turn_to(suspect, plan, cx);
        }
        self.retry(error, cx)
    }

    /// Retries the same call, if there is time for it.
    pub(super) fn retry<W: Clone>(&mut self, error: Error, cx: &mut Context<'_, W, S>) -> Step<S> {
        // A rate limit concerns all keys, so its cooldown begins at once. After other failures, cooldowns begin only if
        // this attempt gives up.
        let error = if is_pace(&error) {
            self.hold_back(error, cx)
        } else {
            error
        };
        let pause = failure::retry(&error, self.tries, &mut self.rng);
        // If this attempt probes for all whether the server can be reached, it does not retry: the others fail at once
        // until it has ended.
        match pause.filter(|_| !cx.gate.probes_reach(self.generation)) {
            Some(wait) => {
                let least = error.retry_after().unwrap_or_default();
                let plan = Plan::new(Next::Again, Late::GiveUp(error)).at_least(least);
                let plan = plan.back_to(self.suspect.clone());
                self.pause(wait, plan, cx)
            }
            None => self.gives_up(error, cx),
        }
    }

    /// Ends the attempt, or turns from a check to a create. Called if the failed call is not retried.
    pub(super) fn gives_up<W: Clone>(
        &mut self,
        error: Error,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        // If nobody answers, the driver holds back all keys. A gateway's error holds back this partition as well, since
        // the gateway may refuse this key alone.
        let is_outage = self.unreached.is_some() && error.status().is_none();
        let error = if is_outage || is_pace(&error) {
            error
        } else {
            self.hold_back(error, cx)
        };
        // If the failure concerns the check alone, a create can still succeed.
        let is_local = !self.turned && failure::is_local(&error);
        match self.suspect.clone().filter(|_| is_local) {
            Some(suspect) => {
                let late = Late::End(Err(error.clone()));
                self.go_on_without(suspect, error, Plan::new(Next::Anew, late), cx)
            }
            None => Step::Ended(Ok(Err(error))),
        }
    }

    /// Handles an attempt that may not make its first call. A check may still turn to a create.
    pub(super) fn lose_turn<W: Clone>(
        &mut self,
        error: Error,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        let late = Late::End(Err(error.clone()));
        match self.suspect.clone() {
            Some(suspect) if self.may_not_ask(&error, cx) => {
                self.go_on_without(suspect, error, Plan::new(Next::First, late), cx)
            }
            _ => Step::Ended(Ok(Err(error))),
        }
    }

    /// Gives up the session under check and creates a successor. Called if the server has lost the session, or has
    /// other defaults under its id.
    fn replace_suspect<W: Clone>(
        &mut self,
        reason: RetireReason,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        if let Some(session) = self.suspect.take() {
            let metered = self.metered;
            self.effects.push_back(Effect::GiveUp {
                session,
                reason,
                metered,
            });
        }
        self.adopted = false;
        self.prolong(cx);
        let text = "the server has lost the session, and there was no time to create another";
        let late = Late::End(Err(Error::new(ErrorKind::Timeout, text)));
        self.pause(FLOOR, Plan::new(Next::Again, late), cx)
    }

    /// Turns to a create, because `suspect` cannot be checked.
    fn go_on_without<W: Clone>(
        &mut self,
        suspect: S,
        error: Error,
        plan: Plan<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        let session = suspect;
        let plan = plan.telling(Effect::CheckFailed { session, error });
        self.turn_to(None, plan, cx)
    }

    /// Turns to a check of `suspect`, or to a create if it is `None`.
    fn turn_to<W: Clone>(
        &mut self,
        suspect: Option<S>,
        plan: Plan<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        self.turned = true;
        if suspect.is_none() {
            self.leave_adopted();
        }
        self.metered = false;
        self.prolong(cx);
        let before = mem::replace(&mut self.suspect, suspect);
        self.pause(FLOOR, plan.back_to(before), cx)
    }

    /// Returns the session under check, if another try of the check is pointless and a new session is created instead.
    fn unaskable<W: Clone>(&self, error: &Error, cx: &Context<'_, W, S>) -> Option<S> {
        let goes_on = self.may_not_ask(error, cx) || self.is_unheard(error, cx);
        self.suspect.clone().filter(|_| goes_on)
    }

    /// Returns whether the check was refused because today's checks of the key are used up. Then a create is the better
    /// call: it costs as much, and its result is certain.
    fn may_not_ask<W: Clone>(&self, error: &Error, cx: &Context<'_, W, S>) -> bool {
        let is_spent = || cx.gate.out_of_upkeep(cx.partition, cx.now).is_some();
        self.metered && !self.turned && error.kind() == ErrorKind::Budget && is_spent()
    }

    /// Returns whether `GET /v1/sessions/{id}` got no answer twice while `GET /v1/health` does get one. Something in
    /// front of the server may refuse this call alone. Requests would wait for each further try.
    fn is_unheard<W>(&self, error: &Error, cx: &Context<'_, W, S>) -> bool {
        let gets_nowhere = self.unreached.is_some() || is_unanswered(error);
        let is_unheard = self.metered && !self.turned && gets_nowhere;
        is_unheard && self.tries > 1 && cx.facts.is_told
    }

    /// Returns the current session, if the failure of its renewal may mean that the server has restarted.
    fn current_after<W>(&self, error: &Error, cx: &Context<'_, W, S>) -> Option<S> {
        let is_sign = sign::in_session_call(error) >= Some(Cause::Sign);
        let is_renewal = self.suspect.is_none() && !self.turned;
        cx.facts.current.clone().filter(|_| is_renewal && is_sign)
    }

    /// Notes whether the last try could connect to the server. If a gateway refuses this attempt alone, that does not
    /// count: only this attempt backs off, and another one probes for all.
    fn note_reach<W: Clone>(&mut self, outcome: &Outcome<S>, cx: &Context<'_, W, S>) {
        let is_unreached =
            |error: &Error| failure::is_unreachable(error) && !self.is_own_trouble(error, cx);
        let is_unreached = outcome.as_ref().is_err_and(is_unreached);
        self.unreached = is_unreached.then(|| self.purpose());
    }

    /// Returns whether a gateway refuses this attempt alone while it lets others through. Such a failure must not hold
    /// back the others.
    fn is_own_trouble<W: Clone>(&self, error: &Error, cx: &Context<'_, W, S>) -> bool {
        let (answered, key) = (cx.facts.answered, cx.partition.key_id);
        let answered_since = |at: Reading| at.monotonic >= self.begun.monotonic;
        error.status().is_some()
            && (answered.is_some_and(answered_since) || cx.gate.has_own_trouble(key, answered))
    }
}

fn is_pace(error: &Error) -> bool {
    error.kind() == ErrorKind::RateLimited
}

/// Returns whether nobody answered at all, neither the server nor a gateway. An answer may concern one key only;
/// silence concerns all.
pub(crate) fn is_unanswered(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.status().is_none()
}

/// Returns whether nobody answered, or only a gateway that cannot reach the server.
pub(super) fn is_away(error: &Error) -> bool {
    is_unanswered(error) || failure::is_unreachable(error)
}

/// Returns why the session is of no use, if the answer to a check says so.
pub(crate) fn no_use_for(error: &Error) -> Option<RetireReason> {
    match error.kind() {
        ErrorKind::NotFound => Some(RetireReason::Lost),
        ErrorKind::WrongAnswer => Some(RetireReason::WrongAnswer),
        _ => None,
    }
}
