//! One session, as the manager keeps it and as users see it.

mod view;

use std::{
    fmt,
    sync::{
        Arc, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

pub use self::view::Session;
use super::{shared::Shared, use_count::InFlight};
use crate::{
    api::{KeptId, SessionId},
    clock::{Moment, Reading, millis},
    lock::Lock,
    model::{
        evidence::{Made, known_at},
        life::{Life, Phase},
        partition::Partition,
        session_ref::SessionRef,
    },
};

/// How long a session counts as in use after its last noted use. While it is in use, it is not evicted to make room. A
/// layer that has a memo of the session notes a use once in each `SPAN`.
const IN_USE: Duration = Duration::from_secs(60);

/// A session of this process: created here, or adopted from another process of the fleet.
pub(crate) struct LiveSession {
    pub(crate) id: KeptId,
    pub(crate) generation: u64,
    pub(crate) partition: Arc<Partition>,
    pub(crate) life: Life,
    pub(crate) in_flight: InFlight,
    /// When the next request may start a renewal or a check, in milliseconds of monotonic time.
    renew_at: AtomicU64,
    /// Until when a failed renewal delays the next one, in milliseconds of monotonic time. A renewal that begins
    /// changes `renew_at`, but not this.
    held_until: AtomicU64,
    /// When the session was created, by the server's clock, in milliseconds since 1970.
    made_at: u64,
    /// When the server last knew the session, by the server's clock.
    known_at: AtomicU64,
    /// How many signs of trouble there had been when the session was last known to be alive.
    alive_as_of: AtomicU64,
    alive: Lock<Alive>,
    /// How many requests got this session.
    uses: AtomicU64,
    /// When a request last got this session, in milliseconds of monotonic time.
    used_at: AtomicU64,
    /// Whether the session was idle for long and the server has not been asked about it since.
    was_idle: AtomicBool,
    lost: AtomicBool,
    late: AtomicBool,
    leaked: AtomicBool,
    /// Whether a call that deletes the session was sent. If so, a later call that does not find the session is no sign
    /// that the server has lost its sessions.
    delete_sent: AtomicBool,
    /// Whether an answer to a request with this session was for another chain.
    mismatched: AtomicBool,
    /// Whether the fleet has a newer session that has to be asked for first.
    superseded: AtomicBool,
    /// The session's place in the fleet, if other processes use it too.
    shared: OnceLock<Box<dyn Shared>>,
}

/// When a session was last known to be alive, and how many requests had got it by then.
#[derive(Clone, Copy, Debug)]
struct Alive {
    /// When the server was asked for the session and knew it.
    asked: (Moment, u64),
    /// When the server's process was proved to be the same as before.
    proven: (Moment, u64),
}

/// What the server has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The server's process that had the session has ended.
    Process,
    /// Only the session: the server's process goes on, but has dropped or changed it. That may have happened long
    /// before the process was last proved.
    Session,
}

impl LiveSession {
    pub(crate) fn new(
        id: &SessionId,
        generation: u64,
        partition: Arc<Partition>,
        life: Life,
        (made_at, known_at, signs): (u64, Reading, u64),
    ) -> Self {
        Self {
            id: id.into(),
            generation,
            partition,
            life,
            in_flight: InFlight::default(),
            renew_at: AtomicU64::new(0),
            held_until: AtomicU64::new(0),
            made_at,
            known_at: AtomicU64::new(made_at),
            alive_as_of: AtomicU64::new(signs),
            alive: Lock::new(Alive {
                asked: (life.born().into(), 0),
                proven: (life.born().into(), 0),
            }),
            uses: AtomicU64::new(0),
            used_at: AtomicU64::new(millis(known_at.monotonic)),
            was_idle: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            late: AtomicBool::new(false),
            leaked: AtomicBool::new(false),
            delete_sent: AtomicBool::new(false),
            mismatched: AtomicBool::new(false),
            superseded: AtomicBool::new(false),
            shared: OnceLock::new(),
        }
    }

    /// Marks the session as shared: from here on, other processes may use it too.
    pub(crate) fn share(&self, place: impl Shared) {
        let _ = self.shared.set(Box::new(place));
    }

    pub(crate) fn shared(&self) -> Option<&dyn Shared> {
        self.shared.get().map(|place| &**place)
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared.get().is_some()
    }

    /// Returns whether the fleet created this session after the other one.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        let generation = |session: &Self| session.shared().map(Shared::generation);
        generation(self) > generation(other) && !self.in_flight.is_retired()
    }

    /// Returns whether other processes may use the session, as far as this process knows.
    pub(crate) fn is_others_too(&self) -> bool {
        self.shared().is_some_and(|place| !place.is_last())
    }

    /// Returns the phase of the session's life at `now`.
    pub(crate) fn phase(&self, now: Reading) -> Phase {
        if self.kept_for(now).is_zero() {
            return Phase::Over;
        }
        match self.life.phase(now) {
            // The fleet's store refused to publish this session, so no further process adopts it. The next request
            // looks for another session in the background, and no request waits for that.
            Phase::Fresh if self.superseded.load(Ordering::Relaxed) => Phase::Aging,
            Phase::Fresh if self.shared().is_some_and(Shared::was_refused) => Phase::Aging,
            phase => phase,
        }
    }

    /// Returns for how long a decision about this session stays right.
    pub(crate) fn unchanged_for(&self, now: Reading) -> Duration {
        self.life.unchanged_for(now).min(self.kept_for(now))
    }

    /// Returns how long this process may use the session if it cannot reach the store, less the time that a request may
    /// be held up. There is no limit if no other process uses the session.
    fn kept_for(&self, now: Reading) -> Duration {
        let others = self.shared().filter(|place| !place.is_last());
        others.map_or(Duration::MAX, |place| {
            place.usable_for(now, self.life.hard())
        })
    }

    /// Returns whether a request may get this session. Only a [`Lease`](crate::front::lease::Lease) makes sure that
    /// this stays so.
    pub(crate) fn is_usable(&self, now: Reading) -> bool {
        self.phase(now) != Phase::Over && !self.in_flight.is_retired()
    }

    /// Returns whether the server may have lost the session: a sign came after the session was last known to be alive.
    /// `signs` is the number of signs so far.
    pub(crate) fn is_suspect(&self, signs: u64) -> bool {
        self.alive_as_of.load(Ordering::SeqCst) < signs
    }

    /// Records that the server knew the session when it was asked at `now`. `signs` counts the signs, and `uses` the
    /// requests with the session that had ended, both as they were before the server was asked.
    pub(crate) fn known_alive(&self, signs: u64, now: Reading, uses: u64) {
        advance(&mut self.lock_alive().asked, now, uses);
        self.was_idle.store(false, Ordering::Relaxed);
        self.process_proven(signs, now, uses);
    }

    /// Records that the server's process was still the same when it was sent a request at `now`. `signs` counts the
    /// signs, and `uses` the requests with the session that had ended, both as they were before that.
    pub(crate) fn process_proven(&self, signs: u64, now: Reading, uses: u64) {
        self.goes_on(signs);
        advance(&mut self.lock_alive().proven, now, uses);
    }

    /// Records that the server knew the session at the time `server`, by the server's clock. The server was asked at
    /// `now`.
    pub(crate) fn known_at(&self, server: Duration, now: Reading) {
        // Two checks may be answered in any order: ignore the older one.
        let alive = self.lock_alive();
        if Reading::from(alive.asked.0).monotonic > now.monotonic {
            return;
        }
        let before = Duration::from_millis(self.known_at.load(Ordering::Relaxed));
        let known = known_at(before, server);
        self.known_at.store(millis(known), Ordering::Relaxed);
    }

    /// Records that the first `signs` signs did not mean that this session was lost.
    pub(crate) fn goes_on(&self, signs: u64) {
        self.alive_as_of.fetch_max(signs, Ordering::SeqCst);
    }

    /// Returns what is known of the session's creation, and of the last time that the server knew it.
    pub(crate) fn made(&self, now: Reading) -> Made {
        Made {
            at: Duration::from_millis(self.made_at),
            known_at: Duration::from_millis(self.known_at.load(Ordering::Relaxed)),
            total: self.life.total(),
            born: self.life.born(),
            left: self.life.left(now),
            known: (self.alive_at(), now.since(self.alive_at())),
        }
    }

    /// Returns a key that sorts sessions by when they were created. The server's clock decides. If its times are
    /// equal, the local clock decides, and then the generation.
    pub(crate) fn age_key(&self) -> (u64, Duration, u64) {
        (self.made_at, self.life.born().monotonic, self.generation)
    }

    pub(crate) fn made_at(&self) -> u64 {
        self.made_at
    }

    /// Returns when the server was last asked for the session and knew it.
    pub(crate) fn alive_at(&self) -> Reading {
        self.lock_alive().asked.0.into()
    }

    /// Returns how long ago the session was last known to be alive, and how many requests got it since.
    pub(crate) fn unknown(&self, loss: Loss, now: Reading) -> (Duration, u64) {
        let alive = *self.lock_alive();
        let (at, uses) = match loss {
            Loss::Process => alive.proven,
            Loss::Session => alive.asked,
        };
        (now.since(at.into()), self.uses().saturating_sub(uses))
    }

    fn lock_alive(&self) -> MutexGuard<'_, Alive> {
        self.alive.lock()
    }

    pub(crate) fn used(&self, now: Reading) {
        self.uses.fetch_add(1, Ordering::Relaxed);
        let now = millis(now.monotonic);
        let before = self.used_at.swap(now, Ordering::Relaxed);
        if now.saturating_sub(before) >= millis(self.life.long_idle()) {
            self.was_idle.store(true, Ordering::Relaxed);
        }
    }

    /// Adds to the number of requests that got the session.
    pub(crate) fn add_uses(&self, uses: u64) {
        self.uses.fetch_add(uses, Ordering::Relaxed);
    }

    /// Returns whether the server may have forgotten the session unnoticed. That is so if the session was idle for
    /// long, or if the clocks have moved apart, as when the machine slept.
    pub(crate) fn was_out_of_sight(&self, now: Reading) -> bool {
        self.was_idle.load(Ordering::Relaxed) || now.has_jumped_since(self.alive_at())
    }

    /// Returns whether the server may have forgotten the session unnoticed, for a session that is about to be used.
    /// The idle time that this use ends counts, too.
    pub(crate) fn is_out_of_sight(&self, now: Reading) -> bool {
        let used_at = Duration::from_millis(self.used_at.load(Ordering::Relaxed));
        let is_idle = now.monotonic.saturating_sub(used_at) >= self.life.long_idle();
        is_idle || self.was_out_of_sight(now)
    }

    /// Notes whether a renewal is due because the fleet has a newer session that has to be asked for.
    pub(crate) fn set_superseded(&self, is_so: bool) {
        self.superseded.store(is_so, Ordering::Relaxed);
    }

    /// Records that the server does not know the session any more.
    pub(crate) fn set_lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Records that a call that deletes the session is about to be sent. Returns whether it is the first one.
    pub(crate) fn begin_delete(&self) -> bool {
        !self.delete_sent.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_delete_sent(&self) -> bool {
        self.delete_sent.load(Ordering::Acquire)
    }

    /// Records that an answer was for another chain than the session's. Returns whether it is the first one.
    pub(crate) fn set_mismatched(&self) -> bool {
        !self.mismatched.swap(true, Ordering::Relaxed)
    }

    /// Records an answer after the session's end. Returns whether it is the first one.
    pub(crate) fn set_late(&self) -> bool {
        !self.late.swap(true, Ordering::Relaxed)
    }

    /// Records that the id was sent to another origin. Returns whether it is the first time.
    pub(crate) fn set_leaked(&self) -> bool {
        !self.leaked.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_leaked(&self) -> bool {
        self.leaked.load(Ordering::Acquire)
    }

    /// Returns how many requests got the session.
    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Returns how many requests got the session and have ended. Another process may still answer those in flight.
    pub(crate) fn uses_over(&self) -> u64 {
        self.uses().saturating_sub(self.in_flight.count() as u64)
    }

    /// Retires the session if no request uses it, or has used it within `IN_USE`.
    pub(crate) fn retire_if_idle(&self, now: Reading) -> bool {
        let used_at = self.used_at.load(Ordering::Relaxed);
        millis(now.monotonic).saturating_sub(used_at) >= millis(IN_USE)
            && self.in_flight.retire_if_idle(now)
    }

    /// Starts a renewal if it is due. Returns `true` to one caller only; other callers get `false` until `again_at`.
    pub(crate) fn begin_renewal(&self, now: Duration, again_at: Duration) -> bool {
        let due = self.renew_at.load(Ordering::Acquire);
        due <= millis(now)
            && self
                .renew_at
                .compare_exchange(due, millis(again_at), Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// Allows the next renewal to start at `due`.
    pub(crate) fn renew_again_at(&self, due: Duration) {
        self.held_until.store(millis(due), Ordering::Relaxed);
        self.renew_at.store(millis(due), Ordering::Release);
    }

    /// Delays the next renewal by half of the usable time that is left, after a renewal broke off or did not end. The
    /// next one may end the same way, and each may leave a session behind on the server. Halving the time keeps their
    /// number small. When no usable time is left, requests wait for the new session.
    pub(crate) fn renew_later(&self, now: Reading) {
        let pause = self.life.usable_for(now) / 2;
        self.renew_again_at(now.monotonic.saturating_add(pause));
    }

    pub(crate) fn reference(&self) -> SessionRef {
        SessionRef {
            fingerprint: self.id.fingerprint(),
            generation: self.generation,
            api_key: self.partition.key.fingerprint(),
        }
    }
}

impl fmt::Debug for LiveSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("generation", &self.generation)
            .field("defaults", &self.partition.defaults)
            .field("in_flight", &self.in_flight.count())
            .finish_non_exhaustive()
    }
}

/// Notes that the session was known at `now`. Of two checks that began at once, the larger number of uses counts.
fn advance(known: &mut (Moment, u64), now: Reading, uses: u64) {
    if Reading::from(known.0).monotonic <= now.monotonic {
        *known = (now.into(), uses.max(known.1));
    }
}
