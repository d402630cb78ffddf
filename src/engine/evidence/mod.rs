//! Decides whether the server's process is still the one that knows the sessions.
//!
//! A restarted server has forgotten every session. It ignores unknown ids without an error, so the client has to notice
//! the restart by other means:
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
//! Words that the names here use:
//!
//! - A *question* is a call of `GET /v1/health`. Health is *silent* if no answer with the needed fields comes in time.
//! - A *sign* is an observation that holds requests until a question is answered. A *hint* is weaker: requests go on.
//! - A cause is *owed* from when it was seen until a question is asked because of it.
//! - A sign is *damped* for a while after a false alarm: it holds no requests, but stays owed.
//! - A *metered* call is `GET /v1/sessions/{id}`, which counts against the key's quota. It is made in place of a
//!   question while `GET /v1/health` says nothing useful.
//! - A session is left *open* if no answer tells whether it is alive. It then has to be checked itself.
//!
//! Everything here is a function of what was seen and when. `driver::question` makes the call and carries out the
//! decision.

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

/// What is known of the server's process. One value serves all API keys.
#[derive(Debug)]
pub(crate) struct Evidence {
    verify_after: Duration,
    windows: Windows,
    boots: Boots,
    /// How far the `Date` header was from the server's clock, in milliseconds: at the last answer of `GET /v1/health`,
    /// and in the last answer to any call.
    dates: (i128, i128),
    /// When an answer last proved that the process is still the same.
    proven: Option<Reading>,
    verdict: Option<Verdict>,
    /// The last useful answer of `GET /v1/health`.
    health: Option<Health>,
    /// Which sessions are lost, because a session call found a session missing. First the creation time of the missing
    /// session, by the server's clock: a session that the server last knew no later than this is lost. Then the
    /// monotonic time of the session call: a session created after it is not lost, whatever the server's clock says.
    lost_until: Option<(Duration, Duration)>,
    /// The last session call that found its session missing: the monotonic time of the call, and when the missing
    /// session was created, by the server's clock. Other sessions that were last known before the call may be gone as
    /// well.
    missed: Option<(Duration, Duration)>,
    /// Sessions created before this monotonic time were given up, because rate-limit windows showed another process and
    /// nobody could be asked.
    replaced_before: Option<Duration>,
    /// Since when all proofs were of the server process that answers now.
    since: Option<Reading>,
    /// Answers in a new rate-limit window that began before a known window had ended, so another process may have
    /// written them. When the last such request was sent, and when the last such answer was received, in monotonic
    /// time.
    strange: Option<(Duration, Duration)>,
    /// What the last answer of `GET /v1/health` said of all sessions.
    fates: Fates,
    /// When the last sign turned out to be a false alarm, and for how long after that a sign is damped.
    false_alarm: Option<(Reading, Duration)>,
    /// When a call last failed. `None` once the server has answered a later call.
    failed: Option<Reading>,
    /// The monotonic send time of the first call that the server answered after the last failed call. `None` after a
    /// failed call, until the server answers a later one.
    well_since: Option<Duration>,
    /// The monotonic send time of the last call that the server has answered.
    answered: Option<Duration>,
    /// The most urgent cause for a question that was not asked yet.
    owed: Option<Cause>,
    /// The monotonic time of the latest cause in `owed`.
    owed_at: Option<Duration>,
    /// The cause of a question that got no useful answer. The sessions that existed then stay on hold until a later
    /// answer decides about them. Sessions created since are not on hold.
    unanswered: Option<Cause>,
    /// The cause of a question whose answer left open what became of the sessions, so that each has to be checked.
    unclear: Option<Cause>,
    /// The cause of the question under way.
    asking: Option<Cause>,
    /// Whether the last question got a useful answer of `GET /v1/health`.
    is_told: bool,
    /// Since when `GET /v1/health` answers without the fields that are needed, and how many questions in a row got such
    /// an answer.
    silent: Option<(Reading, u32)>,
    last_cause: Cause,
    alarms: Backoff,
    breaks: Backoff,
    routine: Backoff,
    /// When a metered session call was last made in place of a question.
    metered: Option<Reading>,
    /// Whether such a call is under way.
    is_metering: bool,
    /// When sessions were last replaced because of rate-limit windows alone.
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

