//! The public view of one session.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{LiveSession, Phase};
use crate::{
    api::{SessionDefaults, SessionId},
    clock::{Clock, Reading},
};

/// A read-only view of one session.
///
/// Holding a `Session` does not keep it alive on the server. An id that you copy from it may be dead a moment later,
/// and the server would ignore that id silently. Let the layer put the id on requests, or use
/// [`apply`](crate::SessionManager::apply).
#[derive(Clone)]
pub struct Session {
    live: Arc<LiveSession>,
    id: SessionId,
    clock: Arc<dyn Clock>,
}

impl Session {
    pub(crate) fn new(live: Arc<LiveSession>, clock: Arc<dyn Clock>) -> Self {
        let id = live.id.to_id();
        Self { live, id, clock }
    }

    /// Returns the id.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Returns the defaults that the server stores for the session.
    pub fn defaults(&self) -> &SessionDefaults {
        &self.live.partition.defaults
    }

    /// Returns the session's generation. Generations count up over the sessions of one manager.
    pub fn generation(&self) -> u64 {
        self.live.generation
    }

    /// Returns how long the id may still be sent, as of now. Zero once the session is not used any more.
    ///
    /// In a fleet that shares a store, this is at most the time for which the session may be used without reaching
    /// the store. It grows again with each heartbeat that reaches the store.
    pub fn usable_for(&self) -> Duration {
        self.live.usable_for(self.clock.now())
    }

    /// Returns how long until a request would start the renewal, as of now. Zero if the next request would start it, or
    /// would wait for another session.
    ///
    /// After a failed renewal, returns the time until the next one may begin.
    pub fn renewal_in(&self) -> Duration {
        self.live.renewal_in(self.clock.now())
    }
}

impl LiveSession {
    fn usable_for(&self, now: Reading) -> Duration {
        if self.in_flight.is_retired() {
            return Duration::ZERO;
        }
        self.life.usable_for(now).min(self.kept_for(now))
    }

    fn renewal_in(&self, now: Reading) -> Duration {
        let aging_in = match self.phase(now) {
            Phase::Fresh => self.life.renewal_in(now),
            Phase::Aging | Phase::Over => Duration::ZERO,
        };
        let held_until = Duration::from_millis(self.held_until.load(Ordering::Relaxed));
        let held_for = held_until.saturating_sub(now.monotonic);
        // Once the session is not usable any more, a request waits for another session.
        match self.usable_for(now) {
            Duration::ZERO => Duration::ZERO,
            _ => aging_in.max(held_for).min(self.life.usable_for(now)),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.live.fmt(f)
    }
}
