//! Operations for programs that serve many tenants: create a tenant's session early, let a tenant try again, read the
//! manager's health.

use std::{sync::Arc, time::Duration};

use super::{manager::SessionManager, waiting::Wanted};
use crate::{
    api::SessionDefaults,
    clock::Reading,
    driver::{core::Core, stage::Stage, whose::Whose},
    error::Error,
    hot::session::{LiveSession, Session},
    model::{
        budget::Purpose,
        inlining::InlineDefaults,
        partition::{HashedDefaults, KeyId, Partition},
    },
    secret::ApiKey,
};

/// The state of a manager at one moment. See [`SessionManager::health`].
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // facts that do not depend on each other
#[non_exhaustive]
pub struct Health {
    /// Whether the manager is shutting down or has been shut down.
    pub is_shut_down: bool,
    /// For how long nobody has been able to connect to the server. `None` if no outage is known. The value stays until
    /// a call is answered, and an idle manager makes no calls. See [`Event::ServerDown`](crate::Event).
    pub server_down_for: Option<Duration>,
    /// Whether there is a session of the configured API key and defaults that may be put on requests now.
    pub has_session: bool,
    /// Why a request with the configured API key and defaults would get no new session now, if that is known. Its
    /// [`next_attempt_in`](Error::next_attempt_in) says when the next try is due. Always `None` if no key is
    /// configured.
    pub held_back: Option<Error>,
    /// Whether nobody can connect to the server, and no session of any key may be put on requests. `false` for a moment
    /// every 10 s, when the next request has to try whether the server is back.
    pub is_cut_off: bool,
    /// Whether a request with its defaults in its body is sent without a session, by
    /// [`InlineDefaults`](crate::InlineDefaults).
    pub needs_no_session: bool,
    /// How many sessions, of all keys, may be put on requests now.
    pub live_sessions: u64,
    /// How many sessions wait to be deleted on the server.
    pub pending_deletes: u64,
}

impl Health {
    /// Returns whether requests with the configured API key and defaults can be sent, as far as is known. Returns
    /// `true` for a manager that has not been used yet.
    ///
    /// Use it for a readiness probe. In an outage it returns `true` for a moment every 10 s, when the next request has
    /// to try whether the server is back. This also holds without a configured key, and if only layers set the
    /// defaults. With inline defaults, it returns `false` only in an outage and after a shutdown. A manager
    /// [`without_sessions`](crate::SessionManagerBuilder::without_sessions) makes no call, so it knows of no outage.
    ///
    /// Do not restart a process because this returns `false`. A restart does not end an outage of the server, and each
    /// new process costs session calls.
    pub fn is_ready(&self) -> bool {
        let may_send = self.held_back.is_none() || self.needs_no_session;
        !self.is_shut_down && (self.has_session || may_send && !self.is_cut_off)
    }
}

impl SessionManager {
    /// Returns the session of this API key and these defaults. Creates the session if there is none.
    ///
    /// Call it before a tenant's first request, so that the request need not wait. [`session`](Self::session) does the
    /// same for the configured key and defaults.
    ///
    /// # Errors
    ///
    /// The errors of [`session`](Self::session), and [`ErrorKind::Config`](crate::ErrorKind::Config) if the key or a
    /// default is malformed.
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

    /// Lets the next request with this API key try at once, although earlier tries have failed. Returns whether a pause
    /// after a failure was cut short.
    ///
    /// Call it when a customer has upgraded the tier, paid a bill or corrected a key. Otherwise a refused key is tried
    /// again after up to 10 minutes, and a used-up quota after 15 minutes.
    ///
    /// Some pauses stay: those that concern all keys (a server that wants fewer calls, an outage, the call budget), the
    /// pause after wrong answers, and what other processes of a fleet have found out.
    pub fn clear_holds(&self, key: impl Into<ApiKey>) -> bool {
        let key = KeyId::of(key.into().expose());
        let core = self.core();
        core.gate().clear_holds(key, core.now())
    }

    /// Returns the state of the manager. Makes no call and keeps no session alive, so a probe may call it every second.
    ///
    /// Use it for readiness probes. Do not use [`session`](Self::session) for that: it creates a session whenever one
    /// is due.
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
            is_cut_off: core.is_cut_off(now),
            needs_no_session: core.settings.inline.defaults != InlineDefaults::Off,
            live_sessions: stats.live_sessions,
            pending_deletes: stats.pending_deletes,
        }
    }
}

impl Core {
    /// Finds the session of a partition without counting a use. The cache's own look-up would count one.
    fn peek(&self, wanted: &Partition) -> Option<Arc<LiveSession>> {
        let mut sessions = self.sessions().into_iter();
        sessions.find(|session| session.partition.id == wanted.id)
    }

    /// An outage that only session calls see ends with the next answer to a request.
    fn is_cut_off(&self, now: Reading) -> bool {
        let may_call = || self.gate().check_reach(Purpose::Create, None, now).is_ok();
        let may_try = || may_call() && self.inquiry.is_due(now);
        let mut sessions = self.sessions().into_iter();
        self.outage.is_on() && !may_try() && !sessions.any(|it| self.is_good(&it, now))
    }

    fn held_back(&self, wanted: &Partition, now: Reading) -> Option<Error> {
        let mut gate = self.gate();
        let current = self.peek(wanted);
        let current = current.filter(|session| session.is_usable(now));
        let held = self.may_begin(&mut gate, wanted, current, now).err();
        // The failure may come from another tenant's request, so name this tenant in the error.
        held.map(|error| Whose::of(wanted).name(self, error))
    }
}
