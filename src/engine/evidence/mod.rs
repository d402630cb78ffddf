//! Whether the server's process is still the one that knows the sessions.
//!
//! A restarted server has forgotten every session, and ignores unknown ids without an error. The client has to notice
//! the restart from what it can see:
//!
//! | file | concept |
//! | --- | --- |
//! | `answers` | what follows from the head of an answer |
//! | `window` | the rate-limit window on every answer, which a new process begins anew |
//! | `health`, `fates` | the free `GET /v1/health`: when the process began, and what follows for one session and for all |
//! | `question`, `backoff` | why `GET /v1/health` is called, and how often |
//! | `reaction` | what follows from an observation: nothing, a call of `GET /v1/health`, or that requests are held |
//! | `calls` | what answered and failed calls say while health tells nothing |
//! | `presence` | whether the whole server is out of reach, or health alone |
//! | `verdict` | what became of the sessions, by the last answer that decides something |
//!
//! Calling `GET /v1/health` is named a *question* here. A *sign* holds requests until the question is answered. A
//! *hint* is weaker: requests go on while the question is asked. Everything here is a function of what was seen and
//! when. `driver::question` makes the call and carries out what follows.

mod answers;
mod backoff;
mod calls;
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
    presence::Presence,
    verdict::{Says, Verdict},
    window::{Exchange, Windows},
};
use crate::{
    api::{Health, Word},
    clock::Reading,
    model::evidence::{Cause, Made},
};

/// What is known of the server, for all API keys.
#[derive(Debug)]
pub(crate) struct Evidence {
    verify_after: Duration,
    windows: Windows,
    boots: Boots,
    /// How far `Date` was from the server's clock in milliseconds: at the last question, and on the last answer.
    dates: (i128, i128),
    /// When an answer last proved that the process is still the same.
    proven: Option<Reading>,
    verdict: Option<Verdict>,
    /// What the server last said in `GET /v1/health`.
    health: Option<Health>,
    /// A time by the server's clock and a monotonic time. Lost are the sessions that the server last knew before the
    /// first and that were created before the second.
    lost_until: Option<(Duration, Duration)>,
    /// When a session was last asked for and found missing, in monotonic time, and when that session was created, by
    /// the server's clock. Sessions that were not asked for since may be gone as well.
    missed: Option<(Duration, Duration)>,
    /// Sessions created before this monotonic time were given up.
    replaced_before: Option<Duration>,
    /// The time since which every proof was of one process.
    since: Option<Reading>,
    /// The last answers that began a window while a known one was still open: when the last of their requests was sent,
    /// and when the last of them was received.
    strange: Option<(Duration, Duration)>,
    /// What the last answer said of the sessions.
    fates: Fates,
    /// When the last sign turned out to be a false alarm, and how long this damps the next sign.
    false_alarm: Option<(Reading, Duration)>,
    /// When a call last failed. None once the server has answered a later call.
    failed: Option<Reading>,
    /// The monotonic send time of the first call that the server has answered since one failed. None until then.
    well_since: Option<Duration>,
    /// The monotonic send time of the last call that the server has answered.
    answered: Option<Duration>,
    /// The cause of the next question, which was not asked yet.
    owed: Option<Cause>,
    /// The monotonic time of that cause.
    owed_at: Option<Duration>,
    /// The cause of a question that got no answer. Sessions that existed then are held until something decides on them.
    /// Later sessions are not held.
    unanswered: Option<Cause>,
    /// The cause of a question whose answer left the decision to a check of each session.
    unclear: Option<Cause>,
    asking: Option<Cause>,
    /// Whether health has answered the last question.
    is_told: bool,
    /// When the server began to answer health without what is needed, and how many questions in a row got such an answer.
    silent: Option<(Reading, u32)>,
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
            well_since: Some(Duration::ZERO),
            answered: None,
            fates: Fates::default(),
            false_alarm: None,
            failed: None,
            owed: None,
            owed_at: None,
            unanswered: None,
            unclear: None,
            asking: None,
            is_told: false,
            silent: None,
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

    /// Examines the `Date` of an answer. Gateways write `Date` themselves, so it proves nothing and is a hint at most.
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

    /// Returns what the server's clock says at `now`, if that is known.
    pub(crate) fn clock(&self, now: Reading) -> Option<Duration> {
        self.boots.clock(now)
    }

