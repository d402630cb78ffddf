//! Whether the server is still the one that knows the sessions.
//!
//! A restarted server has forgotten every session and ignores their ids without a word. It is found out by what can be
//! seen from here:
//!
//! | room | concept |
//! | --- | --- |
//! | `answers` | what follows from the head of an answer |
//! | `window` | the rate-limit window on every answer, which a new process begins anew |
//! | `health`, `fates` | `GET /v1/health`, which is free: when the process began, and what follows for a session, and for all |
//! | `question`, `backoff` | why that question is asked, and what comes back; how often it is asked |
//! | `reaction` | what follows from something that was seen: nothing, a question, or that requests are held |
//! | `presence` | whether the whole server is out of reach, or health alone |
//! | `verdict` | what became of the sessions, by the last answer that decides something |
//!
//! A *sign* holds requests until the question is answered. A *hint* is weaker: the question is asked while requests go on.
//! Everything here is a function of what was seen and when. `driver::question` asks, and carries out what follows.

mod answers;
mod backoff;
mod fates;
pub(crate) mod health;
mod presence;
mod question;
mod reaction;
#[cfg(test)]
mod tests;
mod verdict;
pub(crate) mod window;

use std::time::Duration;

pub(crate) use self::{
    answers::Overheard,
    health::Fate,
    question::Question,
    reaction::Reaction,
    verdict::{Fallback, METERED, Metered},
};
use self::{
    backoff::{Backoff, ROUTINE, SELDOM, SOON},
    fates::Fates,
    health::{Boots, CLOCK_STEP},
    presence::{Presence, QUESTIONS},
    verdict::{Says, Verdict},
    window::{Exchange, Windows},
};
use crate::{
    api::{Health, Word},
    clock::Reading,
    model::evidence::{Cause, Made},
};

/// What is known of the server, for all keys.
#[derive(Debug)]
pub(crate) struct Evidence {
    verify_after: Duration,
    windows: Windows,
    boots: Boots,
    /// How far `Date` was from the server's clock when the server was last asked, and on the last answer.
    dates: (i128, i128),
    /// When something last proved the process.
    proven: Option<Reading>,
    verdict: Option<Verdict>,
    /// What the server last said of itself.
    health: Option<Health>,
    /// What the server knew last before this time of its own was lost, of what was made before this monotonic time.
    lost_until: Option<(Duration, Duration)>,
    /// When a session was asked for last, in monotonic time, that was not there, and when that was made, by the server's clock. Those
    /// that were not asked for since may be gone as well.
    missed: Option<(Duration, Duration)>,
    /// What was made before this monotonic time was given up.
    replaced_before: Option<Duration>,
    /// Since when every proof was of one process.
    since: Option<Reading>,
    /// There is a window that began before the end of a known one: when the last request was sent whose answer began one.
    strange: Option<Duration>,
    /// What the last answer said of the sessions.
    fates: Fates,
    /// When the last sign was found to be none, and for how long that damps the next.
    false_alarm: Option<(Reading, Duration)>,
    /// When a call failed last, if the server has answered none that was sent since.
    failed: Option<Reading>,
    /// What the next question is about, which nobody has asked yet.
    owed: Option<Cause>,
    /// Since when, in monotonic time.
    owed_at: Option<Duration>,
    /// What one was about that nobody answered: the sessions of then are held until something is decided on them. Those
    /// that are made after it are not.
    unanswered: Option<Cause>,
    /// What one was about whose answer left it to the sessions themselves.
    unclear: Option<Cause>,
    asking: Option<Cause>,
    /// Whether health has answered the last question.
    is_told: bool,
    /// How many questions in a row the server has answered without telling what is needed.
    silent: u32,
    last_cause: Cause,
    alarms: Backoff,
    breaks: Backoff,
    routine: Backoff,
    metered: Option<Reading>,
    is_metering: bool,
    replaced: Option<Reading>,
    presence: Presence,
}

