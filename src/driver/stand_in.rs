//! If `GET /v1/health` (the *free question*) is not answered, one session call is made in its place. This module
//! chooses the session to ask for.
//!
//! One call serves all API keys. If the server has the oldest session, it has all younger ones. If not, the youngest
//! session shows whether any is left.

use std::{sync::Arc, time::Duration};

use super::{
    check::lost,
    core::Core,
    create::Create,
    fleet::{Since, StandIn, WhoAsks},
};
use crate::{
    clock::Reading,
    engine::{attempt::is_unanswered, gate::Clearance},
    error::{Error, ErrorKind},
    hot::session::{LiveSession, Loss},
    model::{budget::Purpose, reason::RetireReason},
};

/// The time limit of a session call in place of the free question. It is short, because requests of other API keys
/// wait for it, too.
const IN_PLACE: Duration = Duration::from_secs(2);

/// A create that makes the call in place of the free question. If this is dropped before the answer, another create
/// may make the call.
pub(crate) struct StandsIn {
    core: Arc<Core>,
    /// The claim in the shared store. With it, this process tells the rest of the fleet the result.
    for_fleet: Option<Box<StandIn>>,
    is_over: bool,
}

impl Drop for StandsIn {
    fn drop(&mut self) {
        if !self.is_over {
            self.core.not_metered();
        }
    }
}

/// The session that was asked for, whether it is there, and the number of signs and the time of the call.
type Asked = (Arc<LiveSession>, bool, (u64, Reading));

impl Create {
    /// Begins a call in place of the free question, because that question is not answered.
    pub(crate) fn begin_standing_in(&mut self) {
        self.standing_in = Some(StandsIn {
            core: self.core.clone(),
            for_fleet: None,
            is_over: false,
        });
    }

    /// Ends a call in place of the free question, because its result is known. Returns the claim that is needed to tell
    /// the fleet.
    pub(crate) fn end_standing_in(&mut self) -> Option<Box<StandIn>> {
        let mut standing_in = self.standing_in.take()?;
        standing_in.is_over = true;
        standing_in.for_fleet.take()
    }

    /// Returns whether this process has to ask, because no other process of the fleet has asked lately. If another one
    /// has, its result is noted here. `signs` is how many signs of a restart there have been. All of them came before
    /// the store's slot was read as `since`.
    pub(crate) async fn asks_itself(&mut self, signs: u64, since: Option<Since>) -> bool {
        let core = &self.core;
        let counts_for = core.inquiry.evidence().metered_counts_for(core.now());
        match core.fleet.stand_in(core, (signs, since), counts_for).await {
            WhoAsks::This(for_fleet) => {
                if let Some(standing_in) = &mut self.standing_in {
                    standing_in.for_fleet = for_fleet;
                }
                true
            }
            WhoAsks::Another(answer, is_after_the_sign) => {
                self.end_standing_in();
                self.core.metered_elsewhere(answer, is_after_the_sign);
                false
            }
        }
    }

    /// Returns the short time limit of a call in place of the free question, if it applies to this session. It applies
    /// to a session of another partition. It applies to this create's own session only if requests may use that session
    /// without an answer.
    pub(crate) fn longest_in_place(&self, session: &Arc<LiveSession>) -> Option<Duration> {
        let suspect = self.attempt.suspect();
        let is_own = suspect.is_some_and(|own| Arc::ptr_eq(own, session));
        let may_go_on = || self.core.inquiry.evidence().may_go_on_untold();
        let stands_in = self.standing_in.is_some();
        (stands_in && (!is_own || may_go_on())).then_some(IN_PLACE)
    }

    /// Asks for the oldest session, unless that is the `suspect` itself, and applies the result to all sessions.
    /// Returns whether the result decides about all of them.
    ///
    /// # Errors
    ///
    /// Returns why the server cannot be reached.
    pub(crate) async fn ask_for_oldest(
        &mut self,
        suspect: &Arc<LiveSession>,
    ) -> Result<bool, Error> {
        let Some(oldest) = self.core.oldest(suspect) else {
            return Ok(false);
        };
        let Some(asked) = self.ask_for(&oldest).await? else {
            return Ok(self.is_told_meanwhile());
        };
        let is_there = asked.1;
        self.stood_in(asked).await;
        self.core.settle(&oldest, is_there);
        Ok(true)
    }

    /// Returns whether the free question was answered during the session call. If so, ends that call: it would tell
    /// nothing more.
    fn is_told_meanwhile(&mut self) -> bool {
        let is_told = self.core.has_heard();
        if is_told {
            self.end_standing_in();
            self.core.inquiry.evidence().metered_for_nothing();
        }
        is_told
    }

    /// Returns whether health has answered while a session call was made in its place. Health's answer says more
    /// about the other sessions.
    fn is_overtaken_by_health(&mut self) -> bool {
        let is_answered = self.core.inquiry.evidence().is_told();
        is_answered && self.is_told_meanwhile()
    }

