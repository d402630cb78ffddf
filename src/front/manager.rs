//! The handle that users hold.

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

/// Holds the sessions of a process. Configure one at start-up, and clone it to every place that makes requests.
///
/// Clones are cheap and share everything. Background work ends when the last clone is dropped, together with every
/// layer, service and request in flight. The sessions then stay on the server until they expire. To delete them, call
/// [`shutdown`](Self::shutdown) first.
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

/// What all clones of a manager share. It lives as long as any clone, layer, service or request in flight does.
/// Background tasks hold only the core, so they do not keep it alive.
pub(crate) struct Handle {
    core: Arc<Core>,
    pub(crate) identity: RwLock<Arc<Identity>>,
    /// Held while the key or the defaults are changed, so that two changes are made one after the other and none is
    /// lost. It has an `Arc` of its own, so that a task that waits for it does not keep the handle alive.
    pub(crate) changing: Arc<tokio::sync::Mutex<()>>,
}

impl SessionManager {
    /// Creates a builder, which configures a manager.
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

    /// Returns the session of the configured API key and defaults. Creates the session if there is none.
    ///
    /// Call it at start-up, so that the first request need not wait. [`ready`](Self::ready) does the same for another
    /// API key or other defaults.
    ///
    /// Do not use it as a health check: called each minute, it makes about 60 session calls a day for sessions that no
    /// request needs. Use [`health`](Self::health), which makes no call.
    ///
    /// # Errors
    ///
    /// From the manager itself:
    ///
    /// * [`NoApiKey`](crate::ErrorKind::NoApiKey) if none is configured.
    /// * [`Shutdown`](crate::ErrorKind::Shutdown) once the manager shuts down.
    /// * [`Timeout`](crate::ErrorKind::Timeout) after `max_wait`, or if the create ran out of time.
    /// * [`Budget`](crate::ErrorKind::Budget) if the call budget allows no create within `max_wait`.
    /// * [`NoRuntime`](crate::ErrorKind::NoRuntime) outside of a tokio runtime, or on one without timers, if there is
    ///   no session yet.
    /// * [`Store`](crate::ErrorKind::Store) in a fleet, in two cases: the store cannot be reached and
    ///   `OnStoreDown::Fail` is set; or another process claims the create for longer than this call may wait.
    ///
    /// From the server's answer to the create. All callers that waited for the create get the same error, and
    /// [`next_attempt_in`](crate::Error::next_attempt_in) says when the next create may begin:
    ///
    /// * [`Unavailable`](crate::ErrorKind::Unavailable) if the server cannot be reached or cannot answer at the moment.
    /// * [`RateLimited`](crate::ErrorKind::RateLimited) and [`Quota`](crate::ErrorKind::Quota) if it asks for fewer
    ///   calls.
    /// * [`Credentials`](crate::ErrorKind::Credentials) if it refuses the API key.
    /// * [`Rejected`](crate::ErrorKind::Rejected) if it refuses the TTL or the defaults.
    /// * [`WrongAddress`](crate::ErrorKind::WrongAddress) if the server at the base URL is not Sipher.
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

    /// Puts the session id into the headers of a request to Sipher. Also puts the API key in, if the headers carry
    /// none.
    ///
    /// Use it for a client that cannot be wrapped. The caller has to:
    ///
    /// 1. send the request at once, to Sipher and to no other server,
    /// 2. keep the lease until the head of the response has arrived,
    /// 3. then [complete](Lease::complete) the lease.
    ///
    /// If the headers already carry a session id, [`foreign_ids`](SessionManagerBuilder::foreign_ids) decides. An id
    /// that this manager put in earlier is replaced by the id of the present session.
    ///
    /// Returns `None` instead of a lease if the headers keep a session id of their own. Also returns `None` if there is
    /// no session and [`OnNoSession::SendWithout`](crate::OnNoSession::SendWithout) allows the request to go without
    /// one.
    ///
    /// # Errors
    ///
    /// The errors of [`session`](Self::session), for the API key in the headers if they carry one, and:
    ///
    /// * [`InvalidRequest`](crate::ErrorKind::InvalidRequest) in three cases: the server would misread a session id or
    ///   an API key in the headers; [`foreign_ids`](SessionManagerBuilder::foreign_ids) refuses the session id; or
    ///   there are too many headers to add another.
    ///
    /// With [`OnNoSession::SendWithout`](crate::OnNoSession::SendWithout), only `InvalidRequest`, `NoApiKey` and
    /// `Shutdown` remain. Do not send the headers after an error.
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

    /// Stops using the session of this generation. Requests that start later wait for a successor.
    ///
    /// A newer session is still used. If a create is under way, its session is not used either, because it may have the
    /// same fault. Returns `true` if this manager was using the session.
    pub fn invalidate(&self, generation: u64) -> bool {
        let is_meant = |session: &Arc<LiveSession>| session.generation == generation;
        !self
            .core()
            .retire_all(RetireReason::Invalidated, is_meant)
            .is_empty()
    }

    /// Returns the four operations of the sessions API, for the configured API key. They use the manager's own
    /// transport.
    ///
    /// Their calls do not count against the manager's budget.
    ///
    /// If you update or delete a session with them, the manager first stops using that session. The other managers of
    /// this process stop too. The same holds for a `PATCH` or `DELETE` that you send through the layer. In a fleet, the
    /// session is shared: the other processes stop using it within moments, but the call does not wait for them.
    ///
    /// Your own requests may carry the id of a session that you create or get in this way. They may do so until the
    /// session is known to be lost, or this process deletes it.
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

    /// Returns the defaults for requests that set none of their own. For a layer or a request that differs in one
    /// default, start from these.
    ///
    /// In a fleet, other processes may have changed the group's defaults. This manager returns the defaults that it was
    /// built with until its first request, or its first call of [`session`](Self::session), has adopted the changes.
    pub fn defaults(&self) -> SessionDefaults {
        (*self.identity().defaults().defaults).clone()
    }

    /// Returns the base URL, without a slash at the end.
    pub fn base_url(&self) -> String {
        self.core().settings.base.to_string()
    }

    /// Returns the configured call budget, which says how many session calls the manager may make in a span of time.
    pub fn call_budget(&self) -> CallBudget {
        self.core().settings.budget
    }

    /// Returns counters of what the manager has done so far.
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Subscribes to the events of this manager, from now on.
    pub fn events(&self) -> Events {
        Events::new(self.core().subscribe())
    }

    /// Shuts the manager down: deletes its sessions on the server, and creates no new ones.
    ///
    /// 1. At once, requests that need a session fail with [`ErrorKind::Shutdown`](crate::ErrorKind::Shutdown), also
    ///    those that wait for one.
    /// 2. Requests in flight may end, for at most half of `deadline`. A create under way is awaited, so that its
    ///    session can be deleted.
    /// 3. The sessions are deleted side by side, within the call budget, those with the longest life first.
    /// 4. At the deadline, the remaining sessions are left to expire, and the report says so.
    ///
    /// It can be called again, and from several tasks: all calls return the report of the first.
    ///
    /// # Cancel safety
    ///
    /// Once begun, a shutdown goes on in its own task when this future is dropped.
    ///
    /// # Without a runtime
    ///
    /// Outside of a tokio runtime, and on one without timers, nothing can be deleted. The sessions are left to expire,
    /// and the report says so.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        // `wait` returns no report if the runtime of the shutdown has ended. Then run it once more, on this runtime.
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
    /// Called when the last handle is dropped: every task ends at its next poll.
    fn drop(&mut self) {
        self.core.abandon();
    }
}