impl Evidence {
    pub(crate) fn new(verify_after: Duration) -> Self {
        Self {
            verify_after,
            windows: Windows::default(),
            boots: Boots::default(),
            dates: (0, 0),
            proven: None,
            verdict: None,
            health: None,
            lost_until: None,
            missed: None,
            replaced_before: None,
            since: None,
            strange: None,
            fates: Fates::default(),
            false_alarm: None,
            failed: None,
            owed: None,
            owed_at: None,
            unanswered: None,
            unclear: None,
            asking: None,
            is_told: false,
            silent: 0,
            last_cause: Cause::Hint,
            alarms: SELDOM,
            breaks: SOON,
            routine: ROUTINE,
            metered: None,
            is_metering: false,
            replaced: None,
            presence: Presence::default(),
        }
    }

    /// Looks at the `Date` of an answer. Gateways write it themselves, so that it proves nothing.
    pub(crate) fn see_date(&mut self, date: Duration, now: Reading) -> Reaction {
        let Some(clock) = self.boots.clock(now) else {
            return Reaction::Nothing;
        };
        let millis = |time: Duration| i128::try_from(time.as_millis()).unwrap_or(i128::MAX);
        let offset = millis(date) - millis(clock);
        self.dates.1 = offset;
        if (offset - self.dates.0).unsigned_abs() > CLOCK_STEP.as_millis() {
            self.weigh(Cause::Hint, now)
        } else {
            Reaction::Nothing
        }
    }

    /// What the server's clock says at `now`, as far as that is known.
    pub(crate) fn clock(&self, now: Reading) -> Option<Duration> {
        self.boots.clock(now)
    }

    /// The server's clock said this at some time of an exchange. One that took long says too little of it.
    pub(crate) fn see_clock(&mut self, server: Duration, exchange: Exchange) {
        let took = exchange.received.since(exchange.sent);
        if took < CLOCK_STEP / 2 {
            self.boots.note_clock(server, took, exchange.received);
        } else {
            self.boots.note_at_least(server, exchange.received);
        }
    }

    /// A question goes out, for the most urgent of what is owed.
    pub(crate) fn ask(&mut self, signs: u64, now: Reading) -> Question {
        let cause = self.owed.take().max(self.unanswered.take());
        let cause = cause.unwrap_or(Cause::Hint);
        (self.asking, self.last_cause) = (Some(cause), cause);
        for backoff in [&mut self.breaks, &mut self.routine, &mut self.alarms] {
            backoff.asked(now);
        }
        Question {
            asked: now,
            signs,
            cause,
        }
    }

    /// The question on its way will not be answered.
    pub(crate) fn drop_question(&mut self) {
        self.unanswered = self.unanswered.max(self.asking.take());
    }

    /// The answer to a question, and the sessions that there are. Returns whether it says that the process is another one than
    /// before, or than that of one of them.
    pub(crate) fn answered(
        &mut self,
        question: Question,
        word: Word,
        sessions: impl Iterator<Item = Made>,
        now: Reading,
    ) -> bool {
        self.asking = None;
        self.is_told = matches!(word, Word::Says(_));
        self.note_presence(question, word);
        let Word::Says(health) = word else {
            // A waiting request asks again. A hint has none, so the next request does.
            match question.cause {
                Cause::Hint => self.owed = self.owed.max(Some(Cause::Hint)),
                cause => self.unanswered = Some(cause),
            }
            self.breaks.for_nothing();
            self.routine.for_nothing();
            return false;
        };
        self.forget_windows_after_sleep(now);
        let is_first = self.boots.is_empty();
        let is_new = !self.boots.note(&health, question.asked, now) && !is_first;
        self.decide(question, Says::Health(health));
        self.dates.0 = self.dates.1;
        self.proves(question.asked);
        self.fates = self.fates.next(sessions, &health, &self.boots);
        let (goes_on, are_clear) = (self.fates.go_on(), self.fates.are_clear());
        self.unclear = (!goes_on).then_some(question.cause);
        let is_another = is_new || self.fates.tell_of_another();
        if is_another {
            self.windows.keep_since(began(&health, now));
            self.restarted();
        } else {
            // Also where sessions have to be asked for: connections may go on breaking all the same.
            if question.cause == Cause::Broken {
                self.breaks.for_nothing();
            }
            if goes_on {
                self.was_for_nothing(question.cause, now);
            }
        }
        if is_another || are_clear {
            self.windows.confirm(question.asked.monotonic);
            self.strange = None;
        }
        self.since = self.since.or(Some(question.asked));
        is_another
    }

