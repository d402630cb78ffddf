//! Judges the health calls, which are free: when they are made, what their answers settle, and that no session call
//! asks what a health call can answer. In this checker, a *question* is a health call.

use std::{collections::HashMap, time::Duration};

use sipher_session::{clock::Reading, testing::Operation};

use super::{
    Checker,
    known::{Known, Signs},
};
use crate::{
    health::Health,
    script::Weather,
    trace::{Record, Sent},
};

/// The longest pause between two questions while there is a reason to ask.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After this many failed questions in a row, health alone counts as unreachable, if other calls are answered.
const AWAY_ALONE: usize = 3;
/// Two health answers of one process differ by at most this much in its start time.
pub(super) const SAME_BOOT: Duration = Duration::from_secs(2);
/// A difference that latency cannot explain: the server's clock was set, or the client's own clock missed a sleep.
pub(super) const CLOCK_STEP: Duration = Duration::from_secs(5);
/// The manager asks for a session that was not used for this long, because the server keeps the recently used ones.
pub(super) const LONG_IDLE: Duration = Duration::from_secs(60);

/// A health call in flight.
struct Question {
    signs: Signs,
    at: Reading,
}

/// The answer to a health call.
pub(super) struct Said {
    /// The line of the trace.
    pub(super) index: usize,
    /// The monotonic time.
    pub(super) at: Duration,
    pub(super) health: Health,
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // each is a separate fact
pub(super) struct Questions {
    flying: HashMap<u64, Question>,
    /// When questions were asked: lines of the trace, and monotonic times.
    pub(super) asked: Vec<(usize, Duration)>,
    pub(super) said: Vec<Said>,
    pub(super) boots: Vec<Duration>,
    /// When a question found a restart. The next questions then come sooner.
    found: Vec<Duration>,
    /// When a question was last answered, in whatever way.
    answered: Option<Duration>,
    /// Whether the answer to a question lacked the required data.
    pub(super) is_silent: bool,
    /// How many questions in a row did not reach the server, and when the first of them was asked.
    away: usize,
    away_since: Option<Reading>,
    /// Whether the server has answered another call in the meantime.
    answers_others: bool,
    /// Whether the last question got no usable answer.
    pub(super) was_last_silent: bool,
    /// Whether an answer showed an earlier time than the server's clock had shown before. A cache had kept the answer,
    /// and did not say so.
    is_clock_off: bool,
    /// Sessions that were asked for and found: lines of the trace, and monotonic times.
    settled: Vec<(usize, Duration)>,
    /// Lines at which a session was asked for.
    pub(super) gets: Vec<usize>,
    /// How many calls were left in the last window, and when that window ends.
    pub(super) window: Option<(u32, Duration)>,
    /// When the last answered question was asked.
    proven: Option<Reading>,
}

impl Questions {
    /// Whether health alone may be unreachable.
    fn is_away_alone(&self) -> bool {
        self.answers_others && self.away >= AWAY_ALONE
    }

    /// Whether a sign may be damped, so that no request waits because of it. Either a question is in flight, or the
    /// last sign may have been a false alarm a moment ago.
    pub(super) fn may_damp(&self, now: Reading) -> bool {
        let is_recent = |at| now.monotonic.saturating_sub(at) <= LONGEST_PAUSE;
        !self.flying.is_empty() || self.answered.is_some_and(is_recent)
    }

    /// Whether the last proof of the process may be so old that requests wait for a question.
    pub(super) fn may_be_stale(&self, now: Reading) -> bool {
        self.proven.is_none_or(|at| now.since(at) >= LONGEST_PAUSE)
    }

    /// An answer proved the process. Its request was sent at `at`.
    pub(super) fn proved(&mut self, at: Reading) {
        let later = |before: Reading| before.monotonic > at.monotonic;
        if !self.proven.is_some_and(later) {
            self.proven = Some(at);
        }
    }

    /// Returns when the last question before this line was settled.
    pub(super) fn settled_before(&self, line: usize) -> Option<Duration> {
        let (index, asked) = self.asked.iter().rev().find(|(index, _)| *index < line)?;
        let answer = self.said.iter().find(|said| said.index > *index);
        let settled = answer.map_or(*asked, |said| said.at);
        let by_session = self.settled.iter().rev().find(|(index, _)| *index < line);
        Some(by_session.map_or(settled, |(_, at)| settled.max(*at)))
    }

