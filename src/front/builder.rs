//! The builder: the settings of a manager, checked once.

mod addresses;
pub(crate) mod defaults;
mod inlining;
#[cfg(feature = "store")]
mod sharing;
mod trust;

use std::{fmt, sync::Arc, time::Duration};

use self::defaults::{
    CREATE_TIMEOUT, LEAST_MEMBER_LEASE, LINGER, MAX_SESSIONS, MAX_WAIT, MEMBER_LEASE, TTL,
    VERIFY_AFTER, VERIFY_AFTER_RANGE,
};
use super::manager::SessionManager;
use crate::{
    api::{self, SessionDefaults, Transport},
    clock::{SystemClock, Ticking},
    driver::{
        core::Core,
        fleet::{Derive, Sharing},
    },
    error::Error,
    model::{
        budget::CallBudget,
        outside::Outside,
        partition::HashedDefaults,
        settings::{ForeignIds, Inline, OnNoSession, OnStoreDown, Settings},
    },
    random::Random,
    scope::{BaseUrl, PlainHttp},
    secret::ApiKey,
    store::SessionStore,
};

/// Builds a [`SessionManager`].
///
/// # Default
///
/// No API key, the production server and no defaults. A TTL of one hour, a `create_timeout` of 20 s, a `max_wait` of 30
/// s and a `linger` of 10 s. At most 1,000 sessions, and 60 session calls a minute with bursts of 60. These numbers may
/// change in a minor release.
///
/// ```
/// use std::time::Duration;
/// use sipher_session::{Chain, SessionDefaults, SessionManager};
///
/// let sessions = SessionManager::builder()
///     .api_key("sk_pro_1234")
///     .defaults(SessionDefaults::new().chain(Chain::Near))
///     .ttl(Duration::from_secs(3600))
///     .build()?;
/// # let _ = sessions;
/// # Ok::<(), sipher_session::Error>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct SessionManagerBuilder {
    api_key: Option<ApiKey>,
    base_url: Option<String>,
    aliases: Vec<String>,
    plain_http: PlainHttp,
    defaults: SessionDefaults,
    ttl: Duration,
    create_timeout: Duration,
    max_wait: Duration,
    linger: Duration,
    verify_after: Duration,
    verify_every: Option<Duration>,
    on_no_session: OnNoSession,
    foreign_ids: ForeignIds,
    on_outside: Outside,
    inline: Inline,
    max_sessions: u64,
    call_budget: (u32, u32),
    upkeep_per_day: u32,
    transport: Option<Transport>,
    clock: Arc<dyn Ticking>,
    random: Random,
    store: Option<(Arc<dyn SessionStore>, Derive)>,
    on_store_down: OnStoreDown,
    member_lease: Duration,
    verify_adopted: bool,
}

impl SessionManagerBuilder {
    pub(crate) fn new() -> Self {
        let CallBudget {
            per_minute,
            burst,
            upkeep_per_day,
        } = CallBudget::default();
        Self {
            api_key: None,
            base_url: None,
            aliases: Vec::new(),
            plain_http: PlainHttp::default(),
            defaults: SessionDefaults::new(),
            ttl: TTL,
            create_timeout: CREATE_TIMEOUT,
            max_wait: MAX_WAIT,
            linger: LINGER,
            verify_after: VERIFY_AFTER,
            verify_every: None,
            on_no_session: OnNoSession::default(),
            foreign_ids: ForeignIds::default(),
            on_outside: Outside::default(),
            inline: Inline::default(),
            max_sessions: MAX_SESSIONS,
            call_budget: (per_minute, burst),
            upkeep_per_day,
            transport: None,
            clock: Arc::new(SystemClock::new()),
            random: Random::System,
            store: None,
            on_store_down: OnStoreDown::default(),
            member_lease: MEMBER_LEASE,
            verify_adopted: false,
        }
    }

