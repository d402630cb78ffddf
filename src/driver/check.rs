//! Whether the server still knows a session. A create begins with this question where there is a session that may do.

use std::{mem, sync::Arc};

use tokio::time::{sleep, timeout};

use super::{
    create::{Create, Fenced},
    flight::Outcome,
    observe::Call,
};
use crate::{
    api::{SessionId, SessionRecord, Stamp, Word},
    clock::Reading,
    engine::evidence::{Fallback, Fate},
    error::{Error, ErrorKind},
    hot::{
        memo,
        session::{LiveSession, Loss},
    },
    model::{
        echo, event::Event, evidence::Cause, failure, failure::FLOOR, life::Phase,
        partition::Partition, reason::RetireReason, sign,
    },
};

impl Create {
    /// Finds out what became of a session that may do: by the question that is free, and where only the session itself can
    /// tell, by asking for it.
    pub(crate) async fn find_out(
        &mut self,
        suspect: Arc<LiveSession>,
        begun: Reading,
    ) -> Result<Outcome, Fenced> {
        loop {
            let when = (self.core.suspicion.signs(), self.core.now());
            let found = self.find_out_once(&suspect, begun).await?;
            if !self.asked_in_vain(&suspect, &found, when) {
                return Ok(found.map(|()| suspect));
            }
        }
    }