    /// Examines the `Date` header of an answer. A `Date` that is off is a hint, and never more: gateways write `Date`
    /// themselves.
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

    /// Notes that the server's clock said `server` at some moment of an exchange. If the exchange was long, this only
    /// gives a lower bound of the clock.
    pub(crate) fn see_clock(&mut self, server: Duration, exchange: Exchange) {
        let took = exchange.received.since(exchange.sent);
        if took < CLOCK_STEP / 2 {
            self.boots.note_clock(server, took, exchange.received);
        } else {
            self.boots.note_at_least(server, exchange.received);
        }
    }

    /// Begins a question, because of the most urgent cause. `signs` is how many signs there have been.
    pub(crate) fn ask(&mut self, signs: u64, now: Reading) -> Question {
        // Keep a damped sign owed. No request waits for this question, so it counts as asked for a hint. If it took the
        // sign along and health said nothing, the sign would be forgotten unexamined.
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

    /// Records that the question under way will get no answer, for example because its task has ended.
    pub(crate) fn drop_question(&mut self) {
        self.unanswered = self.unanswered.max(self.asking.take());
        self.silent = None;
    }

    /// Handles the answer to a question. `sessions` are all live sessions. Returns whether the answer shows a restart:
    /// it comes from a process that was not seen before while another one was, or a live session turns out to be gone.
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
            // After a sign, requests are on hold, and one of them asks again. After a hint no request waits, so the
            // next request has to ask.
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
        let was_unclear = self.unclear.is_some();
        self.unclear = (!goes_on).then_some(question.cause);
        let is_another = is_new || self.fates.tell_of_another();
        if is_another {
            self.windows.keep_since(began(&health, now));
            self.restarted();
        } else {
            // Back off even if sessions still have to be checked. Nothing damps the next sign then. So connections that
            // go on breaking, or a server that answers each call with 410, would cause five questions a second.
            let is_undamped = question.cause == Cause::Sign && was_unclear && !goes_on;
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

    /// Returns whether the last question got a useful answer of `GET /v1/health`.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Returns whether a question is under way.
    pub(crate) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Records that a session was asked for and is alive. Example: after a sign, health could not tell what became of
    /// the sessions. The check of a session finds it alive, so the sign was a false alarm.
    pub(crate) fn goes_on(&mut self, now: Reading) {
        if let Some(cause) = self.unclear.take() {
            if cause == Cause::Sign {
                self.breaks.reset(); // from here on, a false alarm damps the next sign
            }
            self.was_for_nothing(cause, now);
        }
    }

    /// Records that the process that answered a call sent at `asked` has the sessions. Windows that were first seen
    /// after `asked` stay unconfirmed: another process may have begun them.
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

    /// Returns whether only one server process has answered since `born`. If so, a session created at `born` belongs to
    /// that process, unless the process began just after the create.
    pub(crate) fn is_one_process_since(&self, born: Reading) -> bool {
        let reaches_back = |since: Reading| since.monotonic <= born.monotonic;
        let is_known = !self.boots.is_empty() || self.since.is_some_and(reaches_back);
        is_known && !self.boots.are_several_since(born)
    }

    /// Returns whether the server process that is known here has this session. The session was created by another
    /// process of the fleet.
    pub(crate) fn vouches_for(&self, made: &Made) -> bool {
        let reaches_back = |since: Reading| since.monotonic <= made.born.monotonic;
        let judged = self
            .health
            .map(|health| health::judge(made, &health, &self.boots));
        self.since.is_some_and(reaches_back) || judged == Some(Fate::Alive)
    }
}

/// Returns the latest monotonic time at which the server's process that gave this answer can have begun.
fn began(health: &Health, now: Reading) -> Duration {
    let uptime = health.timestamp.saturating_sub(health.boot);
    now.monotonic.saturating_sub(uptime)
}
