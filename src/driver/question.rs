//! Asks the server whether it is still the process that knows the sessions. One question serves all API keys.
//!
//! The *free question* is `GET /v1/health`, which counts against no limit. If it gets no answer, a session call is made
//! in its place. That call is *metered*: it counts against the daily quota.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{runtime::Handle, time::sleep};

use super::{
    core::Core,
    fleet::Since,
    once::{self, Receiver, Sender},
    outage::AWAY,
    stage::Stage,
};
use crate::{
    api,
    api::Word,
    clock::Reading,
    engine::evidence::{Fallback, Metered, Question},
    error::Error,
    hot::session::LiveSession,
    runtime::runtime,
};

/// If a question takes longer than this, its runtime counts as stalled. In a fleet, the question may first wait for
/// another process.
const OVERDUE: Duration = Duration::from_secs(4);

/// A request that waits for the next question needs this much of its `max_wait` for the answer, and for what follows.
const ANSWER: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct Asking {
    question: Question,
    answer: Receiver<Heard>,
}

/// The result of a question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) word: Word,
    /// In a fleet: the state of the store's slot for metered calls when this question began. All signs that the
    /// question covers came before that.
    pub(crate) since: Option<Since>,
}

impl From<Word> for Heard {
    fn from(word: Word) -> Self {
        Self { word, since: None }
    }
}

impl Core {
    /// Asks the server, if a question is due and there is a runtime. Otherwise the next request that waits for the
    /// answer asks.
    pub(crate) fn ask_at_once(self: &Arc<Self>) {
        if self.stage() == Stage::Open
            && self.has_sessions()
            && self.inquiry.is_due(self.now())
            && let Ok(runtime) = runtime()
        {
            self.ask(&runtime);
        }
    }

    /// Drops a question that belongs to another process, after a fork.
    pub(crate) fn forget_question(&self) {
        *self.inquiry.asking() = None;
        self.inquiry.evidence().drop_question();
    }

    /// Asks the server, or waits for the question under way, until the answer decides about suspect sessions. Returns
    /// the answer, and how many signs of a restart there had been when the question was asked.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unavailable`] if the server cannot be reached.
    pub(crate) async fn inquire(self: &Arc<Self>) -> Result<(Heard, u64), Error> {
        let runtime = runtime()?;
        loop {
            let wait = self.inquiry.evidence().may_ask_in(self.now());
            let asking = self.inquiry.asking().clone();
            let asking = asking.filter(|asking| self.covers_all_signs(asking));
            let leaves_it = asking.as_ref().and_then(|it| self.leaves_it_to_others(it));
            let asking = match asking {
                Some(asking) if asking.answer.get().is_none() => asking,
                None | Some(_) if wait.is_zero() => self.ask(&runtime),
                // The last question brought nothing, and the next one is not due. A session call can find out instead.
                asking => {
                    if let Some((asking, heard)) = asking.zip(leaves_it) {
                        return Ok((heard, asking.question.signs));
                    }
                    // The next question is not due yet. If the request cannot wait that long, and the question would
                    // bring nothing anyway, go on without it.
                    let is_too_late = wait + ANSWER > self.patience();
                    if is_too_late
                        && let Some(word) = self.inquiry.evidence().foregone_word(self.now())
                    {
                        return Ok((word.into(), self.suspicion.signs()));
                    }
                    sleep(wait).await;
                    continue;
                }
            };
            // Use the monotonic clock alone. A step of the wall clock would end a question that is about to be
            // answered.
            let (now, asked) = (self.now().monotonic, asking.question.asked.monotonic);
            let asked_for = now.saturating_sub(asked);
            let heard = tokio::select! {
                biased;
                heard = asking.answer.wait() => heard.copied(),
                () = sleep(OVERDUE.saturating_sub(asked_for)) => None,
            };
            match heard {
                Some(heard) => return Ok((heard, asking.question.signs)),
                // The question's task has ended, or its runtime has stalled.
                None => self.give_up_question(&asking),
            }
        }
    }

    /// Returns the result of the last question, if a session call can find out more than the next question.
    fn leaves_it_to_others(&self, asking: &Asking) -> Option<Heard> {
        let heard = asking.answer.get().copied()?;
        let leaves_it = match heard.word {
            Word::Silent => true,
            Word::Away => self.inquiry.evidence().is_health_alone_away(),
            Word::Says(_) => false,
        };
        leaves_it.then_some(heard)
    }

    /// Returns whether the question was asked after the last sign of a restart. Its answer then decides about all
    /// sessions that are suspect now.
    fn covers_all_signs(&self, asking: &Asking) -> bool {
        asking.question.signs >= self.suspicion.signs() && !asking.answer.is_closed()
    }

    /// Returns whether the question was asked after the last sign of a restart and is still under way.
    fn is_after_the_last_sign(&self, asking: &Asking) -> bool {
        self.covers_all_signs(asking) && asking.answer.get().is_none()
    }

    fn give_up_question(&self, asking: &Asking) {
        let mut current = self.inquiry.asking();
        let is_current = |it: &mut Asking| it.question.asked == asking.question.asked;
        if current.take_if(is_current).is_some() {
            self.inquiry.evidence().drop_question();
        }
    }