    /// Sets the API key for requests that carry none.
    ///
    /// Defaults to none: then every request has to carry its own key. Set it unless all requests carry one.
    pub fn api_key(mut self, key: impl Into<ApiKey>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Sets the defaults that the server fills into requests that leave them out, above all the chain.
    ///
    /// Defaults to none: then the server's own defaults apply. Set at least the chain if you depend on it.
    pub fn defaults(mut self, defaults: SessionDefaults) -> Self {
        self.defaults = defaults;
        self
    }

    /// Sets how long a session lives on the server: whole seconds, from 60 to 86,400. Defaults to one hour, like the
    /// server's own.
    ///
    /// A longer TTL costs fewer session calls. A shorter one limits how long a session stays on the server after the
    /// process was killed.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets how long one create may take, retries included. Defaults to 20 s.
    ///
    /// Some creates take a further step: a check finds the session lost, say, and then a successor is created. Each
    /// further step has the same time again. There are two at most.
    ///
    /// Raise it if the server answers slowly. Keep it below `max_wait`. Then a request whose create fails gets the
    /// error of the create, and not only a timeout.
    pub fn create_timeout(mut self, timeout: Duration) -> Self {
        self.create_timeout = timeout;
        self
    }

    /// Sets how long one request waits for a session before the request fails. Defaults to 30 s.
    ///
    /// The create goes on after that, so a later request may find the session ready. A `reqwest` request with a timeout
    /// of its own never waits longer than that timeout. It is then sent with the time that is left.
    /// [`MaxWait`](crate::MaxWait) sets the wait of a single request.
    ///
    /// Lower it if your callers give up sooner. The layer cannot see the timeout of a whole client or of an outer
    /// layer.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Sets how long a request still counts as using its session after the caller has dropped the request. Defaults to
    /// 10 s.
    ///
    /// During this time the session is not deleted, because the server may still be reading the request. Raise it if
    /// the server may need longer to finish such a request.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets how often to ask the server for a session that is in use, with `GET /v1/sessions/{id}`. Defaults to `None`,
    /// which is never.
    ///
    /// Set it if the server may drop single sessions while its process keeps running. Without a
    /// [checked](crate::SessionLayer::checked) layer, only this call finds out that a session in steady use was
    /// dropped. It is a session call, so it counts against the call budget and the key's quota. Requests do not wait
    /// for its answer.
    ///
    /// Leave it unset if you only want to notice restarts of the server. The crate notices those with a free call: see
    /// [`verify_after`](Self::verify_after).
    pub fn verify_every(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.verify_every = interval.into();
        self
    }

    /// Sets how long requests go on without a proof that the server is still the same process. Defaults to 60 s. From
    /// 10 s to 24 h.
    ///
    /// A server that restarts forgets its sessions and does not say so. So after this time without a proof, the next
    /// request waits for the answer to `GET /v1/health`, which says when the server was started. The call is free.
    /// Answers with Sipher's `RateLimit` headers are a proof too, so only managers with little traffic need it.
    ///
    /// Lower it if a request under the server's own defaults is worse than one that waits a moment. Raise it if your
    /// server does not answer that call.
    pub fn verify_after(mut self, time: Duration) -> Self {
        self.verify_after = time;
        self
    }

    /// Sets what happens to a request for which no session can be had. Defaults to [`OnNoSession::Fail`].
    ///
    /// **With [`OnNoSession::SendWithout`], requests are sent under the server's own defaults.** Preventing that is the
    /// purpose of this crate. Change it only if a wrong chain is better for you than a failed request.
    pub fn on_no_session(mut self, policy: OnNoSession) -> Self {
        self.on_no_session = policy;
        self
    }

    /// Sets how many sessions are kept, one for each API key and set of defaults. Defaults to 1,000. Set it to the
    /// number of tenants, if you know it.
    ///
    /// Above this number, the session that was unused for the longest time is evicted and deleted. A session that was
    /// used within the last minute is never evicted for others. If all sessions are that recent, the number grows to
    /// ten times the setting at most, and [`Event::Crowded`](crate::Event) reports it. Beyond that, requests with new
    /// keys fail with [`ErrorKind::Budget`](crate::ErrorKind::Budget).
    pub fn max_sessions(mut self, sessions: u64) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Sets how many session calls may be made: `per_minute` on average, and `burst` at once. Defaults to 60 and 60.
    ///
    /// The server allows 100 calls of any kind a minute from one address. Raise the budget if
    /// [`Event::BudgetUsedUp`](crate::Event) comes often and your other calls leave room. Lower it if several processes
    /// share one address.
    ///
    /// If there are not enough calls for all, half of them go to API keys that the server has accepted. The other half
    /// goes to all other keys, which anybody may have made up. Each half may use what the other leaves.
    pub fn call_budget(mut self, per_minute: u32, burst: u32) -> Self {
        self.call_budget = (per_minute, burst);
        self
    }

    /// Sets how many checks and deletes one API key may cost in a day. Defaults to 500: a quarter of the session
    /// operations that a key of the pro tier has.
    ///
    /// Lower it if other programs use the same key. With 0 there are no checks, and only a shutdown deletes sessions.
    ///
    /// Once the number is used up, unused sessions are left to expire, and a session that the server may have lost is
    /// replaced without a check. Creates, and the deletes of a shutdown, are not limited by it. Creates go on until the
    /// server says that the quota of the day is used up.
    pub fn upkeep_per_day(mut self, calls: u32) -> Self {
        self.upkeep_per_day = calls;
        self
    }

    /// Sets the client for the session calls. Set it if they need a proxy, certificates or timeouts of your own.
    ///
    /// Defaults to a client that follows no redirects and closes idle connections before the server does. It uses the
    /// proxy of the environment (`HTTPS_PROXY`), but never for loopback. For https it uses rustls and the root
    /// certificates of the machine, with the feature `rustls`. Without that feature, an https base URL needs a client
    /// from you.
    #[cfg(feature = "reqwest")]
    pub fn http_client(self, client: ::reqwest::Client) -> Self {
        self.transport(client)
    }

    /// Sets another client for the session calls, such as hyper-util's: see [`Transport::new`]. Needed without the
    /// feature `reqwest`.
    pub fn transport(mut self, transport: impl Into<Transport>) -> Self {
        self.transport = Some(transport.into());
        self
    }

    /// Sets the clock that measures the age of sessions. Defaults to the system's. Tests set a `TestClock`.
    #[cfg(feature = "testing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
    pub fn clock(mut self, clock: impl crate::clock::Clock) -> Self {
        self.clock = Arc::new(crate::clock::Custom(clock));
        self
    }

    /// Sets the seed of the random numbers, so that a test run can be repeated. Defaults to a new seed for each
    /// manager.
    #[cfg(feature = "testing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Random::seeded(seed);
        self
    }

