//! What follows from what a try has brought.

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
    pub(super) fn follows<W: Clone>(
        &mut self,
        outcome: Outcome<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        self.note_reach(&outcome, cx);
        match outcome {
            // It may have ended while the server was asked: a successor is made.
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
        // A successor cannot be had for now, and what there is has become suspect by that: it may be alive all the same.
        if let Some(current) = self.current_after(&error, cx) {
            let error = self.hold_back(error, cx);
            let plan = Plan::new(Next::Anew, Late::End(Err(error.clone())));
            let (session, suspect) = (current.clone(), Some(current));
            let plan = plan.telling(Effect::RenewalFailed { session, error });
            return self.turn_to(suspect, plan, cx);
        }
        self.retry(error, cx)
    }

    /// Tries the same once more, if there is time for it.
    pub(super) fn retry<W: Clone>(&mut self, error: Error, cx: &mut Context<'_, W, S>) -> Step<S> {
        // The pace concerns everybody at once, other failures only those who wait for this attempt.
        let error = if is_pace(&error) {
            self.hold_back(error, cx)
        } else {
            error
        };
        let pause = failure::retry(&error, self.tries, &mut self.rng);
        // All others fail at once until this one has found out.
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

    /// No further try is made.
    pub(super) fn gives_up<W: Clone>(
        &mut self,
        error: Error,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        // What a gateway says holds back this partition as well: it may say so to nobody else, and others have to find out.
        let is_outage = self.unreached.is_some() && error.status().is_none();
        let error = if is_outage || is_pace(&error) {
            error
        } else {
            self.hold_back(error, cx)
        };
        // Where the question is not answered, a successor may be had all the same.
        let is_local = !self.turned && failure::is_local(&error);
        match self.suspect.clone().filter(|_| is_local) {
            Some(suspect) => {
                let late = Late::End(Err(error.clone()));
                self.go_on_without(suspect, error, Plan::new(Next::Anew, late), cx)
            }
            None => Step::Ended(Ok(Err(error))),
        }
    }

    /// The first call does not get its turn.
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

    /// The server has lost the session, or has another under its id: a successor is made.
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
        let text = "the server has lost the session, and there was no time to make another";
        let late = Late::End(Err(Error::new(ErrorKind::Timeout, text)));
        self.pause(FLOOR, Plan::new(Next::Again, late), cx)
    }

    /// Goes on with a create, as `suspect` cannot be asked for.
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

    /// Goes on with a check of `suspect`, or with a create.
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

    /// The session that is asked about, where another is made in its place after this failure.
    fn unaskable<W: Clone>(&self, error: &Error, cx: &Context<'_, W, S>) -> Option<S> {
        let goes_on = self.may_not_ask(error, cx) || self.is_unheard(error, cx);
        self.suspect.clone().filter(|_| goes_on)
    }

    /// The key may not ask for its session any more today: another session costs as much, and is certain.
    fn may_not_ask<W: Clone>(&self, error: &Error, cx: &Context<'_, W, S>) -> bool {
        let is_spent = || cx.gate.out_of_upkeep(cx.partition, cx.now).is_some();
        self.metered && !self.turned && error.kind() == ErrorKind::Budget && is_spent()
    }

    /// The call for the session itself does not get through, and health answers: something in front of the server may refuse that
    /// call alone. Each further one would hold up everybody.
    fn is_unheard<W>(&self, error: &Error, cx: &Context<'_, W, S>) -> bool {
        let gets_nowhere = self.unreached.is_some() || is_unanswered(error);
        let is_unheard = self.metered && !self.turned && gets_nowhere;
        is_unheard && self.tries > 1 && cx.facts.is_told
    }

    /// The session that requests went on with, if the failure of its renewal has made it suspect.
    fn current_after<W>(&self, error: &Error, cx: &Context<'_, W, S>) -> Option<S> {
        let is_sign = sign::in_session_call(error) >= Some(Cause::Sign);
        let is_renewal = self.suspect.is_none() && !self.turned;
        cx.facts.current.clone().filter(|_| is_renewal && is_sign)
    }

    /// Whether its last try could connect to the server. One that finds out for all and is not answered may have a trouble of its own: it
    /// waits alone, and another finds out.
    fn note_reach<W: Clone>(&mut self, outcome: &Outcome<S>, cx: &Context<'_, W, S>) {
        let is_unreached =
            |error: &Error| failure::is_unreachable(error) && !self.is_own_trouble(error, cx);
        let is_unreached = outcome.as_ref().is_err_and(is_unreached);
        self.unreached = is_unreached.then(|| self.purpose());
    }

    /// What a gateway says to this attempt alone, while others are answered, is no trouble of theirs.
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

/// Whether nobody has answered: what a gateway or the server says to one key is that key's own affair.
pub(crate) fn is_unanswered(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.status().is_none()
}

/// The same, or a gateway that does not reach the server.
pub(super) fn is_away(error: &Error) -> bool {
    is_unanswered(error) || failure::is_unreachable(error)
}

/// Whether the answer to a check says that the session is of no use.
pub(crate) fn no_use_for(error: &Error) -> Option<RetireReason> {
    match error.kind() {
        ErrorKind::NotFound => Some(RetireReason::Lost),
        ErrorKind::WrongAnswer => Some(RetireReason::WrongAnswer),
        _ => None,
    }
}
