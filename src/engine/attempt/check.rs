//! Finds out whether the server still has a session. The free `GET /v1/health` is called first. If its answer does not
//! decide, the metered `GET /v1/sessions/{id}` follows.

use std::mem;

use super::{
    Attempt, Context, Effect, Known, Outcome, Step,
    failure::{is_away, no_use_for},
    step::Checked,
};
use crate::{
    engine::evidence::Fate,
    error::{Error, ErrorKind},
};

impl<S: Clone> Attempt<S> {
    pub(super) fn find_out<W>(&mut self, suspect: S, cx: &Context<'_, W, S>) -> Step<S> {
        self.call = self.round;
        self.looked = (cx.facts.signs, cx.now);
        if self.metered {
            Step::Checking(suspect)
        } else {
            Step::Asking(suspect)
        }
    }

    pub(super) fn said<W: Clone>(
        &mut self,
        suspect: S,
        said: Result<Known, Error>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        match said {
            Err(error) => self.found(Err(error), cx),
            Ok(known) => {
                self.stands_in = known.stands_in;
                match known.fate {
                    Fate::Alive => self.found(Ok(suspect), cx),
                    Fate::Gone => {
                        let text = "the server's process is not the one that created the session";
                        self.found(Err(Error::new(ErrorKind::NotFound, text)), cx)
                    }
                    Fate::Unclear => self.only_it_can_tell(suspect, cx),
                }
            }
        }
    }

    /// Goes on if `GET /v1/health` did not decide about the session.
    fn only_it_can_tell<W: Clone>(&mut self, suspect: S, cx: &mut Context<'_, W, S>) -> Step<S> {
        if cx.facts.is_over {
            return self.found(Ok(suspect), cx);
        }
        if self.stands_in {
            return Step::AskingOldest(suspect);
        }
        self.queue_for_check(suspect, cx)
    }

    fn queue_for_check<W: Clone>(&mut self, suspect: S, cx: &mut Context<'_, W, S>) -> Step<S> {
        self.metered = true;
        self.queue(Some(suspect), cx)
    }

    pub(super) fn said_of_oldest<W: Clone>(
        &mut self,
        suspect: S,
        said: Result<bool, Error>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        match said {
            Ok(true) => {
                self.stands_in = false;
                Step::Asking(suspect)
            }
            Ok(false) => self.queue_for_check(suspect, cx),
            Err(error) => {
                self.gives_up_standing_in();
                self.found(Err(error), cx)
            }
        }
    }

    pub(super) fn checked<W: Clone>(
        &mut self,
        suspect: S,
        checked: Checked,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        let is_known = match &checked.result {
            Ok(()) => true,
            Err(_) if checked.is_retired => false,
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        if self.stands_in && is_known {
            let found = checked.result.map(|()| suspect.clone());
            return Step::Telling(suspect, found);
        }
        match checked.result {
            Err(error) if self.is_in_vain(&error, checked.is_retired, cx) => {
                self.go_on_in_vain(suspect, error, cx)
            }
            result => self.found(result.map(|()| suspect), cx),
        }
    }

    /// Returns whether a check in place of `GET /v1/health` told nothing about the session, for example because it got
    /// a 500, and sessions may stay in use all the same.
    fn is_in_vain<W>(&self, error: &Error, is_retired: bool, cx: &Context<'_, W, S>) -> bool {
        let says_nothing = no_use_for(error).is_none() && !is_retired;
        self.stands_in && says_nothing && cx.facts.may_go_on_untold
    }

    /// Goes on after a check in place of `GET /v1/health` that told nothing. The session is judged once more, by
    /// rate-limit windows.
    fn go_on_in_vain<W: Clone>(
        &mut self,
        suspect: S,
        error: Error,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        // Only an error with the server's code begins a cooldown. Without one it comes from a gateway, and may concern
        // this call alone.
        if error.code().is_some() {
            self.hold_back(error, cx);
        }
        (self.stands_in, self.metered) = (false, false);
        // The failed check may itself be a new sign of trouble. So pass on the signs that had been seen when it began:
        // the decision covers no later ones.
        self.effects.push_back(Effect::MeteredInVain(self.looked));
        self.find_out(suspect, cx)
    }

    /// Handles the outcome of the check.
    pub(super) fn found<W: Clone>(
        &mut self,
        found: Outcome<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        // The server does not answer at all, so the next try begins with the free `GET /v1/health` again.
        if self.stands_in && found.as_ref().is_err_and(is_away) {
            self.metered = false;
        }
        self.gives_up_standing_in();
        self.follows(found, cx)
    }

    /// Lets another attempt make the call in place of `GET /v1/health`. Called if this attempt did not make it, or got
    /// no answer.
    pub(super) fn gives_up_standing_in(&mut self) {
        if mem::take(&mut self.stands_in) {
            self.effects.push_back(Effect::NotMetered);
        }
    }
}