    pub(crate) fn call_budget_so_far(&self) -> (u32, u32) {
        self.call_budget
    }

    /// Builds the manager. Opens no connection, spawns no task and needs no runtime.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config). Its message names the setting, what is wrong with it and what
    /// is expected.
    pub fn build(self) -> Result<SessionManager, Error> {
        let (base, aliases) = self.addresses()?;
        api::check_ttl(self.ttl)?;
        self.defaults.validate()?;
        let inline = self.checked_inline()?;
        let key_header = self.api_key.as_ref().map(ApiKey::to_header).transpose()?;
        for (name, value) in [
            ("create_timeout", self.create_timeout),
            ("max_wait", self.max_wait),
            ("verify_every", self.verify_every.unwrap_or(Duration::MAX)),
        ] {
            if value.is_zero() {
                return Err(Error::config(format!(
                    "{name}: is 0; expected a time such as 30 s"
                )));
            }
        }
        if !VERIFY_AFTER_RANGE.contains(&self.verify_after) {
            return Err(Error::config(format!(
                "verify_after: is {:?}; expected a time from 10 s to 24 h",
                self.verify_after
            )));
        }
        if self.member_lease < LEAST_MEMBER_LEASE {
            return Err(Error::config(format!(
                "member_lease: is {:?}; expected {LEAST_MEMBER_LEASE:?} or more",
                self.member_lease
            )));
        }
        if self.max_sessions == 0 {
            return Err(Error::config("max_sessions: is 0; expected 1 or more"));
        }
        let (per_minute, burst) = self.call_budget;
        let settings = Settings {
            base,
            aliases,
            ttl: self.ttl,
            create_timeout: self.create_timeout,
            max_wait: self.max_wait,
            linger: self.linger,
            verify_after: self.verify_after,
            verify_every: self.verify_every,
            on_no_session: self.on_no_session,
            foreign_ids: self.foreign_ids,
            on_outside: self.on_outside,
            inline,
            max_sessions: self.max_sessions,
            budget: CallBudget::new(per_minute, burst)?.with_upkeep_per_day(self.upkeep_per_day),
        };
        let sharing = self.store.map(|(store, derive)| Sharing {
            store,
            derive,
            on_store_down: self.on_store_down,
            member_lease: self.member_lease,
            verify_adopted: self.verify_adopted,
        });
        let transport = match self.transport {
            Some(transport) => transport,
            None => default_transport(&settings.base)?,
        };
        let core = Core::new(settings, transport, self.clock, self.random, sharing);
        let key = self.api_key.zip(key_header);
        Ok(SessionManager::new(
            core,
            key,
            HashedDefaults::new(self.defaults),
        ))
    }
}

#[cfg(feature = "reqwest")]
fn default_transport(base: &BaseUrl) -> Result<Transport, Error> {
    crate::api::default_transport(base)
}

#[cfg(not(feature = "reqwest"))]
fn default_transport(_: &BaseUrl) -> Result<Transport, Error> {
    Err(Error::config(
        "transport: is not set; expected one, as the feature `reqwest` is off",
    ))
}

impl fmt::Debug for SessionManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManagerBuilder")
            .field("api_key", &self.api_key)
            .field("defaults", &self.defaults)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
