//! What `GET /v1/health` says about the server's process, and what follows for one session.
//!
//! The call needs no API key and counts against no limit. The answer says how long the process has run (`uptime`, whole
//! seconds, rounded down) and the server's time (`timestamp`). So the process began at `timestamp − uptime`, which is
//! up to 1 s late. Health answers 503 whenever it cannot reach Solana, with the same body. So its status says nothing.

use std::time::Duration;

use crate::{
    api::Health,
    clock::Reading,
    model::evidence::{Made, STEP_BACK},
};

/// How much earlier a process may have begun than `timestamp − uptime` says, because `uptime` is rounded down.
const ROUNDED: Duration = Duration::from_secs(1);
/// Two answers of one process never differ by more than this in when it began.
const SAME_BOOT: Duration = Duration::from_secs(2);
/// If two readings of a clock are further apart than this, network delay and rounding do not explain it: a clock was
/// set.
pub(super) const CLOCK_STEP: Duration = Duration::from_secs(5);
/// For how long a process is remembered after its last answer. No session lives longer.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// If an older process answers after a younger one, several processes count as running for this long after its answer.
const SERVES: Duration = Duration::from_secs(30 * 60);
/// The most processes that are remembered.
const MOST: usize = 32;

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The server has the session: the process that created it still runs.
    Alive,
    /// The server's process has restarted and lost the session. Or the server's clock was set forward, so that the
    /// session expires there too early.
    Gone,
    /// Only a check of the session itself can tell.
    Unclear,
}

/// Judges one session by an answer of health. `boots` are all processes seen so far.
pub(super) fn judge(made: &Made, health: &Health, boots: &Boots) -> Fate {
    let restarted = health.boot > made.known_at + ROUNDED;
    if (restarted && !health.keeps_sessions) || expires_early(made, health) {
        return Fate::Gone;
    }
    let is_only = boots.is_only_one_since(made.born);
    // Strictly less: if the process began in the millisecond in which the server last knew the session, either may have
    // come first.
    if health.boot < made.known_at && is_only && !boots.has_stepped_since(made) {
        Fate::Alive
    } else {
        Fate::Unclear
    }
}

/// Returns whether the server's clock was set forward, so that the session expires earlier there than here.
fn expires_early(made: &Made, health: &Health) -> bool {
    let left_there = (made.at + made.total).saturating_sub(health.timestamp);
    left_there + CLOCK_STEP < made.left
}

/// Returns whether the server's clock was set. An answer said `server`. When it arrived, the clock should have been at
/// `expected`, and was at `latest` at most.
///
/// Even a small step back counts, because it can hide a restart: a session from before the restart then looks younger
/// than the new process.
fn is_step(expected: Duration, latest: Duration, server: Duration) -> bool {
    server > expected + CLOCK_STEP || latest + STEP_BACK < expected
}

/// The server's processes that were seen, each known by its boot time, and whether the server's clock was set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Boots {
    seen: Vec<Boot>,
    /// The last known time of the server's clock, with the time here at that moment.
    clock: Option<(Duration, Reading)>,
    /// A lower bound of the server's clock from a slow answer, with the time here at that moment.
    at_least: Option<(Duration, Reading)>,
    stepped: Option<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Boot {
    at: Duration,
    first_seen: Reading,
    last_seen: Reading,
}

/// The server's clock was set. The first answer that showed it said `server` and was received at `seen`.
#[derive(Clone, Copy, Debug)]
struct Step {
    server: Duration,
    seen: Reading,
}

impl Step {
    /// Returns whether the clock was set before the server last knew the session, so that the session's times are
    /// already by the new clock. Example: the session's own create, or one in flight together with it, was the first
    /// answer by the new clock.
    fn is_before(&self, made: &Made) -> bool {
        let ago = self.seen.monotonic.saturating_sub(made.known.0.monotonic);
        let by_this_clock = self.server.saturating_sub(ago);
        self.server == made.known_at || by_this_clock.abs_diff(made.known_at) < STEP_BACK
    }
}