    /// Sends the question, unless one that covers all signs is under way.
    fn ask(self: &Arc<Self>, runtime: &Handle) -> Asking {
        let mut current = self.inquiry.asking();
        if let Some(asking) = current.as_ref()
            && self.is_after_the_last_sign(asking)
        {
            return asking.clone();
        }
        let (now, signs) = (self.now(), self.suspicion.signs());
        let question = self.inquiry.with(now, |evidence| evidence.ask(signs, now));
        let (done, answer) = once::channel();
        let asking = Asking { question, answer };
        *current = Some(asking.clone());
        drop(current);
        let unanswered = Unanswered {
            core: self.clone(),
            asking: asking.clone(),
        };
        runtime.spawn(answer_to(unanswered, done));
        asking
    }

    fn was_told(&self, question: Question, word: Word) {
        let now = self.now();
        let sessions = self.sessions();
        let sessions = sessions.iter().map(|session| session.made(now));
        let is_another = self.inquiry.with(now, |evidence| {
            evidence.answered(question, word, sessions, now)
        });
        match word {
            Word::Says(_) => {
                self.suspicion.calm();
                self.reached();
            }
            Word::Away if self.is_outage(question) => {
                self.unreached(&self.outage.unanswered(AWAY));
            }
            Word::Away | Word::Silent => {}
        }
        // The server's process is another one than before. Requests may have gone on during the question, so hold them
        // now.
        if is_another {
            self.known_ids.forget_by_hand();
            let signs = self.suspect(false);
            if signs == question.signs + 1 {
                self.inquiry.evidence().covers(signs);
            }
        }
    }

    /// Returns whether an outage begins because this question did not reach the server. A question for a hint begins
    /// none: requests go on meanwhile, and show whether the server can be reached.
    fn is_outage(&self, question: Question) -> bool {
        !question.is_for_a_hint() && !self.inquiry.evidence().is_health_alone_away()
    }

    /// Decides how a suspect session goes on if the server does not answer the free question.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unavailable`] if no other call reaches the server either.
    pub(crate) fn fall_back(&self, word: Word, signs: u64) -> Result<Fallback, Error> {
        let now = self.now();
        let fallback = self.inquiry.with(now, |evidence| match word {
            Word::Away => evidence.fallback_unreached(signs, now),
            Word::Says(_) | Word::Silent => evidence.fallback(signs, now),
        });
        match fallback {
            Fallback::Unreached => Err(self.outage.unanswered(AWAY)),
            fallback => Ok(fallback),
        }
    }

    /// Called when the server answers other calls although `GET /v1/health` cannot be reached. From then on no request
    /// waits for the next question. There is no outage unless other calls fail as well.
    #[cold]
    pub(crate) fn health_alone_is_away(&self) {
        let is_outage = self.gate().questions_go_unanswered();
        if !is_outage {
            self.reached();
        }
    }

    /// Notes the answer to a session call in place of the free question. `knows` says whether the server has the
    /// session. `when` says how many signs there had been when the call was sent, and when that was.
    pub(crate) fn metered(&self, session: &LiveSession, knows: bool, when: (u64, Reading)) {
        let answer = self.metered_answer(session, knows, when);
        let now = self.now();
        self.inquiry
            .with(now, |evidence| evidence.metered(answer, now));
    }

    pub(crate) fn metered_answer(
        &self,
        session: &LiveSession,
        knows: bool,
        (signs, asked): (u64, Reading),
    ) -> Metered {
        let now = self.now();
        Metered {
            knows,
            made_at: session.made(now).at,
            born: session.life.born().monotonic,
            is_oldest: self.is_oldest(session, now),
            signs,
            asked,
        }
    }

    /// Notes the result of a session call that another process of the fleet made in place of the free question. If that
    /// call was made before the sign, it decides nothing: it only shows whether a session is missing.
    pub(crate) fn metered_elsewhere(&self, answer: Metered, is_after_the_sign: bool) {
        let now = self.now();
        self.inquiry.with(now, |evidence| {
            if is_after_the_sign {
                evidence.metered(answer, now);
            }
            evidence.metered_elsewhere(&answer);
        });
    }

    /// Notes that a session call in place of the free question was answered, but the answer does not say whether the
    /// server has the session.
    pub(crate) fn metered_in_vain(&self, when: (u64, Reading)) {
        let now = self.now();
        self.inquiry
            .with(now, |evidence| evidence.metered_in_vain(when, now));
    }

    /// Notes that a session call in place of the free question was not made, or not answered.
    pub(crate) fn not_metered(&self) {
        self.inquiry.evidence().not_metered();
    }
}

/// Guards a question under way. If its task ends without an answer, for example with its runtime, the question is given
/// up and another one may be asked.
struct Unanswered {
    core: Arc<Core>,
    asking: Asking,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.asking.answer.get().is_none() {
            self.core.give_up_question(&self.asking);
        }
    }
}

async fn answer_to(unanswered: Unanswered, done: Sender<Heard>) {
    let core = &unanswered.core;
    // A random number, so that no two questions are alike, even from several processes at once.
    let number = core.with_rng(|rng| rng.u64(..));
    let ask = async {
        core.inquiry.asked.fetch_add(1, Ordering::Relaxed);
        let (transport, base) = (&core.transport, &core.settings.base);
        let answer = api::health::health(transport, base, number, core.patience()).await;
        let (word, why) = answer.unwrap_or((Word::Silent, None));
        if let Some(why) = why {
            core.outage.question_failed(&why);
        }
        word
    };
    let ask = core.fleet.ask_once(core, ask);
    let heard = tokio::select! {
        biased;
        () = core.abandoned() => return,
        heard = ask => heard,
    };
    core.was_told(unanswered.asking.question, heard.word);
    done.send(heard);
}
