//! One session, as users see it.

use std::{fmt, sync::Arc, time::Duration};

use super::LiveSession;
use crate::{
    api::{SessionDefaults, SessionId},
    clock::Clock,
};

/// A session, to look at.
///
/// Holding one keeps nothing alive: an id that was taken out of it by hand may be dead a moment later, and the server
/// would ignore it without a word. Let the layer put it on requests, or [`apply`](crate::SessionManager::apply).
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

    /// Returns the defaults that the server stores for it.
    pub fn defaults(&self) -> &SessionDefaults {
        &self.live.partition.defaults
    }

    /// Returns which of the manager's sessions it is; they count up.
    pub fn generation(&self) -> u64 {
        self.live.generation
    }

    /// Returns how long its id may still be sent, as of now.
    pub fn usable_for(&self) -> Duration {
        if self.live.in_flight.is_retired() {
            return Duration::ZERO;
        }
        self.live.life.usable_for(self.clock.now())
    }

    /// Returns how long until a request would start its renewal, as of now.
    pub fn renewal_in(&self) -> Duration {
        self.live.life.renewal_in(self.clock.now())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.live.fmt(f)
    }
}
