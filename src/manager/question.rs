//! Asking the server whether it is still the one that knows the sessions: one question for all keys.
//!
//! What is seen goes to [`evidence`](crate::evidence), which says what follows; here it is carried out.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use tokio::{runtime::Handle, time::sleep};

use super::{
    core::{Core, Stage},
    event::Event,
    promise::{Promise, Promised, promise},
    session::LiveSession,
};
use crate::{
    api,
    clock::Reading,
    error::{Error, ErrorKind},
    evidence::{
        Cause, Evidence, Fallback, Fate, Metered, Question, Reaction, Word,
        window::{Exchange, Stamp},
    },
    headers,
};

/// The headers of answers are looked at so often, and on each answer only where a proof is wanted.
const LOOK: u64 = 250;
/// A question whose runtime stands still is not waited for any longer than this.
/// In a fleet, it may first wait for another process.
const OVERDUE: Duration = Duration::from_secs(4);

/// What is known of the server, and the question about it.
#[derive(Debug)]
pub(crate) struct Inquiry {
    evidence: Mutex<Evidence>,
    /// When a request has to look at it next, by either clock, in milliseconds.
    look_at: [AtomicU64; 2],
    /// When the headers of an answer were last looked at, in milliseconds of monotonic time.
    looked_at: AtomicU64,
    /// The question on its way.
    asking: Mutex<Option<Asking>>,
    asked: AtomicU64,
}

#[derive(Clone, Debug)]
struct Asking {
    question: Question,
    answer: Promised<Word>,
}

impl Inquiry {
    pub(crate) fn new(verify_after: Duration) -> Self {
        Self {
            evidence: Mutex::new(Evidence::new(verify_after)),
            look_at: [const { AtomicU64::new(0) }; 2],
            looked_at: AtomicU64::new(0),
            asking: Mutex::default(),
            asked: AtomicU64::new(0),
        }
    }

    /// How many times the server was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn evidence(&self) -> MutexGuard<'_, Evidence> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asking(&self) -> MutexGuard<'_, Option<Asking>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known, and with it when to look next.
    fn with<T>(&self, now: Reading, change: impl FnOnce(&mut Evidence) -> T) -> T {
        let mut evidence = self.evidence();
        let outcome = change(&mut evidence);
        let wait = evidence.look_in(now);
        for (at, clock) in self.look_at.iter().zip([now.monotonic, now.wall]) {
            at.store(millis(clock.saturating_add(wait)), Ordering::Relaxed);
        }
        outcome
    }

    fn is_to_look(&self, now: Reading) -> bool {
        let is_due =
            |(at, clock): (&AtomicU64, Duration)| at.load(Ordering::Relaxed) <= millis(clock);
        self.look_at
            .iter()
            .zip([now.monotonic, now.wall])
            .any(is_due)
    }

    fn is_due(&self, now: Reading) -> bool {
        self.evidence().may_ask_in(now).is_zero()
    }

