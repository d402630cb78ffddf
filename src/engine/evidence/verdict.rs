//! What became of the sessions, by the last answer that decides something.

use std::time::Duration;

use super::{Evidence, Question, health, health::Fate};
use crate::{
    api::Health,
    clock::Reading,
    model::evidence::{Cause, Made},
};

/// How often a session is asked for if health says nothing. Each such call counts against the key's daily quota. A
/// whole day of them costs less than a sixth of a pro key's 2,000 calls.
pub(crate) const METERED: Duration = Duration::from_secs(5 * 60);
/// How long others wait for the attempt that makes this call. It may have to wait for its turn first.
const LONGEST_METERING: Duration = Duration::from_secs(15);
/// How often, between two such calls, a sign replaces sessions without asking.
const REPLACED: Duration = Duration::from_secs(60);

/// What to do if the server does not answer `GET /v1/health`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Ask for one session, which counts against the quota.
    Meter,
    /// Wait: another request is asking.
    Wait,
    /// The verdict has been reached: judge the session by it.
    Decided,
    /// The whole server is out of reach, as far as is known.
    Unreached,
}

/// The answer to a `GET /v1/sessions/{id}` in place of `GET /v1/health`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metered {
    pub(crate) knows: bool,
    /// When the session was created, by the server's clock.
    pub(crate) made_at: Duration,
    /// When the session was created, by the monotonic clock here.
    pub(crate) born: Duration,
    /// Whether no session of this manager was created before it.
    pub(crate) is_oldest: bool,
    pub(crate) signs: u64,
    pub(crate) asked: Reading,
}

/// The last answer that decides something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    question: Question,
    says: Says,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Says {
    Health(Health),
    /// Nobody said anything. The sessions stay in use, in doubt.
    Nothing,
    /// A session was asked for and is alive, so sessions created later are alive too. Carries when it was created, by
    /// the server's clock and by the clock here, because the server's clock may have been set back in between.
    Known(Duration, Duration),
    /// A session created then was asked for and is missing, so sessions created earlier are missing too.
    Lost(Duration),
    /// Nobody could be asked, and since then the windows are those of another process.
    Replaced(Duration),
}

/// Returns whether `last` is at least `pause` ago.
fn is_due(last: Option<Reading>, pause: Duration, now: Reading) -> bool {
    last.is_none_or(|last| now.since(last) >= pause)
}

impl Evidence {
    pub(super) fn decide(&mut self, question: Question, says: Says) {
        match says {
            Says::Health(health) => self.health = Some(health),
            Says::Lost(made_at) => self.loses(made_at, question.asked),
            Says::Replaced(since) => self.replaced_before = self.replaced_before.max(Some(since)),
            Says::Nothing | Says::Known(..) => {}
        }
        self.verdict = Some(Verdict { question, says });
    }

    /// Extends the last answer to signs up to `signs`. The answer itself has raised the latest of them.
    pub(crate) fn covers(&mut self, signs: u64) {
        if let Some(verdict) = &mut self.verdict {
            verdict.question.signs = signs;
        }
    }

    /// Returns what to do about sessions held after `signs` signs, if the question was asked and not answered.
    pub(crate) fn fallback(&mut self, signs: u64, now: Reading) -> Fallback {
        if is_due(self.metered, METERED, now) {
            (self.metered, self.is_metering) = (Some(now), true);
            return Fallback::Meter;
        }
        if self.is_metering && !is_due(self.metered, LONGEST_METERING, now) {
            return Fallback::Wait;
        }
        self.decide_by_windows(signs, now);
        Fallback::Decided
    }

    /// Records that a session was asked for in place of health, and the server did not say whether it is alive. The
    /// next such call is due as late as after an answer. What was seen since the call was sent still has to be
    /// examined.
    pub(crate) fn metered_in_vain(&mut self, (signs, asked): (u64, Reading), now: Reading) {
        self.is_metering = false;
        let since = self.owed.filter(|_| self.owed_at > Some(asked.monotonic));
        self.decide_by_windows(signs, now);
        self.owed = self.owed.max(since);
    }

