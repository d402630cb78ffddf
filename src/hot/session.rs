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

/// How long a session counts as in use after its use was last noted, so that it makes no room for others. A layer that remembers it
/// notes that each `SPAN`.
const IN_USE: Duration = Duration::from_secs(60);

/// A session that the server has made for this process.
pub(crate) struct LiveSession {
    pub(crate) id: KeptId,
    pub(crate) generation: u64,
    pub(crate) partition: Arc<Partition>,
    pub(crate) life: Life,
    pub(crate) in_flight: InFlight,
    /// When the next request may start a renewal or a check, in milliseconds of monotonic time.
    renew_at: AtomicU64,
    /// Until when a renewal that failed holds the next one back. Unlike `renew_at`, it says nothing while one is under way.
    held_until: AtomicU64,
    /// When it was created, by the server's clock, in milliseconds since 1970.
    made_at: u64,
    /// When the server last knew it, by the same clock.
    known_at: AtomicU64,
    /// How many signs of trouble there had been when it was last known to be alive.
    alive_as_of: AtomicU64,
    alive: Lock<Alive>,
    /// Requests that it was given to.
    uses: AtomicU64,
    /// When it was last given to one, in milliseconds of monotonic time.
    used_at: AtomicU64,
    /// It was idle for long, and the server has not been asked about it since.
    was_idle: AtomicBool,
    lost: AtomicBool,
    late: AtomicBool,
    leaked: AtomicBool,
    /// A call that deletes it has gone out, so that one that does not find it any more says nothing.
    delete_sent: AtomicBool,
    /// An answer to a request that bore it was for another chain.
    mismatched: AtomicBool,
    /// Its place in the fleet, if others use it too.
    shared: OnceLock<Box<dyn Shared>>,
}

/// When a session was last known to be alive, and how many requests it had been given to by then.
#[derive(Clone, Copy, Debug)]
struct Alive {
    /// The server knew it when it was asked for.
    asked: (Moment, u64),
    /// Its process was the one of before.
    proven: (Moment, u64),
}