    /// Notes a time of the server's clock that was read at some moment of an exchange. A long exchange only gives a
    /// lower bound.
    pub(crate) fn see_clock(&mut self, server: Duration, exchange: Exchange) {
        let took = exchange.received.since(exchange.sent);
        if took < CLOCK_STEP / 2 {
            self.boots.note_clock(server, took, exchange.received);
        } else {
            self.boots.note_at_least(server, exchange.received);
        }
    }

    /// Begins a question, for the most urgent cause.
    pub(crate) fn ask(&mut self, signs: u64, now: Reading) -> Question {
        // No request waits for a damped sign. It stays owed, or a silent answer to a hint would settle it.
        let is_damped = self.unanswered.is_none() && !self.damped_for(now).is_zero();
        let is_kept = |cause: &mut Cause| *cause == Cause::Sign && is_damped;
        let kept = self.owed.take_if(is_kept);
        let cause = self.owed.take().max(self.unanswered.take());
        let cause = cause.unwrap_or(Cause::Hint);
        self.owed = kept;
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

    /// Records that the question under way will not be answered.
    pub(crate) fn drop_question(&mut self) {
        self.unanswered = self.unanswered.max(self.asking.take());
        self.silent = None;
    }

    /// Handles the answer to a question. `sessions` are all live sessions. Returns whether the process is another one
    /// than before, or than the one that created one of the sessions.
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
            // After a sign, a waiting request asks again. After a hint no request waits, so the next request must ask.
            match question.cause {
                Cause::Hint => self.owed = self.owed.max(Some(Cause::Hint)),
                cause => self.unanswered = Some(cause),
            }
            self.breaks.for_nothing();
            self.routine.for_nothing();
            return false;
        };
        let is_later = |_: &Cause| self.owed_at > Some(question.asked.monotonic);
        self.owed = self.owed.filter(is_later);
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
            // An answer that leaves sessions to a check damps no sign. Without a longer pause, a server that answers
            // each call with 410 would be asked five times a second.
            let is_undamped = question.cause == Cause::Sign && !goes_on;
            if question.cause == Cause::Broken || is_undamped {
                self.breaks.for_nothing();
            }
            if goes_on {
                self.was_for_nothing(question.cause, now);
            }
        }
        if is_another || are_clear {
            self.confirm(question.asked);
        }
        self.since = self.since.or(Some(question.asked));
        is_another
    }

    /// Returns whether health has answered the last question.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Returns whether a question is on its way.
    pub(crate) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Records that a session was asked for and is alive. If health had left a sign unclear, that sign was a false
    /// alarm.
    pub(crate) fn goes_on(&mut self, now: Reading) {
        if let Some(cause) = self.unclear.take() {
            self.was_for_nothing(cause, now);
        }
    }

    /// Records that the process that answered a call sent at `asked` has the sessions. What was seen later remains in
    /// doubt.
    fn confirm(&mut self, asked: Reading) {
        self.windows.confirm(asked.monotonic);
        self.strange = self
            .strange
            .filter(|(_, received)| *received > asked.monotonic);
    }

    fn restarted(&mut self) {
        self.since = None;
        self.silent = None;
        self.unclear = None;
        self.strange = None;
        self.false_alarm = None;
        for backoff in [&mut self.breaks, &mut self.routine, &mut self.alarms] {
            backoff.reset();
        }
    }

    /// Returns whether an answer that proves a process also proves the process of a session created at `born`.
    pub(crate) fn is_one_process_since(&self, born: Reading) -> bool {
        let reaches_back = |since: Reading| since.monotonic <= born.monotonic;
        let is_known = !self.boots.is_empty() || self.since.is_some_and(reaches_back);
        is_known && !self.boots.are_several_since(born)
    }

    /// Returns whether a session of another process of the fleet was created by the server process that is known here.
    pub(crate) fn vouches_for(&self, made: &Made) -> bool {
        let reaches_back = |since: Reading| since.monotonic <= made.born.monotonic;
        let judged = self
            .health
            .map(|health| health::judge(made, &health, &self.boots));
        self.since.is_some_and(reaches_back) || judged == Some(Fate::Alive)
    }
}

/// Returns the latest monotonic time at which the process that gave this answer can have begun.
fn began(health: &Health, now: Reading) -> Duration {
    let uptime = health.timestamp.saturating_sub(health.boot);
    now.monotonic.saturating_sub(uptime)
}