    fn note_presence(&mut self, question: Question, word: Word) {
        self.silent = match word {
            Word::Silent => self.silent.saturating_add(1),
            Word::Says(_) | Word::Away => 0,
        };
        match word {
            Word::Says(_) => {
                self.presence = Presence::default();
                self.failed = None;
            }
            Word::Away => self
                .presence
                .question_failed(question.asked, self.failed.is_some()),
            Word::Silent => {}
        }
    }

    /// The server has answered a call that was sent then.
    pub(crate) fn call_answered(&mut self, sent: Reading) {
        let is_later = |failed: &Reading| failed.monotonic > sent.monotonic;
        self.failed = self.failed.filter(is_later);
        self.presence.call_answered(sent);
    }

    /// A session call that was sent then did not reach the server.
    pub(crate) fn call_failed(&mut self, sent: Reading) {
        self.presence.call_failed(sent);
    }

    /// Whether the server answers, as far as is known: health itself, or other calls.
    pub(crate) fn is_reached(&self) -> bool {
        self.presence.is_reached()
    }

    /// Whether sessions go on in doubt where nobody tells what became of them: no call has failed, and the server answers others.
    pub(crate) fn may_go_on_untold(&self) -> bool {
        self.last_cause < Cause::Sign && self.is_reached()
    }

    /// Whether health has answered the last question.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Whether a session call in place of the question tells no more than that if it breaks: health alone is out of reach, as answers to
    /// other calls have shown.
    pub(crate) fn says_no_more(&self) -> bool {
        !self.is_told && self.presence.is_there()
    }

    /// What the next question will come to, where health has told nothing for several in a row and other calls are answered. No
    /// request has to wait for that question.
    pub(crate) fn foregone_word(&self) -> Option<Word> {
        let is_away = self.presence.is_there();
        let is_silent = self.silent >= QUESTIONS;
        is_away
            .then_some(Word::Away)
            .or(is_silent.then_some(Word::Silent))
    }

    /// Whether it is health alone that cannot be reached.
    pub(crate) fn is_health_alone_away(&self) -> bool {
        self.presence.is_there()
    }

    /// Whether that is news.
    pub(crate) fn take_news_of_presence(&mut self) -> bool {
        self.presence.take_news()
    }

    /// The oldest session was asked for, and is there: what the free question left unclear was nothing.
    pub(crate) fn goes_on(&mut self, now: Reading) {
        if let Some(cause) = self.unclear.take() {
            self.was_for_nothing(cause, now);
        }
    }

    fn restarted(&mut self) {
        self.since = None;
        self.unclear = None;
        self.strange = None;
        self.false_alarm = None;
        for backoff in [&mut self.breaks, &mut self.routine, &mut self.alarms] {
            backoff.reset();
        }
    }

    /// Whether an answer that proves a process proves the one that made a session then.
    pub(crate) fn is_one_process_since(&self, born: Reading) -> bool {
        let reaches_back = |since: Reading| since.monotonic <= born.monotonic;
        let is_known = !self.boots.is_empty() || self.since.is_some_and(reaches_back);
        is_known && !self.boots.are_several_since(born)
    }

    /// Whether a session that another process of the fleet has made is one of the process that is known here.
    pub(crate) fn vouches_for(&self, made: &Made) -> bool {
        let reaches_back = |since: Reading| since.monotonic <= made.born.monotonic;
        let judged = self
            .health
            .map(|health| health::judge(made, &health, &self.boots));
        self.since.is_some_and(reaches_back) || judged == Some(Fate::Alive)
    }
}

/// When a process began that said this at `now` at the latest, in monotonic time.
fn began(health: &Health, now: Reading) -> Duration {
    let uptime = health.timestamp.saturating_sub(health.boot);
    now.monotonic.saturating_sub(uptime)
}
