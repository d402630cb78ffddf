//! Asks whether the server still knows a session. A create begins with this if its partition has a session that may
//! still be good.

use std::sync::Arc;

use tokio::time::{sleep, timeout};

use super::{core::Core, create::Create, observe::Call};
use crate::{
    api::{SessionId, SessionRecord, Stamp, Word},
    clock::Reading,
    engine::{
        attempt::{Checked, Known},
        evidence::{Fallback, Fate},
    },
    error::{Error, ErrorKind},
    hot::{
        memo,
        session::{LiveSession, Loss},
    },
    model::{
        echo, event::Event, evidence::Cause, failure::FLOOR, partition::Partition,
        reason::RetireReason, sign,
    },
};

impl Create {
    /// Asks about a session within the time of this create. Ends early if another create finds out that the server
    /// does not answer.
    pub(super) async fn ask_in_time(&mut self, suspect: &Arc<LiveSession>) -> Result<Known, Error> {
        let time_left = self.attempt.time_left(self.core.now());
        let (core, create) = (self.core.clone(), self.generation);
        let answer = tokio::select! {
            biased;
            answer = timeout(time_left, self.ask(suspect)) => answer,
            error = core.unanswered(create) => Ok(Err(error)),
        };
        let answer = answer.unwrap_or_else(|_| {
            let text = "the server did not say in time whether it still has the session";
            // Until the next question may be asked, another try would learn nothing.
            let next = self.core.inquiry.evidence().may_ask_in(self.core.now());
            let error = self.core.outage.unanswered(text);
            Err(error.with_retry_after((!next.is_zero()).then_some(next)))
        });
        if answer.is_err() {
            self.standing_in = None;
        }
        let stands_in = self.standing_in.is_some();
        answer.map(|fate| Known { fate, stands_in })
    }

    /// Asks the server what became of the session. It begins with `GET /v1/health`, because one answer to that serves
    /// all API keys.
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
            // This also adds the uses that memos have counted to the session's count.
            memo::forget(suspect);
            before = Some((now, suspect.uses_over()));
            let (heard, signs) = core.inquire().await?;
            let word = heard.word;
            if !matches!(word, Word::Says(_)) && self.falls_back(suspect, word, signs).await? {
                // Do this before the next await. If this create is dropped there, its guard lets another create make
                // the call.
                self.begin_standing_in();
                if suspect.in_flight.is_retired() {
                    // Another process of the fleet has found out meanwhile that the session is gone.
                    self.standing_in = None;
                    return Ok(Fate::Gone);
                }
                if self.asks_itself(signs, heard.since).await {
                    return Ok(Fate::Unclear);
                }
            }
        }
    }

    /// Called when `GET /v1/health` got no answer. Returns whether this create has to make a session call instead,
    /// which counts against the quota. Waits while another create makes that call.
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
            // Another create may have got an answer meanwhile.
            if core.judge(suspect, core.now()).is_some() {
                return Ok(false);
            }
        }
    }

    /// Asks the server for the session itself.
    pub(super) async fn check_suspect(&mut self, suspect: &Arc<LiveSession>) -> Checked {
        self.asked = (self.core.suspicion.signs(), self.core.now());
        let result = self.check(suspect).await;
        let is_retired = suspect.in_flight.is_retired();
        Checked { result, is_retired }
    }

    /// Asks the server for a session, and checks that it is still as it was created. The caller has already counted
    /// the call in the budget.
    pub(crate) async fn check(&self, suspect: &Arc<LiveSession>) -> Result<(), Error> {
        let (core, partition) = (&self.core, &suspect.partition);
        // This also adds the uses that memos have counted to the session's count.
        memo::forget(suspect);
        let (signs, now, uses) = (core.suspicion.signs(), core.now(), suspect.uses_over());
        let time_left = self.attempt.time_left(now);
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

    /// Draws conclusions from a failed session call for this partition. The call was sent at `sent`.
    pub(crate) fn look_at(&self, partition: &Partition, error: &Error, sent: Reading) {
        self.core.saw_session_call(error.window(), sent);
        let is_outage = self.core.saw_failure(partition, error);
        if let Some(cause) = sign::in_session_call(error) {
            let concerns_others = is_outage || cause == Cause::Broken;
            let is_sign = concerns_others && self.core.is_sign_to_others();
            if cause >= Cause::Sign {
                self.core.inquiry.evidence().call_failed(sent);
            }
            // If this call is made in place of `GET /v1/health`, its failure tells nothing new: health has failed
            // before.
            if self.standing_in.is_none() || is_sign {
                self.core.saw(cause);
            }
        }
    }
}

impl Core {
    /// Gives up a session that the server has lost. Requests that carried it were answered without their defaults.
    pub(super) fn give_up_suspect(
        self: &Arc<Self>,
        suspect: &Arc<LiveSession>,
        reason: RetireReason,
        metered: bool,
    ) {
        let now = self.now();
        suspect.set_lost();
        // If the session was shared and is retired, another process may have deleted it. Then nothing was lost.
        let may_be_deleted = suspect.is_shared() && suspect.in_flight.is_retired();
        if reason == RetireReason::Lost && !may_be_deleted {
            if metered {
                let made_at = suspect.made(now).at;
                self.inquiry.evidence().misses(now, made_at);
            }
            self.suspect_others(suspect);
        }
        // `GET /v1/health` tells what happened to the server's process. A session call tells what happened to the
        // session.
        let loss = if metered {
            Loss::Session
        } else {
            Loss::Process
        };
        if self.retire_this(reason, suspect) {
            self.emit(lost(suspect, loss, now));
        }
    }
}

fn is_for(record: &SessionRecord, id: &SessionId) -> Result<(), Error> {
    if record.id == *id {
        return Ok(());
    }
    let text = "the server answered for another session";
    Err(Error::new(ErrorKind::WrongAnswer, text))
}

/// Returns the event for a session that the server lost before its end. The event counts the requests that carried
/// the session since the server last knew it.
pub(crate) fn lost(session: &LiveSession, loss: Loss, now: Reading) -> Event {
    let (unknown_for, requests) = session.unknown(loss, now);
    Event::Lost {
        session: session.reference(),
        unknown_for,
        requests,
    }
}
