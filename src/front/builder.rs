//! The settings of a manager, checked once.

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
/// No API key, the production server, no defaults, a TTL of one hour, a `create_timeout` of 20 s and a `max_wait` of 30 s, a
/// `linger` of 10 s, at most 1,000 sessions, and at most 60 session calls a minute with bursts of 60. Defaults of
/// numbers may change in a minor release.
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

    /// Sets the API key for requests that bear none. Defaults to none: then only the keys on requests count.
    pub fn api_key(mut self, key: impl Into<ApiKey>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Sets what the server fills in where a request is silent. Defaults to nothing.
    pub fn defaults(mut self, defaults: SessionDefaults) -> Self {
        self.defaults = defaults;
        self
    }

    /// Sets how long a session lives on the server: whole seconds, from 60 to 86,400. Defaults to one hour, as the
    /// server's own.
    ///
    /// A session is replaced well before its end, so a longer one costs fewer calls; but one that is lost sight of, as
    /// when a process is killed, stays on the server for as long.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets how long one create may take, retries included. Defaults to 20 s.
    ///
    /// A create that goes on with something else has as long for that, twice at most: it makes a successor of a session that it found
    /// lost, say. With less than `max_wait`, a request that waits in vain is told why there is no session.
    pub fn create_timeout(mut self, timeout: Duration) -> Self {
        self.create_timeout = timeout;
        self
    }

    /// Sets how long one request waits for a session before it fails. Defaults to 30 s.
    ///
    /// The create goes on without it, so that a later request may find it done. A `reqwest` request with a timeout of its own never
    /// waits longer than that, and is sent with what is left of it. [`MaxWait`](crate::MaxWait) sets the wait of one request.
    ///
    /// Lower it where callers give up sooner: a timeout of a whole client, or of a layer outside, is not known here.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Sets how long a request that its caller dropped still counts as using its session. Defaults to 10 s.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Has the server asked whether it still knows a session that is in use, each time that so much time has passed.
    /// Defaults to never, which is `None`.
    ///
    /// The question whether the server is still the same process is asked anyway, and is free: see
    /// [`verify_after`](Self::verify_after). This asks for the session itself, which also finds one that a running server has
    /// dropped, at the price of one session call each time. Requests do not wait for it.
    pub fn verify_every(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.verify_every = interval.into();
        self
    }

    /// Sets for how long requests go on without a proof that the server is the process of before. Defaults to 60 s, and is 10 s
    /// at least and a day at most.
    ///
    /// The next request after that waits until the server has told by `GET /v1/health` when it began, which is free. Answers
    /// that bear Sipher's `RateLimit` headers are a proof, so that this concerns managers that send little. Set it lower if a
    /// request under the server's own defaults is worse than one that waits a moment; set it higher, up to a day, if your
    /// server does not answer that call.
    pub fn verify_after(mut self, time: Duration) -> Self {
        self.verify_after = time;
        self
    }

    /// Sets what happens to a request for which no session can be had. Defaults to [`OnNoSession::Fail`].
    ///
    /// **Anything else sends requests under the server's own defaults**, which is what this crate is there to prevent.
    pub fn on_no_session(mut self, policy: OnNoSession) -> Self {
        self.on_no_session = policy;
        self
    }

    /// Sets for how many API keys and defaults a session is kept while nobody uses it. Defaults to 1,000.
    ///
    /// Past it, the session that was unused for the longest is deleted. One that was used within the last minute makes no room for
    /// others: if there are more of them, their number grows, up to ten times as many, and [`Event::Crowded`](crate::Event) says so.
    /// Beyond that, new keys get [`ErrorKind::Budget`](crate::ErrorKind::Budget). Set it to the number of tenants, if that is known.
    pub fn max_sessions(mut self, sessions: u64) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Sets how many session calls may be made: so many a minute on average, and `burst` at once. Defaults to 60 and
    /// 60. The server allows 100 calls of any kind a minute.
    ///
    /// Where both want more than there is, half goes to the API keys that the server has accepted and half to all others, which anybody may
    /// have made up. Each side may use what the other leaves.
    pub fn call_budget(mut self, per_minute: u32, burst: u32) -> Self {
        self.call_budget = (per_minute, burst);
        self
    }

    /// Sets how many checks and deletes one API key may cost in a day. Defaults to 500, a quarter of the session operations that a key of
    /// the pro tier has.
    ///
    /// Beyond it, sessions that are not used any more are left to expire, and one that the server may have lost is replaced without
    /// asking. It limits neither creates, which go on until the server says that the day is used up, nor the deletes of a
    /// shutdown. Lower it if other programs use the same key; with 0 there are no checks and no other deletes.
    pub fn upkeep_per_day(mut self, calls: u32) -> Self {
        self.upkeep_per_day = calls;
        self
    }

    /// Sets the client for the session calls. Defaults to one of its own that follows no redirects and keeps no idle
    /// connection longer than the server does. It goes through the proxy that the environment names (`HTTPS_PROXY`), but never
    /// to loopback. For https it has rustls and the root certificates of the machine, with the feature `rustls`; without that
    /// feature, an https base URL needs a client from you.
    #[cfg(feature = "reqwest")]
    pub fn http_client(self, client: ::reqwest::Client) -> Self {
        self.transport(client)
    }

    /// Sets another way for the session calls, such as hyper-util's client: see [`Transport::new`].
    pub fn transport(mut self, transport: impl Into<Transport>) -> Self {
        self.transport = Some(transport.into());
        self
    }

    /// Sets the clock that sessions are judged by. Defaults to the system's.
    #[cfg(feature = "testing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
    pub fn clock(mut self, clock: impl crate::clock::Clock) -> Self {
        self.clock = Arc::new(crate::clock::Custom(clock));
        self
    }

    /// Sets where random numbers start, so that a run repeats. Defaults to somewhere new each time.
    #[cfg(feature = "testing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Random::seeded(seed);
        self
    }

    pub(crate) fn call_budget_so_far(&self) -> (u32, u32) {
        self.call_budget
    }

    /// Builds the manager. Opens no connection, spawns nothing and needs no runtime.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) naming the setting, what is wrong with it and what would be
    /// right.
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