    /// The server has a session that was asked for. That settles what the last question left open.
    pub(super) fn settled(&mut self, index: usize, now: Reading) {
        self.answered = Some(now.monotonic);
        self.settled.push((index, now.monotonic));
    }

    /// A call for a session found that the session is gone.
    pub(super) fn found(&mut self, now: Reading) {
        self.found.push(now.monotonic);
    }
}

impl Checker<'_> {
    pub(super) fn asks(&mut self, wire: u64, index: usize, at: Reading) {
        let mut signs = self.signs;
        // The decision to ask may be older than the last sign. That sign then holds requests until the next question is
        // answered.
        if let Some(before) = self.breaks.of_many(at) {
            signs.possible = before;
        }
        self.questions.flying.insert(wire, Question { signs, at });
        self.questions.asked.push((index, at.monotonic));
    }

    /// The server answers a question. A usable answer settles all signs from before the question.
    pub(super) fn says(
        &mut self,
        wire: u64,
        (status, health): (u16, Option<Health>),
        index: usize,
        now: Reading,
    ) {
        let Some(health) = health else {
            // A gateway that cannot reach the server says nothing.
            if is_gateways(status) {
                self.away(wire, now);
            } else {
                self.silent(wire, now);
            }
            return;
        };
        let Some(question) = self.questions.flying.remove(&wire) else {
            return;
        };
        let is_gone = |made: Duration| !health.keeps && health.boot > made + Duration::from_secs(1);
        let any_gone = self.known.values().any(|known| is_gone(known.made));
        self.questions.is_clock_off |= self.is_clock_off(health.now, now);
        for known in self.known.values_mut() {
            known.proved = known.proved.or_later(question.signs);
        }
        for create in self.creates_under_way() {
            create.signs = create.signs.or_later(question.signs);
        }
        let questions = &mut self.questions;
        questions.was_last_silent = false;
        (questions.away, questions.away_since) = (0, None);
        questions.answers_others = false;
        questions.answered = Some(now.monotonic);
        questions.proved(question.at);
        let is_same = |boot: &Duration| boot.abs_diff(health.boot) <= SAME_BOOT;
        let is_new = !questions.boots.iter().any(is_same);
        if is_new {
            questions.boots.push(health.boot);
        }
        if is_new || any_gone {
            questions.found(now);
        }
        let at = now.monotonic;
        questions.said.push(Said { index, at, health });
        // It may be another process, a store that outlives the process, or a clock that was set. Then the session
        // itself must be asked for.
        let is_only_one = questions.boots.len() == 1 && !self.is_server_clock_set();
        for known in self.known.values_mut() {
            let expires_early = known.left_there(health.now) + CLOCK_STEP < known.left(now);
            known.doubted |= !is_only_one || health.boot >= known.made || expires_early;
        }
    }

    /// Whether the time in a health answer contradicts a create or another answer.
    fn is_clock_off(&self, server: Duration, now: Reading) -> bool {
        let creates = self.known.values();
        let creates = creates.map(|known| (known.made, known.born.monotonic));
        let said = self.questions.said.iter();
        let said = said.map(|said| (said.health.now, said.at));
        let is_off = |(then, at)| {
            let passed = now.monotonic.saturating_sub(at);
            server.abs_diff(then + passed) > Duration::from_secs(1)
        };
        creates.chain(said).any(is_off)
    }

    fn is_server_clock_set(&self) -> bool {
        let is_set = |weather: &Weather| {
            matches!(weather, Weather::ServerForward(_) | Weather::ServerBack(_))
        };
        self.script.has(is_set)
    }

    /// The question gets no usable answer in time. Then a session is asked for, or sessions go on in doubt.
    pub(super) fn silent(&mut self, wire: u64, at: Reading) -> bool {
        if self.questions.flying.remove(&wire).is_none() {
            return false;
        }
        self.goes_silent(at);
        true
    }

    fn goes_silent(&mut self, at: Reading) {
        self.questions.is_silent = true;
        self.questions.was_last_silent = true;
        self.questions.answered = Some(at.monotonic);
        for known in self.known.values_mut() {
            known.proved.certain = self.signs.certain;
        }
    }

