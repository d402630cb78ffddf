//! The handle.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use http::{HeaderMap, HeaderValue};

use super::{admit::Admission, builder::SessionManagerBuilder, events::Events, lease::Lease};
use crate::{
    api::{SessionDefaults, SessionsApi},
    driver::{by_hand, core::Core, observe::Stats, peers, shutdown},
    error::Error,
    hot::session::{LiveSession, Session},
    model::{
        budget::CallBudget, identity::Identity, partition::HashedDefaults, reason::RetireReason,
        report::ShutdownReport,
    },
    scope::Scope,
    secret::ApiKey,
};

/// Holds the sessions of a process: configured once at start-up, then cloned to wherever requests are made.
///
/// Clones are cheap and share everything. When the last one is gone, together with every layer, service and request in
/// flight, background work ends; the sessions then stay on the server until they expire, unless
/// [`shutdown`](Self::shutdown) was called.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), sipher_session::Error> {
/// use std::time::Duration;
/// use sipher_session::{Chain, SessionDefaults, SessionManager, api::Transport, testing::{FakeSipher, TestClock, Tier}};
///
/// let sipher = FakeSipher::new();
/// let sessions = SessionManager::builder()
///     .api_key(sipher.api_key(Tier::Pro))
///     .defaults(SessionDefaults::new().chain(Chain::Near))
///     .transport(Transport::new(sipher.clone()))
///     .clock(TestClock::new()) // follows tokio's paused time
///     .build()?;
/// assert_eq!(sipher.session_calls(), 0, "nothing happens before it is needed");
///
/// assert_eq!(sessions.session().await?.defaults().chain, Some(Chain::Near));
/// assert_eq!(sipher.live_sessions(), 1);
///
/// let report = sessions.shutdown(Duration::from_secs(5)).await;
/// assert_eq!(report.deleted, 1);
/// assert_eq!(sipher.live_sessions(), 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SessionManager(pub(crate) Arc<Handle>);

/// What lives as long as anybody can make requests. Background tasks hold the core alone.
pub(crate) struct Handle {
    core: Arc<Core>,
    pub(crate) identity: RwLock<Arc<Identity>>,
    /// Held over a change of the identity, so that one is built on the other. Tasks wait for it without a handle.
    pub(crate) changing: Arc<tokio::sync::Mutex<()>>,
}

impl SessionManager {
    /// Starts to configure a manager.
    pub fn builder() -> SessionManagerBuilder {
        SessionManagerBuilder::new()
    }

    pub(super) fn new(
        core: Core,
        key: Option<(ApiKey, HeaderValue)>,
        defaults: HashedDefaults,
    ) -> Self {
        let identity = RwLock::new(Arc::new(Identity::new(key, defaults)));
        let changing = Arc::default();
        let manager = Self(Arc::new(Handle {
            core: Arc::new(core),
            identity,
            changing,
        }));
        if let Some(key) = manager.identity().key_id() {
            manager.core().gate().known_keys.own(Some(key));
        }
        manager.core().fleet.follow(&manager.0, &manager.0.changing);
        peers::join(manager.core());
        manager
    }

    /// Returns the session of the configured API key and defaults, and creates it if need be. Good for warming up.
    ///
    /// Do not use it as a health check: called each minute, it makes about 60 session calls a day for sessions that no request needs.
    /// [`health`](Self::health) makes none. [`ready`](Self::ready) does the same for another API key or other defaults.
    ///
    /// # Errors
    ///
    /// Of the manager itself:
    ///
    /// * [`NoApiKey`](crate::ErrorKind::NoApiKey) if none is configured.
    /// * [`Shutdown`](crate::ErrorKind::Shutdown) once the manager shuts down.
    /// * [`Timeout`](crate::ErrorKind::Timeout) after `max_wait`, or if the create ran out of time.
    /// * [`Budget`](crate::ErrorKind::Budget) if the call budget allows no create within `max_wait`.
    /// * [`NoRuntime`](crate::ErrorKind::NoRuntime) outside of a tokio runtime, or on one without timers, if there is no session yet.
    /// * [`Store`](crate::ErrorKind::Store) in a fleet: the store cannot be reached and `OnStoreDown::Fail` is set, or another
    ///   process holds the claim for longer than this one may wait.
    ///
    /// Of the server, about the create. Everybody who waited for that create gets the same error, and
    /// [`next_attempt_in`](crate::Error::next_attempt_in) says when the next one may begin:
    ///
    /// * [`Unavailable`](crate::ErrorKind::Unavailable) if it cannot be reached or cannot answer for now.
    /// * [`RateLimited`](crate::ErrorKind::RateLimited) and [`Quota`](crate::ErrorKind::Quota) if it wants fewer calls.
    /// * [`Credentials`](crate::ErrorKind::Credentials) if it refuses the API key.
    /// * [`Rejected`](crate::ErrorKind::Rejected) if it refuses the TTL or the defaults.
    /// * [`WrongAddress`](crate::ErrorKind::WrongAddress) if what answers at the base URL is not Sipher.
    /// * [`WrongAnswer`](crate::ErrorKind::WrongAnswer) if the session is not what was asked for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the create goes on in its own task.
    pub async fn session(&self) -> Result<Session, Error> {
        let lease = self.lease_of_manager().await?;
        let session = lease.session();
        lease.complete();
        Ok(session)
    }

