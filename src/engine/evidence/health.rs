//! What `GET /v1/health` says about the process, and what follows for one session.
//!
//! The answer needs no key and counts against nothing. It tells for how long the process has run (`uptime`, whole seconds,
//! rounded down) and what time it is there (`timestamp`), so that `timestamp − uptime` is when it began, up to 1 s late.
//! It answers 503 whenever Solana is out of reach, with the same body: its status says nothing.

use std::time::Duration;

use crate::{
    api::Health,
    clock::Reading,
    model::evidence::{Made, STEP_BACK},
};

/// `uptime` is rounded down to whole seconds.
const ROUNDED: Duration = Duration::from_secs(1);
/// Two answers of one process never disagree by more about when it began.
const SAME_BOOT: Duration = Duration::from_secs(2);
/// More than the way to the server and its rounding explain: a clock has been set.
pub(super) const CLOCK_STEP: Duration = Duration::from_secs(5);
/// No session lives longer, so that no older process matters.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// An older process that has answered after a younger one is taken for one that still serves for so long.
const SERVES: Duration = Duration::from_secs(30 * 60);
/// More processes at once are not kept.
const MOST: usize = 32;

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The process that made it goes on.
    Alive,
    /// The process is another one and has not got it, or takes it for nearly expired.
    Gone,
    /// Only the session itself can tell: it has to be asked for.
    Unclear,
}

/// Judges one session by what a process says of itself. `boots` are all that were seen so far.
pub(super) fn judge(made: &Made, health: &Health, boots: &Boots) -> Fate {
    let restarted = health.boot > made.known_at + ROUNDED;
    if (restarted && !health.keeps_sessions) || expires_early(made, health) {
        return Fate::Gone;
    }
    let is_only = boots.is_only_one_since(made.born);
    // In the same millisecond, either may have come first.
    if health.boot < made.known_at && is_only && !boots.has_stepped_since(made) {
        Fate::Alive
    } else {
        Fate::Unclear
    }
}

/// Whether the server's clock has been set forward, so that the session expires earlier there than it does here.
fn expires_early(made: &Made, health: &Health) -> bool {
    let left_there = (made.at + made.total).saturating_sub(health.timestamp);
    left_there + CLOCK_STEP < made.left
}

/// Whether the server's clock was set. Backward, even a little hides a restart: a session that was made before it seems to be younger
/// than the process.
fn is_step(expected: Duration, latest: Duration, server: Duration) -> bool {
    server > expected + CLOCK_STEP || latest + STEP_BACK < expected
}

/// Which processes were seen, and whether the server's clock was set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Boots {
    seen: Vec<Boot>,
    /// The server's time and the time here, when it was last known.
    clock: Option<(Duration, Reading)>,
    /// The server's time was at least that when it was so late here: what a slow answer says of it.
    at_least: Option<(Duration, Reading)>,
    stepped: Option<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Boot {
    at: Duration,
    first_seen: Reading,
    last_seen: Reading,
}

/// The server's clock was set, and said `server` in the answer that was `seen` first.
#[derive(Clone, Copy, Debug)]
struct Step {
    server: Duration,
    seen: Reading,
}

impl Step {
    /// Whether the server last knew the session by its clock as it is now: the answer to its own create shows the step, or
    /// those to creates that were under way together.
    fn is_before(&self, made: &Made) -> bool {
        let ago = self.seen.monotonic.saturating_sub(made.known.0.monotonic);
        let by_this_clock = self.server.saturating_sub(ago);
        self.server == made.known_at || by_this_clock.abs_diff(made.known_at) < STEP_BACK
    }
}

impl Boots {
    /// Notes an answer that was asked for then and received at `now`; returns whether the process was seen before.
    pub(super) fn note(&mut self, health: &Health, asked: Reading, now: Reading) -> bool {
        self.note_clock(health.timestamp, now.since(asked), now);
        self.seen
            .retain(|boot| now.since(boot.last_seen) <= LONGEST_LIFE);
        let apart = |boot: &&mut Boot| boot.at.abs_diff(health.boot);
        let same = self.seen.iter_mut().filter(|boot| apart(boot) <= SAME_BOOT);
        // After two restarts within seconds it may fit both processes: the older one has not come back.
        if let Some(boot) = same.min_by_key(apart) {
            // More than rounding explains: a process that began within seconds after the first one, and may have been seen by nobody
            // before.
            if apart(&boot) > ROUNDED {
                boot.first_seen = now;
            }
            // The next answer is near this one, also where the first one was of a process that ended within seconds.
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

    /// The server's clock said this when it was `now` here, or at any time in what the answer `took`.
    pub(super) fn note_clock(&mut self, server: Duration, took: Duration, now: Reading) {
        // While this machine slept, its monotonic clock may have stood.
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

    /// An answer that was received at `now` took so long that it says too little of the server's clock, if that is not known.
    pub(super) fn note_at_least(&mut self, server: Duration, now: Reading) {
        if self.clock.is_none() {
            self.at_least = Some((server, now));
        }
    }

    /// What the server's clock says at `now`, as far as that is known.
    pub(super) fn clock(&self, now: Reading) -> Option<Duration> {
        let (then, at) = self.clock?;
        Some(then + now.monotonic.saturating_sub(at.monotonic))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn is_only_one_since(&self, then: Reading) -> bool {
        self.since(then).nth(1).is_none() && !self.serve_side_by_side()
    }

    /// Whether a process has answered again after a younger one: that was no restart, and there are several of them.
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

    /// Whether several processes answered since then.
    pub(super) fn are_several_since(&self, then: Reading) -> bool {
        !self.is_only_one_since(then)
    }

    /// Whether the process that said this of itself was seen since then.
    pub(super) fn has_seen_since(&self, health: &Health, then: Reading) -> bool {
        self.since(then).any(|boot| boot.at == health.boot)
    }

    /// Whether a process was first seen since then.
    pub(super) fn has_new_since(&self, then: Reading) -> bool {
        let is_later = |boot: &Boot| boot.first_seen.monotonic >= then.monotonic;
        self.seen.iter().any(is_later)
    }

    fn has_stepped_since(&self, made: &Made) -> bool {
        self.stepped.is_some_and(|step| {
            step.seen.monotonic >= made.known.0.monotonic && !step.is_before(made)
        })
    }
}
