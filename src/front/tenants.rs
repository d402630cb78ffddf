//! What whoever serves many tenants does by hand: warm one up, let one try again, look how things are.

use std::{sync::Arc, time::Duration};

use super::{manager::SessionManager, waiting::Wanted};
use crate::{
    api::SessionDefaults,
    clock::Reading,
    driver::{core::Core, stage::Stage, whose::Whose},
    error::Error,
    hot::session::{LiveSession, Session},
    model::partition::{HashedDefaults, KeyId, Partition},
    secret::ApiKey,
};

/// How a manager is, at one moment. See [`SessionManager::health`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// The manager shuts down, or has been shut down.
    pub is_shut_down: bool,
    /// For how long nobody could connect to the server, where that is so as far as is known: it stays until a call is answered, and a
    /// manager that nobody uses makes none. See [`Event::ServerDown`](crate::Event).
    pub server_down_for: Option<Duration>,
    /// Whether a session of the configured API key and defaults may be put on requests now.
    pub has_session: bool,
    /// Why a request with the configured API key and defaults would get no new session now, if that is known. Its
    /// [`next_attempt_in`](Error::next_attempt_in) says when the next try is due. `None` too where no key is configured.
    pub held_back: Option<Error>,
    /// Sessions of all keys that may be put on requests now.
    pub live_sessions: u64,
    /// Sessions that wait to be deleted on the server.
    pub pending_deletes: u64,
}

impl Health {
    /// Returns whether requests with the configured API key and defaults can be sent, as far as is known. A manager that has not been used
    /// yet can.
    ///
    /// In an outage it is true for the moment in which the next request is to find out, every 10 s. Without a configured key it
    /// is false only after a shutdown: a proxy looks at [`server_down_for`](Self::server_down_for).
    ///
    /// Good for a readiness probe. Do not restart a process because of it: an outage of the server's is not mended by that, and each
    /// new process costs session calls.
    pub fn is_ready(&self) -> bool {
        !self.is_shut_down && (self.has_session || self.held_back.is_none())
    }
}

impl SessionManager {
    /// Returns the session of this API key and these defaults, and creates it if need be. Good for warming up a tenant.
    ///
    /// It works as [`session`](Self::session) does for the configured key and defaults. Call it before a tenant's first request, so
    /// that this does not wait.
    ///
    /// # Errors
    ///
    /// Those of [`session`](Self::session), and [`ErrorKind::Config`](crate::ErrorKind::Config) if the key or the defaults cannot be
    /// right.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the create goes on in its own task.
    pub async fn ready(
        &self,
        key: impl Into<ApiKey>,
        defaults: SessionDefaults,
    ) -> Result<Session, Error> {
        let partition = Partition::new(key.into(), &HashedDefaults::new(defaults))?;
        let lease = self.lease_on(Wanted::Session(partition), None).await?;
        let session = lease.session();
        lease.complete();
        Ok(session)
    }

    /// Lets the next request of this API key try at once, though its tries before have failed.
    ///
    /// This is for a customer who has upgraded a tier, paid a bill, or corrected a key: a refused key is tried again after up to
    /// 10 minutes, and a used up quota after 15, if nobody says that things have changed. What holds back all keys stays: the
    /// server's pace, an outage, and the budget of calls. So do the pause after wrong answers, and what other processes of a
    /// fleet have found out. Returns whether anything was held back.
    pub fn clear_holds(&self, key: impl Into<ApiKey>) -> bool {
        let key = KeyId::of(key.into().expose());
        let core = self.core();
        core.gate().clear_holds(key, core.now())
    }

    /// Returns how the manager is. This makes no call and keeps no session alive, so that a probe may ask each second.
    ///
    /// Use it for readiness probes, and not [`session`](Self::session), which creates a session each time that one is due.
    pub fn health(&self) -> Health {
        let (core, now) = (self.core(), self.core().now());
        let partition = self.identity().partition().ok().flatten();
        let stats = self.stats();
        Health {
            is_shut_down: core.stage() != Stage::Open,
            server_down_for: core.outage.lasts(now),
            has_session: partition
                .as_ref()
                .and_then(|wanted| core.peek(wanted))
                .is_some_and(|session| core.is_good(&session, now)),
            held_back: partition.and_then(|wanted| core.held_back(&wanted, now)),
            live_sessions: stats.live_sessions,
            pending_deletes: stats.pending_deletes,
        }
    }
}

impl Core {
    /// Finds the session of a partition. The cache's own look-up would count as a use.
    fn peek(&self, wanted: &Partition) -> Option<Arc<LiveSession>> {
        let mut sessions = self.sessions().into_iter();
        sessions.find(|session| session.partition.id == wanted.id)
    }

    fn held_back(&self, wanted: &Partition, now: Reading) -> Option<Error> {
        let mut gate = self.gate();
        let current = self.peek(wanted);
        let current = current.filter(|session| session.is_usable(now));
        let held = self.may_begin(&mut gate, wanted, current, now).err();
        // Another tenant may have found it out.
        held.map(|error| Whose::of(wanted).name(self, error))
    }
}
