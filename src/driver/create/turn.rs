//! From a check to a create, or the other way round.

use std::{mem, sync::Arc};

use super::{Create, Fenced};
use crate::{
    clock::Reading,
    driver::check::is_unanswered,
    error::{Error, ErrorKind},
    hot::session::LiveSession,
    model::{event::Event, failure, reason::RetireReason},
};

impl Create {
    /// Goes on with a check of `suspect`, or with a create; `false` if there is no time for that.
    pub(super) async fn turn_to(
        &mut self,
        suspect: Option<Arc<LiveSession>>,
        begun: Reading,
    ) -> Result<bool, Fenced> {
        self.turned = true;
        if suspect.is_none() {
            self.let_adopted_go();
        }
        self.metered = false;
        let before = mem::replace(&mut self.suspect, suspect);
        let goes_on = self.pause(failure::FLOOR, begun).await?;
        if !goes_on {
            self.suspect = before;
        }
        Ok(goes_on)
    }

    /// Goes on with a create where the key may not ask for its session any more today: another session costs as much, and is certain.
    pub(super) async fn goes_on_unasked(
        &mut self,
        error: &Error,
        begun: Reading,
    ) -> Result<bool, Fenced> {
        let Some(suspect) = self.suspect.clone().filter(|_| self.metered) else {
            return Ok(false);
        };
        let spent = self
            .core
            .gate()
            .out_of_upkeep(&self.partition, self.core.now());
        if self.turned || error.kind() != ErrorKind::Budget || spent.is_none() {
            return Ok(false);
        }
        self.goes_on_without(&suspect, error, begun).await
    }

    /// Goes on with a create where the call for the session itself does not get through, and health answers: something in front of
    /// the server may refuse that call alone. Each further one would hold up everybody.
    pub(super) async fn goes_on_unheard(
        &mut self,
        error: &Error,
        begun: Reading,
    ) -> Result<bool, Fenced> {
        let gets_nowhere = self.unreached.is_some() || is_unanswered(error);
        let is_unheard = self.metered && !self.stands_in && !self.turned && gets_nowhere;
        let is_told = self.core.inquiry.evidence().is_told();
        let Some(suspect) = self.suspect.clone().filter(|_| is_unheard && is_told) else {
            return Ok(false);
        };
        self.goes_on_without(&suspect, error, begun).await
    }

    /// Goes on with a create, as the check of `suspect` failed; `false` if there is no time for that.
    async fn goes_on_without(
        &mut self,
        suspect: &LiveSession,
        error: &Error,
        begun: Reading,
    ) -> Result<bool, Fenced> {
        let goes_on = self.turn_to(None, begun).await?;
        if goes_on {
            self.core.emit(Event::CheckFailed {
                session: suspect.reference(),
                error: error.clone(),
            });
        }
        Ok(goes_on)
    }

    /// What was taken up and is not used after all is left again.
    pub(super) fn let_adopted_go(&mut self) {
        if let Some(session) = self.suspect.as_ref().filter(|_| self.adopted) {
            self.core.fleet.spend(session);
            self.core.retirement.retire(session, RetireReason::Fenced);
        }
        self.adopted = false;
    }
}