    async fn find_out_once(
        &mut self,
        suspect: &Arc<LiveSession>,
        mut begun: Reading,
    ) -> Result<Result<(), Error>, Fenced> {
        while !self.metered {
            match self.ask_in_time(suspect, begun).await {
                Ok(Fate::Alive) => return Ok(Ok(())),
                Ok(Fate::Gone) => {
                    let text = "the server is another process than the one that had the session";
                    return Ok(Err(Error::new(ErrorKind::NotFound, text)));
                }
                Ok(Fate::Unclear) => {}
                Err(error) => {
                    self.gives_up_standing_in();
                    return Ok(Err(error));
                }
            }
            if self.is_over() {
                self.gives_up_standing_in();
                return Ok(Ok(()));
            }
            if self.stands_in {
                match self.ask_for_oldest(suspect, begun).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => {
                        self.gives_up_standing_in();
                        return Ok(Err(error));
                    }
                }
            }
            self.metered = true;
            if let Err(error) = self.queue().await? {
                self.gives_up_standing_in();
                return Ok(Err(error));
            }
            // The question, which the fleet shares, has had its own time.
            begun = self.core.now();
        }
        let (signs, asked) = (self.core.suspicion.signs(), self.core.now());
        let known = self.check(suspect, begun).await;
        let is_there = match &known {
            Ok(()) => Some(true),
            // It may have been deleted since by whoever retired it.
            Err(_) if suspect.in_flight.is_retired() => None,
            Err(error) => (error.kind() == ErrorKind::NotFound).then_some(false),
        };
        if let Some(is_there) = is_there.filter(|_| self.stands_in) {
            let asked = (suspect.clone(), is_there, (signs, asked));
            self.stood_in(asked, begun).await;
        }
        Ok(known)
    }

    /// Whether no request may bear the session any more, whatever the server says of it.
    pub(crate) fn is_over(&self) -> bool {
        let now = self.core.now();
        let suspect = self.suspect.as_ref();
        suspect.is_some_and(|suspect| suspect.phase(now) == Phase::Over)
    }

    /// A session was asked for in place of the free question, and the server did not say whether it is there. Returns whether that is
    /// decided without it.
    fn asked_in_vain(
        &mut self,
        suspect: &LiveSession,
        found: &Result<(), Error>,
        when: (u64, Reading),
    ) -> bool {
        let error = found
            .as_ref()
            .err()
            .filter(|_| self.stands_in && self.metered);
        let may_go_on = self.core.inquiry.evidence().may_go_on_untold();
        let says_nothing = |error: &&Error| no_use_for(error).is_none();
        let is_in_vain = may_go_on && !suspect.in_flight.is_retired();
        if let Some(error) = error.filter(says_nothing).filter(|_| is_in_vain) {
            // What a gateway says may hold for this call alone.
            if error.code().is_some() {
                let _ = self.hold_back(error.clone());
            }
            (self.stands_in, self.metered, self.for_fleet) = (false, false, None);
            // Its own failure may have been a sign, which is not decided by that.
            self.core.metered_in_vain(when);
            return true;
        }
        self.goes_back_to_the_question(found);
        self.gives_up_standing_in();
        false
    }

    /// The server does not answer at all: the free question finds out when it is there again, and not the calls that count.
    fn goes_back_to_the_question(&mut self, known: &Result<(), Error>) {
        let is_away = |error: &Error| is_unanswered(error) || failure::is_unreachable(error);
        if self.stands_in && known.as_ref().is_err_and(is_away) {
            self.metered = false;
        }
    }

    /// The call in place of the free question was not made, or not answered: another create may make it.
    pub(crate) fn gives_up_standing_in(&mut self) {
        if mem::take(&mut self.stands_in) {
            self.for_fleet = None;
            self.core.not_metered();
        }
    }

    /// Like a call, it ends with the create that it belongs to.
    async fn ask_in_time(
        &mut self,
        suspect: &Arc<LiveSession>,
        begun: Reading,
    ) -> Result<Fate, Error> {
        let create_timeout = self.core.settings.create_timeout;
        let time_left = create_timeout.saturating_sub(self.core.now().since(begun));
        let (core, create) = (self.core.clone(), self.generation);
        let answer = tokio::select! {
            biased;
            answer = timeout(time_left, self.ask(suspect)) => answer,
            // Another create has found out that nobody answers.
            error = core.unanswered(create) => Ok(Err(error)),
        };
        answer.unwrap_or_else(|_| {
            let text = "no answer in time to whether the server still has the session";
            // Before the next question, a try tells no more.
            let next = self.core.inquiry.evidence().may_ask_in(self.core.now());
            let error = self.core.outage.unanswered(text);
            Err(error.with_retry_after((!next.is_zero()).then_some(next)))
        })
    }

    /// The free question, which all keys share.
    async fn ask(&mut self, suspect: &Arc<LiveSession>) -> Result<Fate, Error> {
        let mut before = None;
        loop {
            let (core, now) = (&self.core, self.core.now());
            let signs = core.suspicion.signs();
            if let Some(fate) = core.judge(suspect, now) {
                if fate == Fate::Alive {
                    core.clears(suspect, signs, before);
                }
                return Ok(fate);
            }
            // Its uses up to here are counted.
            memo::forget(suspect);
            before = Some((now, suspect.uses()));
            let (word, signs) = core.inquire().await?;
            if !matches!(word, Word::Says(_)) && self.falls_back(suspect, word, signs).await? {
                // First: another is to make the call if this one is dropped from here on.
                self.stands_in = true;
                if suspect.in_flight.is_retired() {
                    // Another process of the fleet has found it out meanwhile.
                    self.gives_up_standing_in();
                    return Ok(Fate::Gone);
                }
                if self.asks_itself(signs).await {
                    return Ok(Fate::Unclear);
                }
            }
        }
    }

    /// Nobody answers the free question: returns whether this create is to ask for a session in place of that.
    async fn falls_back(
        &self,
        suspect: &LiveSession,
        word: Word,
        signs: u64,
    ) -> Result<bool, Error> {
        let core = &self.core;
        loop {
            match core.fall_back(word, signs)? {
                Fallback::Meter => return Ok(true),
                Fallback::Decided | Fallback::Unreached => return Ok(false),
                Fallback::Wait => sleep(FLOOR).await,
            }
            // Whoever asks has been told meanwhile.
            if core.judge(suspect, core.now()).is_some() {
                return Ok(false);
            }
        }
    }

    /// Asks whether the server still knows a session, as it was made. The call has been counted in the budget.
    pub(crate) async fn check(
        &self,
        suspect: &Arc<LiveSession>,
        begun: Reading,
    ) -> Result<(), Error> {
        let (core, partition) = (&self.core, &suspect.partition);
        // Its uses up to here are counted.
        memo::forget(suspect);
        let (signs, now, uses) = (core.suspicion.signs(), core.now(), suspect.uses());
        let time_left = core
            .settings
            .create_timeout
            .saturating_sub(now.since(begun));
        let time_left = time_left.min(self.longest_in_place(suspect).unwrap_or(time_left));
        let api = core.calls(partition);
        core.observer.session_call(Call::Get);
        let id = suspect.id.to_id();
        let answer = api.timeout(time_left).get_with_head(&id).await;
        let (record, head) = answer.inspect_err(|error| self.look_at(partition, error, now))?;
        is_for(&record, &id)
            .and_then(|()| echo::check(&record, &partition.defaults, core.settings.ttl))
            .inspect_err(|_| core.saw_session_call(Stamp::of(&head), now))?;
        core.saw_get(suspect, &head, now);
        core.answered_to(partition);
        if let Some(server) = core.servers_clock(now) {
            suspect.known_at(server, now);
        }
        suspect.known_alive(signs, now, uses);
        core.counted_call(partition);
        Ok(())
    }

    /// Requests that bore it went without their defaults.
    pub(crate) fn give_up_suspect(&mut self, suspect: &Arc<LiveSession>, reason: RetireReason) {
        let (core, now) = (&self.core, self.core.now());
        suspect.set_lost();
        // One that was shared and is used no more may have been deleted by another process.
        let may_be_deleted = suspect.is_shared() && suspect.in_flight.is_retired();
        if reason == RetireReason::Lost && !may_be_deleted {
            core.suspect_others(suspect);
        }
        let was_handed_out = core.retire_this(reason, suspect);
        self.adopted = false;
        if was_handed_out {
            // The free question says what became of the process, a metered one what became of the session.
            let loss = if self.metered {
                Loss::Session
            } else {
                Loss::Process
            };
            core.emit(lost(suspect, loss, now));
        }
        self.suspect = None;
    }

    /// Of a call that was sent then, about a session of this partition.
    pub(crate) fn look_at(&self, partition: &Partition, error: &Error, sent: Reading) {
        self.core.saw_session_call(error.window(), sent);
        let is_outage = self.core.saw_failure(partition, error);
        if let Some(cause) = sign::in_session_call(error) {
            let concerns_others = is_outage || cause == Cause::Broken;
            let is_sign = concerns_others && self.core.is_sign_to_others();
            if cause >= Cause::Sign {
                self.core.inquiry.evidence().call_failed(sent);
            }
            // In place of the question, it says what the question has said.
            if !self.stands_in || is_sign {
                self.core.saw(cause);
            }
        }
    }
}

/// Whether nobody has answered: what a gateway or the server says to one key is that key's own affair.
pub(crate) fn is_unanswered(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.status().is_none()
}

fn is_for(record: &SessionRecord, id: &SessionId) -> Result<(), Error> {
    if record.id == *id {
        return Ok(());
    }
    let text = "the server answered for another session";
    Err(Error::new(ErrorKind::WrongAnswer, text))
}

/// The server does not know a session before its end: requests that bore it since it last did went without their defaults.
pub(crate) fn lost(session: &LiveSession, loss: Loss, now: Reading) -> Event {
    let (unknown_for, requests) = session.unknown(loss, now);
    Event::Lost {
        session: session.reference(),
        unknown_for,
        requests,
    }
}

/// Whether the answer to a check says that the session is of no use.
pub(crate) fn no_use_for(error: &Error) -> Option<RetireReason> {
    match error.kind() {
        ErrorKind::NotFound => Some(RetireReason::Lost),
        ErrorKind::WrongAnswer => Some(RetireReason::WrongAnswer),
        _ => None,
    }
}