    /// Whether this answer is the one to look at.
    fn takes_a_look(&self, now: Reading) -> bool {
        let (now, last) = (
            millis(now.monotonic),
            self.looked_at.load(Ordering::Relaxed),
        );
        (now >= last.saturating_add(LOOK) || now < last)
            && self
                .looked_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl Core {
    /// A request is about to be given a session. Returns whether it has to wait until the server has been asked.
    pub(super) fn is_held(self: &Arc<Self>, now: Reading) -> bool {
        if !self.inquiry.is_to_look(now) {
            return false;
        }
        let reaction = self.inquiry.with(now, |evidence| evidence.look(now));
        self.react(reaction, Cause::Unproven);
        reaction == Reaction::Hold
    }

    /// Something speaks against the server, which is asked at once.
    pub(crate) fn saw(self: &Arc<Self>, cause: Cause) {
        if self.note(cause) != Reaction::Nothing {
            self.ask_at_once();
        }
    }

    /// The same, but the next request asks.
    pub(crate) fn note(&self, cause: Cause) -> Reaction {
        let now = self.now();
        let reaction = self
            .inquiry
            .with(now, |evidence| evidence.raise(cause, now));
        if reaction == Reaction::Hold {
            self.suspect(cause >= Cause::Sign);
        }
        reaction
    }

    fn react(self: &Arc<Self>, reaction: Reaction, cause: Cause) {
        if reaction == Reaction::Hold {
            self.suspect(cause >= Cause::Sign);
        }
        if reaction != Reaction::Nothing {
            self.ask_at_once();
        }
    }

    /// Where there is a runtime and it is due; else the next request that waits for the answer asks.
    fn ask_at_once(self: &Arc<Self>) {
        if self.stage() == Stage::Open
            && self.live.entry_count() > 0
            && self.inquiry.is_due(self.now())
            && let Ok(runtime) = Handle::try_current()
        {
            self.ask(&runtime);
        }
    }

    /// Looks at the head of an answer; returns whether it proves that the process is the one of before. `None` if it
    /// was not looked at.
    pub(super) fn examine(
        self: &Arc<Self>,
        headers: &HeaderMap,
        sent: Reading,
        wants_proof: bool,
    ) -> Option<bool> {
        let received = self.now();
        if !(wants_proof || self.inquiry.takes_a_look(received)) {
            return None;
        }
        let (proves, reaction) = self.inquiry.with(received, |evidence| {
            let of_date = headers::date(headers).map(|date| evidence.see_date(date, received));
            let stamp = Stamp::of(headers);
            let seen = stamp.map(|stamp| evidence.see(stamp, Exchange { sent, received }));
            let (proves, of_window) = seen.unwrap_or((false, Reaction::Nothing));
            (proves, of_window.max(of_date.unwrap_or(Reaction::Nothing)))
        });
        self.react(reaction, Cause::Sign);
        Some(proves)
    }

    /// A session was created at `made_at` by the server's clock.
    pub(super) fn saw_create(
        self: &Arc<Self>,
        headers: &HeaderMap,
        sent: Reading,
        made_at: Duration,
    ) {
        // The count of entries lags behind.
        let (received, is_first) = (self.now(), self.live.iter().next().is_none());
        let exchange = Exchange { sent, received };
        let reaction = self.inquiry.with(received, |evidence| {
            evidence.see_clock(made_at, exchange);
            evidence.created(Stamp::of(headers), exchange, is_first)
        });
        self.react(reaction, Cause::Sign);
    }

    /// What became of a session, if the server was asked after the last sign.
    pub(super) fn judge(&self, session: &LiveSession, now: Reading) -> Option<Fate> {
        let signs = self.suspicion.signs();
        self.inquiry.evidence().judge(&session.made(now), signs)
    }

    /// Whether the server itself was heard after the last sign.
    pub(crate) fn has_heard(&self) -> bool {
        let signs = self.suspicion.signs();
        self.inquiry.evidence().was_told(signs)
    }

    /// Lets a session that became suspect go on if the server has been asked since. Returns whether it may.
    pub(crate) fn is_cleared(&self, session: &LiveSession, now: Reading) -> bool {
        let signs = self.suspicion.signs();
        let fate = self.inquiry.evidence().judge(&session.made(now), signs);
        let goes_on = fate == Some(Fate::Alive);
        if goes_on {
            session.goes_on(signs);
        }
        goes_on
    }

    /// What the server's clock says, as far as that is known.
    pub(super) fn servers_clock(&self, now: Reading) -> Option<Duration> {
        self.inquiry.evidence().clock(now)
    }

    /// This process is a copy of the one that asked.
    pub(super) fn forget_question(&self) {
        *self.inquiry.asking() = None;
        self.inquiry.evidence().drop_question();
    }

    /// Whether a session that another process of the fleet has made is one of the server's process that is known here.
    #[cfg(feature = "store")]
    pub(super) fn vouches_for(&self, made: &crate::evidence::Made) -> bool {
        self.inquiry.evidence().vouches_for(made)
    }

    /// Whether an answer that proves the process proves the one that has the session.
    pub(super) fn is_one_process_since(&self, born: Reading) -> bool {
        self.inquiry.evidence().is_one_process_since(born)
    }

    /// Asks the server, or waits for who does, until something follows for sessions that are held. Returns how many signs there had
    /// been when it was asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if the server cannot be reached.
    pub(super) async fn inquire(self: &Arc<Self>) -> Result<(Word, u64), Error> {
        let runtime = super::acquire::runtime()?;
        loop {
            let wait = self.inquiry.evidence().may_ask_in(self.now());
            let asking = self.inquiry.asking().clone();
            let asking = asking.filter(|asking| self.covers_all_signs(asking));
            let asking = match asking {
                Some(asking) if asking.answer.get().is_none() => asking,
                None | Some(_) if wait.is_zero() => self.ask(&runtime),
                // It came before this request did, and the next would say no more: there is another way to find out.
                Some(asking) if asking.answer.get() == Some(&Word::Silent) => {
                    return Ok((Word::Silent, asking.question.signs));
                }
                None | Some(_) => {
                    sleep(wait).await;
                    continue;
                }
            };
            let word = tokio::select! {
                biased;
                word = asking.answer.wait() => word.copied(),
                () = sleep(OVERDUE) => None,
            };
            match word {
                Some(Word::Away) => {
                    let text = "could not reach the server to ask whether it still has the session";
                    return Err(Error::new(ErrorKind::Unavailable, text));
                }
                Some(word) => return Ok((word, asking.question.signs)),
                // Its task is gone, or its runtime stands still.
                None => self.give_up_question(&asking),
            }
        }
    }

    /// Whether the answer says something of sessions that are suspect now.
    fn covers_all_signs(&self, asking: &Asking) -> bool {
        asking.question.signs >= self.suspicion.signs() && !asking.answer.is_broken()
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
        let (done, answer) = promise();
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
        if matches!(word, Word::Says(_)) {
            self.suspicion.calm();
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

    /// How a session that is held goes on where the server does not answer the free question.
    pub(super) fn fall_back(&self, signs: u64) -> Fallback {
        let now = self.now();
        self.inquiry
            .with(now, |evidence| evidence.fallback(signs, now))
    }

    /// A session was asked for in place of that, after so many signs.
    pub(super) fn metered(&self, session: &LiveSession, knows: bool, when: (u64, Reading)) {
        let (now, (signs, asked)) = (self.now(), when);
        let answer = Metered {
            knows,
            made_at: session.made(now).at,
            is_oldest: self.is_oldest(session, now),
            signs,
            asked,
        };
        self.inquiry
            .with(now, |evidence| evidence.metered(answer, now));
    }

    /// A session was asked for, and is there: its process is the right one for all that were not made before it.
    pub(super) fn saw_get(
        self: &Arc<Self>,
        session: &LiveSession,
        head: &HeaderMap,
        sent: Reading,
    ) {
        let received = self.now();
        if !self.is_oldest(session, received) {
            self.examine(head, sent, true);
        } else if let Some(stamp) = Stamp::of(head) {
            let exchange = Exchange { sent, received };
            self.inquiry
                .with(received, |evidence| evidence.knows(stamp, exchange));
        }
    }

    fn is_oldest(&self, session: &LiveSession, now: Reading) -> bool {
        let made_at = session.made(now).at;
        let sessions = self.sessions();
        !sessions.iter().any(|other| other.made(now).at < made_at)
    }

    /// That call was not made, or not answered.
    pub(super) fn not_metered(&self) {
        self.inquiry.evidence().not_metered();
    }

    /// No request bears a session before the server has been asked; returns how many such signs there have been.
    pub(super) fn suspect(&self, is_told: bool) -> u64 {
        let (signs, is_first) = self.suspicion.raise(self.now(), is_told);
        self.memos.forget_all();
        if is_first {
            self.emit(Event::Suspected {
                live_sessions: self.live.entry_count(),
            });
        }
        signs
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

async fn answer_to(unanswered: Unanswered, done: Promise<Word>) {
    let core = &unanswered.core;
    // No two alike, also of several processes that ask at once.
    let number = core.with_rng(|rng| rng.u64(..));
    let ask = async {
        core.inquiry.asked.fetch_add(1, Ordering::Relaxed);
        let word = api::health::health(&core.transport, &core.settings.base, number).await;
        word.unwrap_or(Word::Silent)
    };
    let ask = core.fleet.ask_once(core, ask);
    let word = tokio::select! {
        biased;
        () = core.abandoned() => return,
        word = ask => word,
    };
    core.was_told(unanswered.asking.question, word);
    done.keep(word);
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
