//! What became of the sessions, by the last answer that decides something.

use std::time::Duration;

use super::{Evidence, Question, health, health::Fate};
use crate::{
    api::Health,
    clock::Reading,
    model::evidence::{Cause, Made},
};

/// Where health says nothing, a session is asked for, which counts against the day's quota. So seldom that even a day of that
/// costs less than a sixth of a pro key's 2,000 calls.
pub(crate) const METERED: Duration = Duration::from_secs(5 * 60);
/// Others wait no longer than this for whoever makes that call. He may have to wait for his turn first.
const LONGEST_METERING: Duration = Duration::from_secs(15);
/// Where that is not due, alarms replace sessions unasked, but no more often.
const REPLACED: Duration = Duration::from_secs(60);

/// What to do where the server does not answer the free question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Ask for one session, which counts against the quota.
    Meter,
    /// Another request is at that.
    Wait,
    /// It has been decided: judge.
    Decided,
    /// The whole server is out of reach, as far as is known.
    Unreached,
}

/// The answer to a session call in place of the free question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metered {
    pub(crate) knows: bool,
    /// When the session was made, by the server's clock.
    pub(crate) made_at: Duration,
    /// The same by the monotonic clock here.
    pub(crate) born: Duration,
    /// No session of this manager's was made before it.
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
    /// Nothing. What there is goes on, in doubt.
    Nothing,
    /// A session that was made then, by the server's clock and by the one here, was asked for, and is there: so are those that were
    /// made after it. The server's clock may have been set back in between.
    Known(Duration, Duration),
    /// One that was made then is not there: nor are those that were made before it.
    Lost(Duration),
    /// Nobody could be asked, and the windows are those of another process since then.
    Replaced(Duration),
}