impl Boots {
    /// Notes an answer of `GET /v1/health`. The call was sent at `asked`, and its answer arrived at `now`. Returns
    /// whether an earlier answer already came from the same server process.
    pub(super) fn note(&mut self, health: &Health, asked: Reading, now: Reading) -> bool {
        self.note_clock(health.timestamp, now.since(asked), now);
        self.seen
            .retain(|boot| now.since(boot.last_seen) <= LONGEST_LIFE);
        let apart = |boot: &&mut Boot| boot.at.abs_diff(health.boot);
        let same = self.seen.iter_mut().filter(|boot| apart(boot) <= SAME_BOOT);
        // After two restarts within seconds, the answer may fit two processes. Take the one whose boot time is nearer:
        // otherwise the older process would seem to answer again.
        if let Some(boot) = same.min_by_key(apart) {
            // Rounding does not explain this difference. So another process may have begun within seconds after the
            // known one. Treat it as first seen now.
            if apart(&boot) > ROUNDED {
                boot.first_seen = now;
            }
            // Keep the latest boot time: if two processes began within seconds, the next answer comes from the younger
            // one and will be near this value.
            (boot.at, boot.last_seen) = (health.boot, now);
            return true;
        }
        if self.seen.len() == MOST {
            self.seen.remove(0);
        }
        let at = health.boot;
        self.seen.push(Boot {
            at,
            first_seen: now,
            last_seen: now,
        });
        false
    }

    /// Notes a time of the server's clock. The server read it at some moment of the call that ended at `now` and `took`
    /// so long.
    pub(super) fn note_clock(&mut self, server: Duration, took: Duration, now: Reading) {
        // The monotonic clock may have stood still while this machine slept. That looks as if the server's clock was
        // set forward. So both clocks here have to show the step.
        let is_off = |then, elapsed| is_step(then + elapsed, server + took, server);
        let is_set = |(then, at): (Duration, Reading)| {
            is_off(then, now.monotonic.saturating_sub(at.monotonic)) && is_off(then, now.since(at))
        };
        let is_set_back = |(then, at): (Duration, Reading)| {
            let expected = then + now.monotonic.saturating_sub(at.monotonic);
            server + took + STEP_BACK < expected
        };
        if self.clock.is_some_and(is_set) || self.at_least.is_some_and(is_set_back) {
            self.stepped = Some(Step { server, seen: now });
        }
        self.clock = Some((server, now));
        self.at_least = None;
    }

    /// Notes that the server's clock said at least `server` at `now`, unless its time is known better. The answer was
    /// too slow to say more.
    pub(super) fn note_at_least(&mut self, server: Duration, now: Reading) {
        if self.clock.is_none() {
            self.at_least = Some((server, now));
        }
    }

    /// Returns what the server's clock says at `now`, if that is known.
    pub(super) fn clock(&self, now: Reading) -> Option<Duration> {
        let (then, at) = self.clock?;
        Some(then + now.monotonic.saturating_sub(at.monotonic))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Returns whether at most one process has answered since `then`, and no two processes run side by side.
    fn is_only_one_since(&self, then: Reading) -> bool {
        self.since(then).nth(1).is_none() && !self.serve_side_by_side()
    }

    /// Returns whether a process has lately answered again after a younger one. A restart cannot do that, so several
    /// processes run.
    fn serve_side_by_side(&self) -> bool {
        let last = self.seen.iter().map(|boot| boot.last_seen.monotonic).max();
        let still_serves = |older: &Boot| {
            let ago = last.map(|last| last.saturating_sub(older.last_seen.monotonic));
            ago.is_some_and(|ago| ago <= SERVES)
        };
        let is_younger = |older: &Boot, other: &Boot| {
            other.at > older.at && other.first_seen.monotonic < older.last_seen.monotonic
        };
        let has_younger = |older: &Boot| self.seen.iter().any(|other| is_younger(older, other));
        self.seen
            .iter()
            .any(|older| still_serves(older) && has_younger(older))
    }

    fn since(&self, then: Reading) -> impl Iterator<Item = &Boot> {
        let is_later = move |boot: &&Boot| boot.last_seen.monotonic >= then.monotonic;
        self.seen.iter().filter(is_later)
    }

    /// Returns whether several processes have answered since `then`.
    pub(super) fn are_several_since(&self, then: Reading) -> bool {
        !self.is_only_one_since(then)
    }

    /// Returns whether the process that gave this answer of health has answered since `then`.
    pub(super) fn has_seen_since(&self, health: &Health, then: Reading) -> bool {
        self.since(then).any(|boot| boot.at == health.boot)
    }

    /// Returns whether a process that was not seen before has answered since `then`.
    pub(super) fn has_new_since(&self, then: Reading) -> bool {
        let is_later = |boot: &Boot| boot.first_seen.monotonic >= then.monotonic;
        self.seen.iter().any(is_later)
    }

    /// Returns whether the server's clock was set after the server last knew the session.
    fn has_stepped_since(&self, made: &Made) -> bool {
        self.stepped.is_some_and(|step| {
            step.seen.monotonic >= made.known.0.monotonic && !step.is_before(made)
        })
    }
}
