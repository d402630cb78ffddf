//! What became of the sessions, by the last answer that decides something.

use std::time::Duration;

use super::{
    Cause, Evidence, Made, Question,
    health::{self, Fate, Health},
};
use crate::clock::Reading;

/// Where health says nothing, a session is asked for, which counts against the day's quota. So seldom that even a day of that
/// costs less than a sixth of a pro key's 2,000 calls.
const METERED: Duration = Duration::from_secs(5 * 60);
/// Such a call that is not answered by then is not waited for any more.
const LONGEST_METERING: Duration = Duration::from_secs(30);
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
    /// A session was asked for, and is there: so is the process.
    Known,
    /// One was asked for and is not there, or nobody could be asked.
    Lost,
}

impl Evidence {
    pub(super) fn decide(&mut self, question: Question, says: Says) {
        match says {
            Says::Health(health) => self.health = Some(health),
            Says::Lost => self.lost_before = Some(question.asked.monotonic),
            Says::Nothing | Says::Known => {}
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
        let is_due =
            |last: Option<Reading>, pause| last.is_none_or(|last| now.since(last) >= pause);
        if is_due(self.metered, METERED) {
            (self.metered, self.is_metering) = (Some(now), true);
            return Fallback::Meter;
        }
        if self.is_metering && !is_due(self.metered, LONGEST_METERING) {
            return Fallback::Wait;
        }
        let says = if self.last_cause >= Cause::Sign && is_due(self.replaced, REPLACED) {
            self.replaced = Some(now);
            Says::Lost
        } else {
            Says::Nothing
        };
        self.decide(self.question(signs, now), says);
        // No question takes up what this decides.
        self.unanswered = None;
        self.owed = self.owed.filter(|cause| *cause == Cause::Hint);
        Fallback::Decided
    }

    fn question(&self, signs: u64, asked: Reading) -> Question {
        Question {
            asked,
            signs,
            cause: self.last_cause,
        }
    }

    /// A session was asked for after so many signs, in place of the free question. `knows` is `None` where that was not
    /// answered either.
    pub(crate) fn metered(
        &mut self,
        knows: Option<bool>,
        signs: u64,
        asked: Reading,
        now: Reading,
    ) {
        self.is_metering = false;
        let Some(knows) = knows else {
            self.metered = None;
            return;
        };
        let says = if knows { Says::Known } else { Says::Lost };
        self.decide(self.question(signs, asked), says);
        self.unanswered = None;
        self.owed = None;
        if knows {
            self.proven = Some(asked);
            self.windows.confirm(asked.monotonic);
            self.was_for_nothing(self.last_cause, now);
        } else {
            self.restarted();
        }
    }

    /// What became of a session, if the server was asked after so many signs.
    pub(crate) fn judge(&self, made: &Made, signs: u64) -> Option<Fate> {
        let verdict = self
            .verdict
            .filter(|verdict| verdict.question.signs >= signs)?;
        Some(match &verdict.says {
            Says::Health(health) => health::judge(made, health, &self.boots),
            // What is said of one session does not bring back those that were gone before.
            Says::Known | Says::Nothing if self.was_gone(made) => Fate::Gone,
            Says::Known | Says::Nothing => Fate::Alive,
            Says::Lost => Fate::Gone,
        })
    }

    fn was_gone(&self, made: &Made) -> bool {
        let is_gone = |health| health::judge(made, health, &self.boots) == Fate::Gone;
        let is_before = |then| made.born.monotonic < then;
        self.health.as_ref().is_some_and(is_gone) || self.lost_before.is_some_and(is_before)
    }

    /// Whether what was decided after so many signs was learnt from the server. Without that a session goes on in doubt.
    pub(crate) fn was_told(&self, signs: u64) -> bool {
        let verdict = self.verdict.as_ref();
        verdict.is_some_and(|it| it.question.signs >= signs && !matches!(it.says, Says::Nothing))
    }
}