    /// Decides between two such calls. Sessions stay in use, in doubt, unless the windows are those of another process.
    fn decide_by_windows(&mut self, signs: u64, now: Reading) {
        let may_replace = is_due(self.replaced, REPLACED, now);
        let says = match self.strange.take_if(|_| may_replace) {
            Some((sent, _)) => {
                self.replaced = Some(now);
                Says::Replaced(sent)
            }
            None => Says::Nothing,
        };
        // The next sign would tell no more, and nobody can be asked about it for a while.
        self.false_alarm = Some((now, self.alarms.floor()));
        self.decide(self.question(signs, now), says);
        // This decides what was unanswered, so no question needs to repeat it. What is owed was not asked about yet, and
        // is asked about as soon as a question may go out.
        self.unanswered = None;
    }

    /// Like `fallback`, if the question did not even reach the server. That is an outage, unless other calls are
    /// answered. Now and then a session call probes the server.
    pub(crate) fn fallback_unreached(&mut self, signs: u64, now: Reading) -> Fallback {
        let is_to_try =
            || self.presence.is_to_try(METERED, now) && is_due(self.metered, METERED, now);
        let lasts = |since| now.since(since) < LONGEST_METERING;
        let is_metering = self.is_metering && self.metered.is_some_and(lasts);
        if !self.presence.is_there() && !is_metering && !is_to_try() {
            return Fallback::Unreached;
        }
        let fallback = self.fallback(signs, now);
        if fallback == Fallback::Meter {
            self.presence.tries(now);
        }
        fallback
    }

    fn question(&self, signs: u64, asked: Reading) -> Question {
        Question {
            asked,
            signs,
            cause: self.last_cause,
        }
    }

    /// Records that the session call in place of health was not made or not answered.
    pub(crate) fn not_metered(&mut self) {
        if self.is_metering {
            (self.is_metering, self.metered) = (false, None);
        }
    }

    /// Records that this call told nothing, and that health was answered meanwhile and decides.
    pub(crate) fn metered_for_nothing(&mut self) {
        self.is_metering = false;
    }

    /// Records the answer to a session call in place of health.
    pub(crate) fn metered(&mut self, answer: Metered, now: Reading) {
        self.is_metering = false;
        self.presence.was_reached(answer.asked);
        let says = if answer.knows {
            Says::Known(answer.made_at, answer.born)
        } else {
            Says::Lost(answer.made_at)
        };
        self.decide(self.question(answer.signs, answer.asked), says);
        self.unanswered = None;
        // What was seen since the call still has to be examined.
        self.owed = self
            .owed
            .filter(|_| self.owed_at > Some(answer.asked.monotonic));
        if !answer.knows {
            self.misses(answer.asked, answer.made_at);
            self.windows.clear();
            self.restarted();
            return;
        }
        self.proves(answer.asked);
        if answer.is_oldest {
            self.confirm(answer.asked);
        }
        self.was_for_nothing(self.last_cause, now);
    }

    /// Returns how long ago another process may have made this call so that this process need not make it.
    pub(crate) fn metered_counts_for(&self, now: Reading) -> Duration {
        let believed = self.presence.believes_for(now);
        believed.map_or(METERED, |believed| believed.min(METERED))
    }

    /// Records that another process of the fleet has asked for a session, so this process does not. A session that was
    /// missing there is missing here too.
    pub(crate) fn metered_elsewhere(&mut self, answer: &Metered) {
        (self.is_metering, self.metered) = (false, Some(answer.asked));
        self.presence.was_reached(answer.asked);
        if !answer.knows {
            self.loses(answer.made_at, answer.asked);
            self.misses(answer.asked, answer.made_at);
        }
    }

    /// Records that the session created at `made_at`, by the server's clock, was asked for and is missing.
    fn loses(&mut self, made_at: Duration, asked: Reading) {
        let (until, before) = self.lost_until.unwrap_or_default();
        self.lost_until = Some((until.max(made_at), before.max(asked.monotonic)));
    }

    /// Records that the session created at `made_at`, by the server's clock, was asked for at `asked` and is missing. If
    /// health says nothing, each other session has to be asked for itself.
    pub(crate) fn misses(&mut self, asked: Reading, made_at: Duration) {
        let missed = (asked.monotonic, made_at);
        self.missed = self.missed.max(Some(missed));
    }

    /// Answers may arrive out of order, so the latest send time counts.
    pub(super) fn proves(&mut self, sent: Reading) {
        let is_later = |before: &Reading| before.monotonic > sent.monotonic;
        self.proven = self.proven.filter(is_later).or(Some(sent));
    }

