//! Whether the server still knows a session. A create begins with this question where there is a session that may do.

use std::{sync::Arc, time::Duration};

use super::{
    budget::Purpose,
    create::Create,
    echo,
    event::{Event, RetireReason},
    memo,
    observe::Call,
    session::LiveSession,
    suspicion,
};
use crate::{
    api::SessionsApi,
    clock::Reading,
    error::{Error, ErrorKind},
};

impl Create {
    /// Asks whether the server still knows a session, as it was made. The call has been counted in the budget.
    pub(super) async fn check(
        &self,
        suspect: &Arc<LiveSession>,
        begun: Reading,
    ) -> Result<(), Error> {
        let (core, partition) = (&self.core, &self.partition);
        // Its uses up to here are counted.
        memo::forget(suspect);
        let (signs, now, uses) = (core.suspicion.signs(), core.now(), suspect.uses());
        let time_left = core
            .settings
            .create_timeout
            .saturating_sub(now.since(begun));
        let api = SessionsApi::of_partition(&core.transport, &core.settings.base, partition);
        core.observer.session_call(Call::Get);
        let id = suspect.id.to_id();
        let answer = api.timeout(time_left).get_session(&id).await;
        let record = answer.inspect_err(|error| self.look_at(error))?;
        if record.id != id {
            return Err(Error::new(
                ErrorKind::WrongAnswer,
                "the server answered for another session",
            ));
        }
        echo::check(&record, &partition.defaults, core.settings.ttl)?;
        suspect.known_alive(signs, now, uses);
        Ok(())
    }

    /// Requests that bore it went without their defaults.
    pub(super) fn give_up_suspect(&mut self, suspect: &Arc<LiveSession>, reason: RetireReason) {
        let (core, now) = (&self.core, self.core.now());
        let unknown_for = now.since(suspect.alive_at());
        suspect.set_lost();
        // One that was shared and is used no more may have been deleted by another process.
        let may_be_deleted = suspect.membership().is_some() && suspect.in_flight.is_retired();
        if reason == RetireReason::Lost && !may_be_deleted {
            core.suspect_others(suspect);
        }
        let was_handed_out = core.retire_this(reason, suspect);
        self.adopted = false;
        if was_handed_out {
            core.emit(lost(suspect, unknown_for));
        }
        self.suspect = None;
    }

    pub(super) fn look_at(&self, error: &Error) {
        if suspicion::in_session_call(error) {
            self.core.suspect();
        }
    }
}

/// The server does not know a session before its end: requests that bore it since it last did went without their defaults.
pub(super) fn lost(session: &LiveSession, unknown_for: Duration) -> Event {
    Event::Lost {
        session: session.reference(),
        unknown_for,
        requests: session.uses(),
    }
}

/// What the next call of a create is for, with or without a session that may do.
pub(super) fn purpose_with(suspect: Option<&Arc<LiveSession>>) -> Purpose {
    match suspect {
        Some(_) => Purpose::Check,
        None => Purpose::Create,
    }
}

/// Whether the answer to a check says that the session is of no use.
pub(super) fn no_use_for(error: &Error) -> Option<RetireReason> {
    match error.kind() {
        ErrorKind::NotFound => Some(RetireReason::Lost),
        ErrorKind::WrongAnswer => Some(RetireReason::WrongAnswer),
        _ => None,
    }
}
