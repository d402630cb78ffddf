//! The *verdict*: what became of the sessions, by the last answer that decides something.
//!
//! Normally `GET /v1/health` decides. If it says nothing, a *metered* session call, `GET /v1/sessions/{id}`, takes its
//! place once in five minutes. Between two such calls, rate-limit windows decide.

use std::time::Duration;

use super::{Evidence, Question, health, health::Fate};
use crate::{
    api::Health,
    clock::Reading,
    model::evidence::{Cause, Made},
};

/// How often a session is asked for while health says nothing. Each such call counts against the key's daily quota. A
/// whole day of them costs less than a sixth of a pro key's 2,000 calls.
pub(crate) const METERED: Duration = Duration::from_secs(5 * 60);
/// How long other attempts wait for the one that makes this call. That one may have to wait for its turn first.
const LONGEST_METERING: Duration = Duration::from_secs(15);
/// The shortest time between two replacements of sessions because of rate-limit windows alone.
const REPLACED: Duration = Duration::from_secs(60);

/// What an attempt does about its suspect session if `GET /v1/health` is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Make a metered call: ask for one session, which counts against the quota.
    Meter,
    /// Wait: another attempt is making that call.
    Wait,
    /// There is a new verdict: judge the session by it.
    Decided,
    /// The whole server is out of reach, as far as is known.
    Unreached,
}