/// What has been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The process that had the session is gone.
    Process,
    /// The session itself, which its process may have dropped or changed long before it was last proved.
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
            shared: OnceLock::new(),
        }
    }

    /// From here on others may use it too.
    pub(crate) fn share(&self, place: impl Shared) {
        let _ = self.shared.set(Box::new(place));
    }

    pub(crate) fn shared(&self) -> Option<&dyn Shared> {
        self.shared.get().map(|place| &**place)
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared.get().is_some()
    }

    /// Whether the fleet has made it after another one.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        let generation = |session: &Self| session.shared().map(Shared::generation);
        generation(self) > generation(other) && !self.in_flight.is_retired()
    }

    /// Whether others may use it, as far as is known.
    pub(crate) fn is_others_too(&self) -> bool {
        self.shared().is_some_and(|place| !place.is_last())
    }

    /// What it is good for.
    pub(crate) fn phase(&self, now: Reading) -> Phase {
        if self.kept_for(now).is_zero() {
            return Phase::Over;
        }
        match self.life.phase(now) {
            // Nobody else in the fleet takes it up: the next request looks for another, and none waits for that.
            Phase::Fresh if self.shared().is_some_and(Shared::was_refused) => Phase::Aging,
            phase => phase,
        }
    }

    /// For how long the same decision about it is right.
    pub(crate) fn unchanged_for(&self, now: Reading) -> Duration {
        self.life.unchanged_for(now).min(self.kept_for(now))
    }

    /// How long it may be used without reaching the store, less what a request may be held up.
    fn kept_for(&self, now: Reading) -> Duration {
        let others = self.shared().filter(|place| !place.is_last());
        others.map_or(Duration::MAX, |place| {
            place.usable_for(now, self.life.hard())
        })
    }

    /// Whether a request may be given this session. Only a [`Lease`](crate::front::lease::Lease) makes certain.
    pub(crate) fn is_usable(&self, now: Reading) -> bool {
        self.phase(now) != Phase::Over && !self.in_flight.is_retired()
    }

    /// Whether the server may have lost it, after so many signs.
    pub(crate) fn is_suspect(&self, signs: u64) -> bool {
        self.alive_as_of.load(Ordering::SeqCst) < signs
    }

    /// The server knew it when asked at `now`, after so many signs.
    /// `uses` are those from before it was asked.
    pub(crate) fn known_alive(&self, signs: u64, now: Reading, uses: u64) {
        advance(&mut self.lock_alive().asked, now, uses);
        self.was_idle.store(false, Ordering::Relaxed);
        self.process_proven(signs, now, uses);
    }

    /// Its process was the one of before when it was sent something at `now`, after so many signs and uses.
    pub(crate) fn process_proven(&self, signs: u64, now: Reading, uses: u64) {
        self.goes_on(signs);
        advance(&mut self.lock_alive().proven, now, uses);
    }

    /// The server knew it at that time, by its own clock, when it was asked at `now`.
    pub(crate) fn known_at(&self, server: Duration, now: Reading) {
        // Two who asked may be answered in any order.
        let alive = self.lock_alive();
        if Reading::from(alive.asked.0).monotonic > now.monotonic {
            return;
        }
        let before = Duration::from_millis(self.known_at.load(Ordering::Relaxed));
        let known = known_at(before, server);
        self.known_at.store(millis(known), Ordering::Relaxed);
    }

    /// So many signs were not about it.
    pub(crate) fn goes_on(&self, signs: u64) {
        self.alive_as_of.fetch_max(signs, Ordering::SeqCst);
    }

    /// What its create said of it.
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

    /// Which of two sessions was made first: by the server's clock, where that says nothing by the one here, and where both were made
    /// at once by their numbers.
    pub(crate) fn age_key(&self) -> (u64, Duration, u64) {
        (self.made_at, self.life.born().monotonic, self.generation)
    }

    pub(crate) fn made_at(&self) -> u64 {
        self.made_at
    }

    /// When the server last knew it.
    pub(crate) fn alive_at(&self) -> Reading {
        self.lock_alive().asked.0.into()
    }

    /// For how long nobody has known that it is alive, and how many requests it was given to since.
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

    /// More requests that it was given to.
    pub(crate) fn add_uses(&self, uses: u64) {
        self.uses.fetch_add(uses, Ordering::Relaxed);
    }

    /// Whether the server may have forgotten it without anybody noticing: it was idle for long, or the clocks have moved
    /// apart, as when the machine slept.
    pub(crate) fn was_out_of_sight(&self, now: Reading) -> bool {
        self.was_idle.load(Ordering::Relaxed) || now.has_jumped_since(self.alive_at())
    }

    /// The same where the next use would be the first for long.
    pub(crate) fn is_out_of_sight(&self, now: Reading) -> bool {
        let used_at = Duration::from_millis(self.used_at.load(Ordering::Relaxed));
        let is_idle = now.monotonic.saturating_sub(used_at) >= self.life.long_idle();
        is_idle || self.was_out_of_sight(now)
    }

    /// The server does not know it any more.
    pub(crate) fn set_lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// A call that deletes it goes out; returns whether that is the first one.
    pub(crate) fn begin_delete(&self) -> bool {
        !self.delete_sent.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_delete_sent(&self) -> bool {
        self.delete_sent.load(Ordering::Acquire)
    }

    /// An answer was for another chain than its own; returns whether that is the first one.
    pub(crate) fn set_mismatched(&self) -> bool {
        !self.mismatched.swap(true, Ordering::Relaxed)
    }

    /// An answer came after its end; returns whether that is the first one.
    pub(crate) fn set_late(&self) -> bool {
        !self.late.swap(true, Ordering::Relaxed)
    }

    /// Its id went elsewhere; returns whether that is the first time.
    pub(crate) fn set_leaked(&self) -> bool {
        !self.leaked.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_leaked(&self) -> bool {
        self.leaked.load(Ordering::Acquire)
    }

    /// How many requests it was given to.
    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Retires the session if nobody uses it, and nobody has just done so.
    pub(crate) fn retire_if_idle(&self, now: Reading) -> bool {
        let used_at = self.used_at.load(Ordering::Relaxed);
        millis(now.monotonic).saturating_sub(used_at) >= millis(IN_USE)
            && self.in_flight.retire_if_idle(now)
    }

    /// Returns whether the caller is the one to start a renewal, which nobody else does before `again_at`.
    pub(crate) fn begin_renewal(&self, now: Duration, again_at: Duration) -> bool {
        let due = self.renew_at.load(Ordering::Acquire);
        due <= millis(now)
            && self
                .renew_at
                .compare_exchange(due, millis(again_at), Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// Lets a request start another renewal from `due` on.
    pub(crate) fn renew_again_at(&self, due: Duration) {
        self.held_until.store(millis(due), Ordering::Relaxed);
        self.renew_at.store(millis(due), Ordering::Release);
    }

    /// A renewal broke off, or did not end: the next one may do likewise, and each may leave a session behind. So there are ever
    /// fewer the more time there is, and the last one is waited for.
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

/// Notes that it was known at `now`, unless that is known of a later moment. Of two that began at once, either may have counted
/// more uses.
fn advance(known: &mut (Moment, u64), now: Reading, uses: u64) {
    if Reading::from(known.0).monotonic <= now.monotonic {
        *known = (now.into(), uses.max(known.1));
    }
}