    /// Applies the result of a call in place of the free question. If the session is lost, asks for the youngest one
    /// before the others go on.
    pub(crate) async fn stood_in(&mut self, asked: Asked) {
        let (session, is_there, when) = &asked;
        if self.is_overtaken_by_health() {
            // The server may have lost the session, and the others with it, after it answered health.
            if !is_there {
                self.core.suspect(true);
            }
            return;
        }
        let youngest = match self.core.youngest(session) {
            Some(youngest) if !is_there => self.ask_for(&youngest).await.ok().flatten(),
            _ => None,
        };
        let for_fleet = self.end_standing_in();
        self.core.metered(session, *is_there, *when);
        // If the youngest session is lost as well, all are. Tell the fleet that instead.
        let says_more = youngest.as_ref().filter(|(_, is_there, _)| !is_there);
        let told = says_more.unwrap_or(&asked).clone();
        if let Some((youngest, is_there, when)) = youngest {
            self.core.metered(&youngest, is_there, when);
            self.core.settle(&youngest, is_there);
        }
        self.tell_fleet(for_fleet, &told).await;
    }

    async fn tell_fleet(&self, for_fleet: Option<Box<StandIn>>, (session, is_there, when): &Asked) {
        if let Some(stand_in) = for_fleet {
            let answer = self.core.metered_answer(session, *is_there, *when);
            self.core
                .fleet
                .stood_in(&self.core, *stand_in, &answer)
                .await;
        }
    }

    /// Asks for a session. Returns `None` if it was not asked for, or if the answer says nothing about the others.
    ///
    /// # Errors
    ///
    /// Returns the error if no call to the server is answered.
    async fn ask_for(&self, session: &Arc<LiveSession>) -> Result<Option<Asked>, Error> {
        let (signs, asked) = (self.core.suspicion.signs(), self.core.now());
        let clearance = self
            .core
            .gate()
            .clear(&session.partition, Purpose::Check, None, asked);
        if !matches!(clearance, Clearance::Granted) {
            return Ok(None);
        }
        let is_there = match self.check(session).await {
            Ok(()) => true,
            // Whoever retired the session may have deleted it since.
            Err(_) if session.in_flight.is_retired() => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => {
                self.was_refused(session, error)?;
                return Ok(None);
            }
        };
        Ok(Some((session.clone(), is_there, (signs, asked))))
    }

    /// Draws conclusions from a failed call for a session of another partition. Such a failure says nothing about the
    /// other sessions.
    fn was_refused(&self, session: &Arc<LiveSession>, error: Error) -> Result<(), Error> {
        let core = &self.core;
        if error.kind() == ErrorKind::WrongAnswer {
            core.give_up(session, RetireReason::WrongAnswer);
            return Ok(());
        }
        if is_unanswered(&error) && !core.inquiry.evidence().is_reached() {
            return Err(error);
        }
        // A gateway's answer may concern this call alone, so it is not noted. A failure that holds back all keys also
        // holds back this create's own call.
        if error.code().is_some() || is_unanswered(&error) {
            let (mut gate, now) = (core.gate(), core.now());
            gate.failed(&session.partition, Purpose::Check, error, now);
        }
        Ok(())
    }
}

impl Core {
    fn others(&self, than: &Arc<LiveSession>) -> impl Iterator<Item = Arc<LiveSession>> {
        let now = self.now();
        let sessions = self.sessions().into_iter();
        let is_other = move |it: &Arc<LiveSession>| !Arc::ptr_eq(it, than) && it.is_usable(now);
        sessions.filter(is_other)
    }

    /// Returns the session that was created first, if that was before this one.
    fn oldest(&self, than: &Arc<LiveSession>) -> Option<Arc<LiveSession>> {
        let oldest = self.others(than).min_by_key(|it| it.age_key())?;
        (oldest.age_key() < than.age_key()).then_some(oldest)
    }

    /// Returns the session that was created last, if that was after this one.
    fn youngest(&self, than: &Arc<LiveSession>) -> Option<Arc<LiveSession>> {
        let youngest = self.others(than).max_by_key(|it| it.age_key())?;
        (youngest.age_key() > than.age_key()).then_some(youngest)
    }

    /// Applies the answer to a call that asked for a session of another partition.
    pub(crate) fn settle(self: &Arc<Self>, session: &Arc<LiveSession>, is_there: bool) {
        if is_there {
            self.gate().checked(&session.partition, self.now());
            return;
        }
        if !session.is_shared() || !session.in_flight.is_retired() {
            self.suspect_others(session);
        }
        self.give_up(session, RetireReason::Lost);
    }

    /// Gives up a session that is lost or wrong. Requests that carried it may have been answered without their
    /// defaults.
    fn give_up(self: &Arc<Self>, session: &Arc<LiveSession>, reason: RetireReason) {
        session.set_lost();
        if self.retire_this(reason, session) {
            self.emit(lost(session, Loss::Session, self.now()));
        }
    }
}