/// Whether the last time is so long ago.
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

    /// The answer to the last question covers the signs up to this one, which it gave rise to.
    pub(crate) fn covers(&mut self, signs: u64) {
        if let Some(verdict) = &mut self.verdict {
            verdict.question.signs = signs;
        }
    }

    /// What to do about sessions that are held after so many signs, where the question was asked and not answered.
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

    /// A session was asked for in place of the free question, and the server did not say whether it is there. The next is asked for when
    /// that is due, as if it had.
    /// What was seen since it was sent is still to be looked into.
    pub(crate) fn metered_in_vain(&mut self, (signs, asked): (u64, Reading), now: Reading) {
        self.is_metering = false;
        let since = self.owed.filter(|_| self.owed_at > Some(asked.monotonic));
        self.decide_by_windows(signs, now);
        self.owed = self.owed.max(since);
    }

    /// Between two such calls: sessions go on in doubt, unless the windows are those of another process.
    fn decide_by_windows(&mut self, signs: u64, now: Reading) {
        let may_replace = is_due(self.replaced, REPLACED, now);
        let says = match self.strange.take_if(|_| may_replace) {
            Some(since) => {
                self.replaced = Some(now);
                Says::Replaced(since)
            }
            None => Says::Nothing,
        };
        // The next sign would say no more, and nobody could be asked about it for a while.
        self.false_alarm = Some((now, self.alarms.floor()));
        self.decide(self.question(signs, now), says);
        // No question takes up what this decides.
        self.unanswered = None;
        self.owed = self.owed.filter(|cause| *cause == Cause::Hint);
    }

    /// The same where the question did not reach the server. That is an outage, unless other calls are answered; and now and then a
    /// session call finds out.
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

    /// The session call in place of the free question was not made, or not answered.
    pub(crate) fn not_metered(&mut self) {
        if self.is_metering {
            (self.is_metering, self.metered) = (false, None);
        }
    }

    /// That call was made, and told nothing. The question was answered meanwhile, and decides.
    pub(crate) fn metered_for_nothing(&mut self) {
        self.is_metering = false;
    }

    /// A session that was made then was asked for after so many signs, in place of the free question. It is the oldest one if no
    /// other was made before it.
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
        // What was seen since is still to be looked into.
        self.owed = self
            .owed
            .filter(|_| self.owed_at > Some(answer.asked.monotonic));
        if !answer.knows {
            self.misses(&answer);
            self.windows.clear();
            self.restarted();
            return;
        }
        self.proves(answer.asked);
        if answer.is_oldest {
            self.windows.confirm(answer.asked.monotonic);
            self.strange = None;
        }
        self.was_for_nothing(self.last_cause, now);
    }

    /// How long ago another process may have made that call, so that this one need not.
    pub(crate) fn metered_counts_for(&self, now: Reading) -> Duration {
        let believed = self.presence.believes_for(now);
        believed.map_or(METERED, |believed| believed.min(METERED))
    }

    /// Another process of the fleet had asked for a session before, so that this one does not. What it found missing is.
    pub(crate) fn metered_elsewhere(&mut self, answer: &Metered) {
        (self.is_metering, self.metered) = (false, Some(answer.asked));
        self.presence.was_reached(answer.asked);
        if !answer.knows {
            self.loses(answer.made_at, answer.asked);
            self.misses(answer);
        }
    }

    /// A session that was made then by the server's clock was asked for, and was not there.
    fn loses(&mut self, made_at: Duration, asked: Reading) {
        let (until, before) = self.lost_until.unwrap_or_default();
        self.lost_until = Some((until.max(made_at), before.max(asked.monotonic)));
    }

    fn misses(&mut self, answer: &Metered) {
        let missed = (answer.asked.monotonic, answer.made_at);
        self.missed = self.missed.max(Some(missed));
    }

    /// Answers may come out of order.
    pub(super) fn proves(&mut self, sent: Reading) {
        let is_later = |before: &Reading| before.monotonic > sent.monotonic;
        self.proven = self.proven.filter(is_later).or(Some(sent));
    }

    /// What became of a session, if the server was asked after so many signs.
    pub(crate) fn judge(&self, made: &Made, signs: u64) -> Option<Fate> {
        let verdict = self
            .verdict
            .filter(|verdict| verdict.question.signs >= signs)?;
        Some(match &verdict.says {
            Says::Health(health) => self.judge_by(health, made),
            // What is said of one session does not bring back those that were gone before.
            _ if self.was_gone(made) => Fate::Gone,
            _ if self.was_left_open(made) => Fate::Unclear,
            Says::Known(at, born) if made.at < *at || made.born.monotonic < *born => {
                self.unless_alarmed()
            }
            Says::Lost(_) => self.unless_alarmed(),
            Says::Known(..) | Says::Nothing | Says::Replaced(_) => Fate::Alive,
        })
    }

    /// Where health leaves it open and only a hint was looked into, a session that was asked for a while ago goes on in doubt.
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

    /// What was said of another session says nothing of this one. Where only a hint was looked into, it goes on in doubt.
    fn unless_alarmed(&self) -> Fate {
        if self.last_cause >= Cause::Sign {
            Fate::Unclear
        } else {
            Fate::Alive
        }
    }

    /// Whether an answer that proves a process proves the one that has the session.
    pub(crate) fn is_process_of(&self, made: &Made) -> bool {
        let is_one = self.is_one_process_since(made.born);
        // It may have been made a moment before the process that answers now began.
        is_one && !self.was_gone(made) && !self.was_left_open(made)
    }

    fn was_gone(&self, made: &Made) -> bool {
        // One that was made after health was answered is not older than that process, though a clock that was set back since says so.
        let is_gone = |health: &Health| {
            self.boots.has_seen_since(health, made.born)
                && health::judge(made, health, &self.boots) == Fate::Gone
        };
        let is_before = |then| made.born.monotonic < then;
        // As with health, a clock that was set back since makes what is younger look older.
        let is_lost = |(until, asked)| made.known_at <= until && made.born.monotonic <= asked;
        self.health.as_ref().is_some_and(is_gone)
            || self.lost_until.is_some_and(is_lost)
            // In a fleet, each process may have known it later than it was made.
            || self.was_missed_since(made) == Some(made.at)
            || self.replaced_before.is_some_and(is_before)
    }

    /// When the session was made that was found missing after this one was last known.
    fn was_missed_since(&self, made: &Made) -> Option<Duration> {
        let (asked, made_at) = self.missed?;
        (asked > made.known.0.monotonic).then_some(made_at)
    }

    /// Whether health spoke of a process that nobody has asked about this session yet, or another session was found missing. No answer
    /// since makes up for that.
    fn was_left_open(&self, made: &Made) -> bool {
        let is_open = |health: Health| health::judge(made, &health, &self.boots) == Fate::Unclear;
        let known = made.known.0;
        let is_missed = self.was_missed_since(made).is_some();
        is_missed || self.boots.has_new_since(known) && self.health.is_some_and(is_open)
    }

    /// When the server was asked, if what it said proves that a session's process went on then. One that goes on in doubt may
    /// have been lost before.
    pub(crate) fn proven_at(&self, made: &Made) -> Option<Reading> {
        let verdict = self.verdict.as_ref()?;
        let proves = match &verdict.says {
            Says::Health(health) => health::judge(made, health, &self.boots) == Fate::Alive,
            Says::Known(at, born) => made.at >= *at && made.born.monotonic >= *born,
            Says::Nothing | Says::Lost(_) | Says::Replaced(_) => false,
        };
        proves.then_some(verdict.question.asked)
    }

    /// Whether what was decided after so many signs was learnt from the server. Without that a session goes on in doubt.
    pub(crate) fn was_told(&self, signs: u64) -> bool {
        let verdict = self.verdict.as_ref();
        verdict.is_some_and(|it| it.question.signs >= signs && !matches!(it.says, Says::Nothing))
    }
}
