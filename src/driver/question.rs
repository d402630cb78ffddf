//! Asking the server whether it is still the one that knows the sessions: one question for all keys.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{runtime::Handle, time::sleep};

use super::{
    core::Core,
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

/// A question whose runtime stands still is not waited for any longer than this.
/// In a fleet, it may first wait for another process.
const OVERDUE: Duration = Duration::from_secs(4);

#[derive(Clone, Debug)]
pub(crate) struct Asking {
    question: Question,
    answer: Receiver<Word>,
}

impl Core {
    /// Where there is a runtime and it is due; else the next request that waits for the answer asks.
    pub(crate) fn ask_at_once(self: &Arc<Self>) {
        if self.stage() == Stage::Open
            && self.has_sessions()
            && self.inquiry.is_due(self.now())
            && let Ok(runtime) = runtime()
        {
            self.ask(&runtime);
        }
    }

    /// This process is a copy of the one that asked.
    pub(crate) fn forget_question(&self) {
        *self.inquiry.asking() = None;
        self.inquiry.evidence().drop_question();
    }

    /// Asks the server, or waits for who does, until something follows for sessions that are held. Returns how many signs there had
    /// been when it was asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if the server cannot be reached.
    pub(crate) async fn inquire(self: &Arc<Self>) -> Result<(Word, u64), Error> {
        let runtime = runtime()?;
        loop {
            let wait = self.inquiry.evidence().may_ask_in(self.now());
            let asking = self.inquiry.asking().clone();
            let asking = asking.filter(|asking| self.covers_all_signs(asking));
            let leaves_it = asking.as_ref().and_then(|it| self.leaves_it_to_others(it));
            let asking = match asking {
                Some(asking) if asking.answer.get().is_none() => asking,
                None | Some(_) if wait.is_zero() => self.ask(&runtime),
                // It came before this request did, and the next would say no more: there is another way to find out.
                asking => {
                    if let Some((asking, word)) = asking.zip(leaves_it) {
                        return Ok((word, asking.question.signs));
                    }
                    // There was a sign since. The next question would tell nothing either, and may be further away than a request waits.
                    if let Some(word) = self.inquiry.evidence().foregone_word() {
                        return Ok((word, self.suspicion.signs()));
                    }
                    sleep(wait).await;
                    continue;
                }
            };
            // Not by the wall clock: one that steps would end a question that is about to be answered.
            let (now, asked) = (self.now().monotonic, asking.question.asked.monotonic);
            let asked_for = now.saturating_sub(asked);
            let word = tokio::select! {
                biased;
                word = asking.answer.wait() => word.copied(),
                () = sleep(OVERDUE.saturating_sub(asked_for)) => None,
            };
            match word {
                Some(word) => return Ok((word, asking.question.signs)),
                // Its task is gone, or its runtime stands still.
                None => self.give_up_question(&asking),
            }
        }
    }

    /// What the last question came to, if there is another way to find out than the next one.
    fn leaves_it_to_others(&self, asking: &Asking) -> Option<Word> {
        let word = asking.answer.get().copied()?;
        let leaves_it = match word {
            Word::Silent => true,
            Word::Away => self.inquiry.evidence().is_health_alone_away(),
            Word::Says(_) => false,
        };
        leaves_it.then_some(word)
    }

    /// Whether the answer says something of sessions that are suspect now.
    fn covers_all_signs(&self, asking: &Asking) -> bool {
        asking.question.signs >= self.suspicion.signs() && !asking.answer.is_closed()
    }

    /// The same of one that is still on its way.
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

    /// Sends the question, unless one is on its way that will do.
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
        // It may have been asked while requests went on.
        if is_another {
            self.known_ids.forget_by_hand();
            let signs = self.suspect(false);
            if signs == question.signs + 1 {
                self.inquiry.evidence().covers(signs);
            }
        }
    }

    /// Whether a question that does not reach the server tells of an outage. Requests go on while a hint is looked into, and find out.
    fn is_outage(&self, question: Question) -> bool {
        !question.is_for_a_hint() && !self.inquiry.evidence().is_health_alone_away()
    }

    /// How a session that is held goes on where the server does not answer the free question.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if nothing else of the server's can be reached.
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

    /// Other calls are answered, although health cannot be reached: nobody waits for the next question, and there is no outage
    /// unless calls fail as well.
    #[cold]
    pub(crate) fn health_alone_is_away(&self) {
        let is_outage = self.gate().questions_go_unanswered();
        if !is_outage {
            self.reached();
        }
    }

    /// A session was asked for in place of that, after so many signs.
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

    /// Another process of the fleet has asked for one, after the sign or before it.
    pub(crate) fn metered_elsewhere(&self, answer: Metered, is_after_the_sign: bool) {
        let now = self.now();
        self.inquiry.with(now, |evidence| {
            if is_after_the_sign {
                evidence.metered(answer, now);
            }
            evidence.metered_elsewhere(&answer);
        });
    }

    /// A session was asked for in place of that after so many signs, and the server did not say whether it is there.
    pub(crate) fn metered_in_vain(&self, when: (u64, Reading)) {
        let now = self.now();
        self.inquiry
            .with(now, |evidence| evidence.metered_in_vain(when, now));
    }

    /// That call was not made, or not answered.
    pub(crate) fn not_metered(&self) {
        self.inquiry.evidence().not_metered();
    }
}

/// A question on its way. Whoever waits is told if its task ends without an answer, also with its runtime.
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

async fn answer_to(unanswered: Unanswered, done: Sender<Word>) {
    let core = &unanswered.core;
    // No two alike, also of several processes that ask at once.
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
    let word = tokio::select! {
        biased;
        () = core.abandoned() => return,
        word = ask => word,
    };
    core.was_told(unanswered.asking.question, word);
    done.send(word);
}