    /// Puts the session id into the headers of a request to Sipher, and the API key if there is none.
    ///
    /// This is for clients that cannot be wrapped. The caller sees to it that the request goes to Sipher and nowhere
    /// else, sends it at once, and keeps the lease until the head of the response is there; then
    /// [completes](Lease::complete) it. Headers that bear a session id already are judged by
    /// [`foreign_ids`](SessionManagerBuilder::foreign_ids): one that was put in here before is replaced by the present session's. There
    /// is no lease for headers that keep a session id of their own, nor where
    /// [`OnNoSession::SendWithout`](crate::OnNoSession::SendWithout) lets a request go without a session.
    ///
    /// # Errors
    ///
    /// Those of [`session`](Self::session), for the API key in the headers if there is one, and:
    ///
    /// * [`InvalidRequest`](crate::ErrorKind::InvalidRequest) if the headers bear a session id or an API key that the server would not
    ///   read as it was meant, or a session id that [`foreign_ids`](SessionManagerBuilder::foreign_ids) refuses; also if they are so many
    ///   that there is no room for another.
    ///
    /// With [`OnNoSession::SendWithout`](crate::OnNoSession::SendWithout), only `InvalidRequest`, `NoApiKey` and `Shutdown` remain. Do not send the headers after an
    /// error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: a create goes on in its own task.
    pub async fn apply(&self, headers: &mut HeaderMap) -> Result<Option<Lease>, Error> {
        match self.admit(Scope::Sipher, headers, None, None)? {
            Admission::Send(request) => Ok(Lease::of(request)),
            Admission::Wait(request) => {
                let request = request.for_headers().await?.put_into(headers)?;
                Ok(Lease::of(request))
            }
        }
    }

    /// Ends that the session of this generation is used: requests from here on wait for a successor.
    ///
    /// A newer session stays. A create that had begun is not used either, since whatever spoke against the session may
    /// speak against it. Returns whether there was such a session.
    pub fn invalidate(&self, generation: u64) -> bool {
        let is_meant = |session: &Arc<LiveSession>| session.generation == generation;
        !self
            .core()
            .retire_all(RetireReason::Invalidated, is_meant)
            .is_empty()
    }

    /// Returns the four operations of the sessions API, for the configured API key and on the manager's own transport.
    ///
    /// Calls made with it are not counted in the manager's budget. What it updates or deletes, the manager stops using
    /// first, as it does for a `PATCH` or `DELETE` that you send through the layer, and so do the other managers of this process. Your
    /// requests may bear what it creates or finds, until that is known to be lost, or somebody here deletes it. In a fleet that shares a store, such a
    /// session is the others' as well: they stop using it within moments, but this call does not wait until they have.
    pub fn api(&self) -> SessionsApi {
        let core = self.core();
        let identity = self.identity();
        let key = identity.key().cloned().zip(identity.key_header());
        let weak = Arc::downgrade(core);
        let key_id = identity.key_id();
        let on_change: crate::api::OnChange =
            Box::new(move |id, change| by_hand::told_by_api(&weak.upgrade()?, key_id, id, change));
        SessionsApi::with(
            core.transport.clone(),
            core.settings.base.clone(),
            key,
            Some(on_change),
        )
        .watched(by_hand::watching(core))
        .hiding(self.defaults().default_viewing_key)
    }

    /// Returns the defaults of requests that do not say otherwise: where to start from for a layer or a request that
    /// differs in one of them.
    ///
    /// In a fleet that shares a store these are what the manager was built with until the first request, or call of
    /// [`session`](Self::session), has adopted what other processes changed.
    pub fn defaults(&self) -> SessionDefaults {
        (*self.identity().defaults().defaults).clone()
    }

    /// Returns the base URL, without a slash at the end.
    pub fn base_url(&self) -> String {
        self.core().settings.base.to_string()
    }

    /// Returns the bound on session calls that was configured, as a formula.
    pub fn call_budget(&self) -> CallBudget {
        self.core().settings.budget
    }

    /// Returns what the manager has done so far.
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Listens to what happens to sessions from here on.
    pub fn events(&self) -> Events {
        Events::new(self.core().subscribe())
    }

    /// Ends the manager: no new sessions, and those that there are deleted on the server.
    ///
    /// From the start of it, requests that need a session fail with [`ErrorKind::Shutdown`](crate::ErrorKind::Shutdown),
    /// also those that wait for one. Requests in flight may end, for at most half of `deadline`; a create under way is
    /// awaited, so that its session can be deleted; sessions are deleted side by side, within the call budget, the
    /// longest life first. Whatever is not done by the deadline is left to expire, and the report says so.
    ///
    /// It can be called again, and from several tasks: all get the report of the first.
    ///
    /// # Cancel safety
    ///
    /// A shutdown that was begun goes on in its own task when this is dropped.
    ///
    /// # Without a runtime
    ///
    /// Outside of a tokio runtime, and on one without timers, nothing can be deleted: the sessions are left to expire, and the
    /// report says so.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        // Without a report its runtime is gone: once more, on this one.
        for _ in 0..2 {
            let report = self.core().shut_down(deadline);
            if let Some(report) = report.wait().await {
                return report.clone();
            }
        }
        shutdown::give_up(self.core())
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }

    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.0
            .identity
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core().fmt(f)
    }
}

impl Drop for Handle {
    /// The last handle is gone: every task ends at its next poll.
    fn drop(&mut self) {
        self.core.abandon();
    }
}