/// The answer to a `GET /v1/sessions/{id}` in place of `GET /v1/health`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metered {
    /// Whether the server has the session.
    pub(crate) knows: bool,
    /// When the session was created, by the server's clock.
    pub(crate) made_at: Duration,
    /// When the session was created, by the monotonic clock here.
    pub(crate) born: Duration,
    /// Whether this session is the oldest one of the manager.
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
    /// No answer says what became of the sessions. They stay in use, in doubt.
    Nothing,
    /// A session was asked for and is alive, so sessions created later are alive too. Carries when it was created, by
    /// the server's clock and by the monotonic clock here. By the server's clock alone, a younger session can look
    /// older: that clock may have been set back.
    Known(Duration, Duration),
    /// A session was asked for and is missing. Carries when it was created, by the server's clock. Sessions that the
    /// server last knew before that are missing too.
    Lost(Duration),
    /// Nobody could be asked, and rate-limit windows show another process since this monotonic time. Sessions created
    /// earlier are given up.
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

    /// Lets the last verdict also cover signs up to `signs`. Its own answer showed a restart, and so raised the latest
    /// of them.
    pub(crate) fn covers(&mut self, signs: u64) {
        if let Some(verdict) = &mut self.verdict {
            verdict.question.signs = signs;
        }
    }

    /// Returns what to do about sessions that are on hold after `signs` signs, if `GET /v1/health` was called and not
    /// answered.
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

    /// Records a metered call whose answer does not tell whether the session is alive, such as a 403 or a 500.
    /// Rate-limit windows then decide, and the next metered call is due after [`METERED`], as after a useful answer. A
    /// cause that was seen after the call was sent stays owed.
    pub(crate) fn metered_in_vain(&mut self, (signs, asked): (u64, Reading), now: Reading) {
        self.is_metering = false;
        let since = self.owed.filter(|_| self.owed_at > Some(asked.monotonic));
        self.decide_by_windows(signs, now);
        self.owed = self.owed.max(since);
    }

    /// Decides without an answer, between two metered calls. Sessions stay in use, in doubt, unless rate-limit windows
    /// show another process: then the older sessions are replaced.
    fn decide_by_windows(&mut self, signs: u64, now: Reading) {
        let may_replace = is_due(self.replaced, REPLACED, now);
        let says = match self.strange.take_if(|_| may_replace) {
            Some((sent, _)) => {
                self.replaced = Some(now);
                Says::Replaced(sent)
            }
            None => Says::Nothing,
        };
        // Damp the next sign: nobody can be asked about it for a while, so it would decide nothing.
        self.false_alarm = Some((now, self.alarms.floor()));
        self.decide(self.question(signs, now), says);
        // The unanswered question is decided now, so it need not be repeated. Keep what is owed: no question was asked
        // about it yet, so the next one has to be.
        self.unanswered = None;
    }

    /// Like `fallback`, for a question that did not even reach the server. That means an outage, unless the server
    /// answers other calls. In an outage, a session call probes the server now and then.
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

    /// Records that the metered call in place of health was not made or not answered. Another attempt may make it at
    /// once.
    pub(crate) fn not_metered(&mut self) {
        if self.is_metering {
            (self.is_metering, self.metered) = (false, None);
        }
    }

    /// Records that the metered call told nothing, and that health has been answered meanwhile. That answer decides.
    pub(crate) fn metered_for_nothing(&mut self) {
        self.is_metering = false;
    }

    /// Records the answer to a metered call in place of health.
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
        // Keep a cause that was seen after the call was sent: the answer does not cover it.
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

    /// Returns how old a metered call of another process of the fleet may be to count here. If it is older, this
    /// process makes its own.
    pub(crate) fn metered_counts_for(&self, now: Reading) -> Duration {
        let believed = self.presence.believes_for(now);
        believed.map_or(METERED, |believed| believed.min(METERED))
    }

    /// Records that another process of the fleet has made the metered call, so this process does not make it. If the
    /// server did not have that session, older sessions of this process are lost as well.
    pub(crate) fn metered_elsewhere(&mut self, answer: &Metered) {
        (self.is_metering, self.metered) = (false, Some(answer.asked));
        self.presence.was_reached(answer.asked);
        if !answer.knows {
            self.loses(answer.made_at, answer.asked);
            self.misses(answer.asked, answer.made_at);
        }
    }

    /// Records that a session was asked for at `asked` and is missing, and that older sessions are lost with it.
    /// `made_at` is when it was created, by the server's clock.
    fn loses(&mut self, made_at: Duration, asked: Reading) {
        let (until, before) = self.lost_until.unwrap_or_default();
        self.lost_until = Some((until.max(made_at), before.max(asked.monotonic)));
    }

    /// Records that a session was asked for at `asked` and is missing. `made_at` is when it was created, by the
    /// server's clock. While health says nothing, each other session then has to be checked itself.
    pub(crate) fn misses(&mut self, asked: Reading, made_at: Duration) {
        let missed = (asked.monotonic, made_at);
        self.missed = self.missed.max(Some(missed));
    }

    /// Records that an answer to a call sent at `sent` proves the process. Answers may arrive out of order, so the
    /// latest send time counts.
    pub(super) fn proves(&mut self, sent: Reading) {
        let is_later = |before: &Reading| before.monotonic > sent.monotonic;
        self.proven = self.proven.filter(is_later).or(Some(sent));
    }

    /// Returns what became of a session by the last verdict. Returns `None` if that verdict does not cover `signs`
    /// signs, so that the server has to be asked.
    pub(crate) fn judge(&self, made: &Made, signs: u64) -> Option<Fate> {
        let verdict = self
            .verdict
            .filter(|verdict| verdict.question.signs >= signs)?;
        Some(match &verdict.says {
            Says::Health(health) => self.judge_by(health, made),
            // A verdict about another session must not bring back a session that was gone before.
            _ if self.was_gone(made) => Fate::Gone,
            _ if self.was_left_open(made) => Fate::Unclear,
            Says::Known(at, born) if made.at < *at || made.born.monotonic < *born => {
                self.unless_alarmed()
            }
            Says::Lost(_) => self.unless_alarmed(),
            Says::Known(..) | Says::Nothing | Says::Replaced(_) => Fate::Alive,
        })
    }

    /// Judges a session by health. Example: several server processes share a store, so health cannot tell whether the
    /// session is alive. If only a hint was examined, and the session was checked less than [`METERED`] ago, it stays
    /// in use, in doubt. So hints do not cause a metered check each time.
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

    /// Returns the fate of a session about which the last verdict says nothing, because another session was asked for.
    /// After a sign, this session has to be checked itself. After a hint it stays in use, in doubt.
    fn unless_alarmed(&self) -> Fate {
        if self.last_cause >= Cause::Sign {
            Fate::Unclear
        } else {
            Fate::Alive
        }
    }

    /// Returns whether this session certainly belongs to the server process that answers now.
    pub(crate) fn is_process_of(&self, made: &Made) -> bool {
        let is_one = self.is_one_process_since(made.born);
        // One process is known to have answered since, but the session may have been created just before that process
        // began.
        is_one && !self.was_gone(made) && !self.was_left_open(made)
    }

    fn was_gone(&self, made: &Made) -> bool {
        // Health may only condemn sessions from before its process was last seen. If the server's clock was set back, a
        // session created later looks older than the process, but is not.
        let is_gone = |health: &Health| {
            self.boots.has_seen_since(health, made.born)
                && health::judge(made, health, &self.boots) == Fate::Gone
        };
        let is_before = |then| made.born.monotonic < then;
        // The monotonic times count too: if the server's clock was set back, a younger session looks older.
        let is_lost = |(until, asked)| made.known_at <= until && made.born.monotonic <= asked;
        self.health.as_ref().is_some_and(is_gone)
            || self.lost_until.is_some_and(is_lost)
            // The missing session itself is gone. `is_lost` does not see that if a check had found it since its
            // creation.
            || self.was_missed_since(made) == Some(made.at)
            || self.replaced_before.is_some_and(is_before)
    }

    /// Returns the creation time of a session that was found missing after the server last knew `made`, if there is
    /// one. The time is by the server's clock.
    fn was_missed_since(&self, made: &Made) -> Option<Duration> {
        let (asked, made_at) = self.missed?;
        (asked > made.known.0.monotonic).then_some(made_at)
    }

    /// Returns whether only a check of this session itself can tell if it is alive. There are two cases. Another
    /// session was found missing since the server last knew this one. Or a new process has answered health since then,
    /// and health cannot tell whether it has the session.
    fn was_left_open(&self, made: &Made) -> bool {
        let is_open = |health: Health| health::judge(made, &health, &self.boots) == Fate::Unclear;
        let known = made.known.0;
        let is_missed = self.was_missed_since(made).is_some();
        is_missed || self.boots.has_new_since(known) && self.health.is_some_and(is_open)
    }

    /// Returns when the server was asked, if its answer proves that the session's process was still running then.
    /// Returns `None` for a session that is only in doubt: it may have been lost before.
    pub(crate) fn proven_at(&self, made: &Made) -> Option<Reading> {
        let verdict = self.verdict.as_ref()?;
        let proves = match &verdict.says {
            Says::Health(health) => health::judge(made, health, &self.boots) == Fate::Alive,
            Says::Known(at, born) => made.at >= *at && made.born.monotonic >= *born,
            Says::Nothing | Says::Lost(_) | Says::Replaced(_) => false,
        };
        proves.then_some(verdict.question.asked)
    }

    /// Returns whether something was found out about the sessions since the last of `signs` signs. If not, they stay in
    /// use, in doubt.
    pub(crate) fn was_told(&self, signs: u64) -> bool {
        let verdict = self.verdict.as_ref();
        verdict.is_some_and(|it| it.question.signs >= signs && !matches!(it.says, Says::Nothing))
    }
}