    /// The server cannot be reached.
    pub(super) fn away(&mut self, wire: u64, at: Reading) -> bool {
        let Some(question) = self.questions.flying.get(&wire) else {
            return false;
        };
        self.questions.away_since.get_or_insert(question.at);
        self.questions.away += 1;
        if self.questions.is_away_alone() {
            return self.silent(wire, at);
        }
        self.questions.flying.remove(&wire).is_some()
    }

    /// The server has answered a call. If health could not be reached when that call was sent, health counts as silent
    /// only. A session that was asked for instead needs no more questions.
    pub(super) fn answers(&mut self, wire: u64, status: u16, at: Reading) {
        let questions = &mut self.questions;
        let Some((flying, since)) = self.flying.get(&wire).zip(questions.away_since) else {
            return;
        };
        if is_gateways(status) || flying.at.monotonic < since.monotonic {
            return;
        }
        questions.answers_others = true;
        if flying.sent.operation == Operation::Get {
            questions.away = questions.away.max(AWAY_ALONE);
        }
        if questions.is_away_alone() {
            self.goes_silent(at);
        }
    }

    /// I8: health calls have a bound as well. While connections break or nobody answers, pauses start at 200 ms and
    /// double to 10 s (seven in all). They start again after a restart was found, or after ten quiet minutes. Other
    /// questions are 10 s apart, and questions about signs 20 s.
    pub(super) fn pace(&mut self) {
        let asked: Vec<_> = self.questions.asked.iter().map(|(_, at)| *at).collect();
        for (first, start) in asked.iter().enumerate() {
            for (last, end) in asked.iter().enumerate().skip(first) {
                let (count, span) = (last - first + 1, end.saturating_sub(*start));
                let within = |at: &&Duration| (*start..=*end).contains(*at);
                let found = self.questions.found.iter().filter(within).count();
                let seconds = usize::try_from(span.as_secs()).unwrap_or(usize::MAX);
                let bound = 9 + 8 * found + seconds / 4 + 7 * seconds / 600;
                if count > bound {
                    let text = format!(
                        "I8: {count} questions in {span:?} until {end:?}, of {bound} allowed"
                    );
                    return self.failures.push(text);
                }
            }
        }
    }

    /// I8: if health has answered, and only one process was seen, no session call asks for a session.
    pub(super) fn get(&mut self, sent: &Sent, at: Reading) {
        let clocks = |weather: &Weather| {
            use Weather::{ServerBack, ServerForward, Suspend, WallBack, WallForward};
            matches!(
                weather,
                ServerForward(_) | ServerBack(_) | Suspend(_) | WallForward(_) | WallBack(_)
            )
        };
        let may_ask = self.settings.verify_every.is_some()
            || self.script.replicas > 1
            || self.questions.is_silent
            || self.questions.away > 0
            || (self.questions.is_clock_off && self.script.has_cached_health())
            || self.script.has(clocks);
        let known = sent.id.as_ref().and_then(|id| self.known.get_mut(id));
        let Some(known) = known.filter(|_| !may_ask) else {
            return;
        };
        let is_idle = known.is_idle(at);
        let is_near = |(_, restart): &(usize, Duration)| known.is_near(*restart);
        if !is_idle && !self.restarts.iter().any(is_near) {
            self.fails(format!("I8: call {} is for a false alarm", sent.wire));
        }
    }

    /// A session counts as used when a request got it, or, if the body came later, when the request was sent. The trace
    /// does not show which.
    pub(super) fn used(&mut self, id: &str, given: Reading, sent: Reading) {
        if let Some(known) = self.known.get_mut(id) {
            known.idle = known.idle.max(sent.since(known.used));
            known.used = given;
        }
    }

    /// The server has the session that was asked for. If health says nothing, this also proves the other sessions. If
    /// health answered again before this answer, it only proves sessions that are no older.
    pub(super) fn was_asked_for(&mut self, record: &Record, signs: Signs) {
        let (is_for_all, stands_in) = (self.questions.was_last_silent, self.questions.is_silent);
        let is_proved = |known: &&mut Known| is_for_all || (stands_in && known.made >= record.made);
        for known in self.known.values_mut().filter(is_proved) {
            known.proved = known.proved.or_later(signs);
        }
        if let Some(known) = self.known.get_mut(&record.id) {
            known.was_asked_for = true;
            known.idle = Duration::ZERO;
        }
    }
}

/// Whether the status means that a gateway cannot reach the server.
fn is_gateways(status: u16) -> bool {
    matches!(status, 502 | 504 | 520..=527 | 530)
}