    /// Returns what became of a session, if the server was asked after `signs` signs.
    pub(crate) fn judge(&self, made: &Made, signs: u64) -> Option<Fate> {
        let verdict = self
            .verdict
            .filter(|verdict| verdict.question.signs >= signs)?;
        Some(match &verdict.says {
            Says::Health(health) => self.judge_by(health, made),
            // An answer about another session does not bring back sessions that were gone before.
            _ if self.was_gone(made) => Fate::Gone,
            _ if self.was_left_open(made) => Fate::Unclear,
            Says::Known(at, born) if made.at < *at || made.born.monotonic < *born => {
                self.unless_alarmed()
            }
            Says::Lost(_) => self.unless_alarmed(),
            Says::Known(..) | Says::Nothing | Says::Replaced(_) => Fate::Alive,
        })
    }

    /// Judges a session by health. If health leaves it open and only a hint was examined, a session that was checked
    /// less than [`METERED`] ago stays in use, in doubt.
    fn judge_by(&self, health: &Health, made: &Made) -> Fate {
        match health::judge(made, health, &self.boots) {
            Fate::Unclear
                if self.last_cause < Cause::Sign
                    && made.known_at > made.at
                    && made.known.1 < METERED =>
            {
                Fate::Alive
            }
            fate => fate,
        }
    }

    /// Returns the fate of a session that another session's answer says nothing about. If only a hint was examined, the
    /// session stays in use, in doubt.
    fn unless_alarmed(&self) -> Fate {
        if self.last_cause >= Cause::Sign {
            Fate::Unclear
        } else {
            Fate::Alive
        }
    }

    /// Returns whether an answer that proves a process also proves the process of this session.
    pub(crate) fn is_process_of(&self, made: &Made) -> bool {
        let is_one = self.is_one_process_since(made.born);
        // The session may have been created a moment before the process began that answers now.
        is_one && !self.was_gone(made) && !self.was_left_open(made)
    }

    fn was_gone(&self, made: &Made) -> bool {
        // A session created after the process had answered is not older than the process. If the server's clock was set
        // back since, its times say otherwise.
        let is_gone = |health: &Health| {
            self.boots.has_seen_since(health, made.born)
                && health::judge(made, health, &self.boots) == Fate::Gone
        };
        let is_before = |then| made.born.monotonic < then;
        // Here too, a server clock that was set back makes younger sessions look older.
        let is_lost = |(until, asked)| made.known_at <= until && made.born.monotonic <= asked;
        self.health.as_ref().is_some_and(is_gone)
            || self.lost_until.is_some_and(is_lost)
            // In a fleet, this process may know the missing session from a later check. So its creation time counts as
            // well.
            || self.was_missed_since(made) == Some(made.at)
            || self.replaced_before.is_some_and(is_before)
    }

    /// Returns when the session was created that was found missing after `made` was last known.
    fn was_missed_since(&self, made: &Made) -> Option<Duration> {
        let (asked, made_at) = self.missed?;
        (asked > made.known.0.monotonic).then_some(made_at)
    }

    /// Returns whether it is open if the session is alive, whatever was answered since. That is so if a process was
    /// first seen after the session was last known and nobody has asked it about the session. It is also so if another
    /// session was missing.
    fn was_left_open(&self, made: &Made) -> bool {
        let is_open = |health: Health| health::judge(made, &health, &self.boots) == Fate::Unclear;
        let known = made.known.0;
        let is_missed = self.was_missed_since(made).is_some();
        is_missed || self.boots.has_new_since(known) && self.health.is_some_and(is_open)
    }

    /// Returns when the server was asked, if its answer proves that the session's process was still running then. A
    /// session in doubt may have been lost before.
    pub(crate) fn proven_at(&self, made: &Made) -> Option<Reading> {
        let verdict = self.verdict.as_ref()?;
        let proves = match &verdict.says {
            Says::Health(health) => health::judge(made, health, &self.boots) == Fate::Alive,
            Says::Known(at, born) => made.at >= *at && made.born.monotonic >= *born,
            Says::Nothing | Says::Lost(_) | Says::Replaced(_) => false,
        };
        proves.then_some(verdict.question.asked)
    }

    /// Returns whether the decision after `signs` signs comes from the server. Otherwise the session stays in use, in
    /// doubt.
    pub(crate) fn was_told(&self, signs: u64) -> bool {
        let verdict = self.verdict.as_ref();
        verdict.is_some_and(|it| it.question.signs >= signs && !matches!(it.says, Says::Nothing))
    }
}
