//! The handle of the fake server.

use std::{
    any::Any,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;

use super::{
    caller::Caller,
    fault::Fault,
    keys::Tier,
    log::{Exchange, Operation, SessionUse},
    server::Server,
};
use crate::{api::Chain, clock::testing::TestClock};

/// A fake Sipher server that runs in this process.
///
/// Clones are handles to one server. Every option can be changed at any time, even while requests are in flight.
///
/// The fake replaces the client that you wrap: as a tower service for `http::Request`, as one for `reqwest::Request`,
/// and as the last middleware of a `reqwest_middleware` client. [`manager`](Self::manager) returns the builder of a
/// manager whose session calls go to this server.
///
/// # Recipes
///
/// Time is paused, so that hours pass in milliseconds. `call` stands for your own code, which calls Sipher through
/// `http`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), sipher_session::BoxError> {
/// use std::time::Duration;
/// use sipher_session::{
///     Chain, Error, ErrorKind, Event, SessionDefaults, SessionLayer,
///     testing::{FakeSipher, Fault, Target, Tier, What},
/// };
/// use tokio::time::sleep;
/// use tower::{Layer, ServiceExt};
/// # use http::Request;
/// # use http_body_util::Full;
/// # use sipher_session::api::Bytes;
///
/// let sipher = FakeSipher::new();
/// let key = sipher.api_key(Tier::Pro);
/// let sessions = sipher
///     .manager()
///     .api_key(key.as_str())
///     .defaults(SessionDefaults::new().chain(Chain::Near))
///     .build()?;
/// let http = SessionLayer::new(sessions.clone()).layer(sipher.clone());
/// let call = async || {
///     // …
/// #   let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
/// #       .header("content-type", "application/json")
/// #       .body(Full::<Bytes>::from("{}"))?;
/// #   http.clone().oneshot(request).await
/// };
/// let chain = || sipher.log().last().and_then(|exchange| exchange.chain.clone());
///
/// // A session expires: the next call gets another one.
/// call().await?;
/// sleep(Duration::from_secs(2 * 3_600)).await;
/// call().await?;
/// sipher.assert_no_dead_id();
/// sipher.assert_every_call_had_a_session();
///
/// // The server loses one session. If your code notices, it calls `invalidate`.
/// let session = sessions.session().await?;
/// sipher.evict(session.id().as_str());
/// sessions.invalidate(session.generation());
/// call().await?;
/// assert_eq!(chain().as_deref(), Some("near"));
///
/// // The server restarts, and no call fails. The first answer shows it. `Event::Lost` counts that call.
/// let mut events = sessions.events();
/// sleep(Duration::from_secs(60)).await;
/// sipher.restart();
/// call().await?;
/// call().await?;
/// assert_eq!(chain().as_deref(), Some("near"));
/// assert!(std::iter::from_fn(|| events.try_recv()).any(|event| matches!(event, Event::Lost { .. })));
///
/// // Nobody can reach the server. A request that needs a new session fails, and the error says how long to wait.
/// sleep(Duration::from_secs(2 * 3_600)).await;
/// sipher.fault(Fault::new(What::Refuse).on(Target::Any).always());
/// let error = call().await.unwrap_err();
/// assert_eq!(Error::find(&*error).unwrap().kind(), ErrorKind::Unavailable);
/// sipher.clear_faults();
/// sleep(Duration::from_secs(60)).await;
/// call().await?;
///
/// // The key has used up its session calls of the day.
/// sipher.burn(&key, 2_000);
/// sessions.invalidate(sessions.session().await?.generation());
/// let error = call().await.unwrap_err();
/// assert_eq!(Error::find(&*error).unwrap().kind(), ErrorKind::Quota);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FakeSipher {
    server: Arc<Mutex<Server>>,
    caller: Caller,
}

impl FakeSipher {
    /// Creates an empty server: no keys, no sessions, no rate limit, no faults.
    pub fn new() -> Self {
        Self::seeded(0)
    }

    /// Returns which server a service is, if the service is a `FakeSipher`.
    pub(crate) fn identity_in<S: 'static>(service: &S) -> Option<usize> {
        let fake = (service as &dyn Any).downcast_ref::<Self>()?;
        Some(Arc::as_ptr(&fake.server).addr())
    }

    /// Creates a server whose random ids and keys come from this seed. Seed 0 is that of [`new`](Self::new).
    pub fn seeded(seed: u64) -> Self {
        Self::start(TestClock::new(), seed)
    }

    /// Creates a server with this clock.
    pub fn with_clock(clock: TestClock) -> Self {
        Self::start(clock, 0)
    }

    fn start(clock: TestClock, seed: u64) -> Self {
        // Spread the seeds: with neighbouring ones, two servers would draw the same ids.
        let server = Server::new(clock, seed.wrapping_mul(0xd134_2543_de82_ef95));
        Self {
            server: Arc::new(Mutex::new(server)),
            caller: Caller::direct(),
        }
    }

    /// Returns a handle to the same server with another caller.
    pub(super) fn called_by(&self, caller: Caller) -> Self {
        Self {
            server: self.server.clone(),
            caller,
        }
    }

    /// Returns the address that the next call comes from.
    pub(super) fn next_caller(&self) -> IpAddr {
        self.caller.next()
    }

    /// Returns the base URL to give to a client. When called in process, the fake accepts requests for any host.
    pub fn base_url() -> &'static str {
        "https://sipher-api.sip-protocol.org"
    }

    /// Returns the server's own clock. Setting it does not change the clock of a client.
    pub fn clock(&self) -> TestClock {
        self.server().clock.clone()
    }

    /// Creates an API key.
    pub fn api_key(&self, tier: Tier) -> String {
        let mut server = self.server();
        let prefix = match tier {
            Tier::Free => "free",
            Tier::Pro => "pro",
            Tier::Enterprise => "ent",
        };
        let key = format!("sk_{prefix}_{}", server.mint());
        server.keys.accept(&key, tier);
        key
    }

    /// Accepts a key of your choice, also one that was revoked. If the key is known, its tier changes, as when a
    /// customer upgrades.
    pub fn accept_key(&self, key: &str, tier: Tier) {
        self.server().keys.accept(key, tier);
    }

    /// Refuses a key from now on. Its sessions stay, but nobody can use them.
    pub fn revoke_key(&self, key: &str) {
        self.server().keys.revoke(key);
    }

    /// Uses up session operations of a key's day, at every replica.
    pub fn burn(&self, key: &str, operations: u32) {
        self.server().burn(key, operations);
    }

    /// Limits the calls of one address to one process in a minute, and refuses the others. Defaults to no limit. The
    /// real server has a limit of 100.
    ///
    /// Answers carry the `ratelimit-*` headers even without a limit: they then count down from 100 and stay at 0.
    /// Changing the limit begins all windows anew.
    ///
    /// Without a limit, windows use the server's wall clock, like those of the real server. With a limit, they use its
    /// monotonic clock, which a test cannot set.
    pub fn set_rate_limit(&self, per_minute: Option<u32>) {
        self.server().set_rate_limit(per_minute);
    }

    /// Limits how many sessions one replica keeps. Above the limit, it drops the least recently used. Defaults to
    /// 10,000.
    pub fn set_capacity(&self, sessions: usize) {
        self.server().sessions.set_capacity(sessions);
    }

    /// Makes every request wait this long before it is handled. Defaults to no wait.
    pub fn set_latency(&self, latency: Duration) {
        self.server().latency = latency;
    }

    /// Fails requests with a dead session id instead of answering them: with [`FakeError::DeadId`] in process, with a
    /// closed connection over TCP. Defaults to `false`, because the real server answers them.
    ///
    /// [`FakeError::DeadId`]: super::FakeError::DeadId
    pub fn refuse_dead_ids(&self, refuse: bool) {
        self.server().refuse_dead_ids = refuse;
    }

    /// Adds a fault to the script.
    pub fn fault(&self, fault: Fault) {
        self.server().faults.add(fault);
    }

    /// Removes all faults from the script.
    pub fn clear_faults(&self) {
        self.server().faults.clear();
    }

    /// Drops one session, as if it had been the least recently used.
    pub fn evict(&self, id: &str) {
        self.server().sessions.evict(id);
    }

    /// Counts the sessions that a request could use now.
    pub fn live_sessions(&self) -> usize {
        let server = self.server();
        server.sessions.live(server.now()).count()
    }

    /// Counts the sessions that a request with this key could use now.
    pub fn live_sessions_of(&self, key: &str) -> usize {
        let server = self.server();
        let live = server.sessions.live(server.now());
        live.filter(|record| record.owner == key).count()
    }

    /// Returns the ids of the sessions that a request could use now, in no order.
    pub fn live_session_ids(&self) -> Vec<String> {
        let server = self.server();
        let live = server.sessions.live(server.now());
        live.map(|record| record.id.clone()).collect()
    }

    /// Returns whether a request with the right key could use this session now, at any replica.
    pub fn is_live(&self, id: &str) -> bool {
        self.defaults_of(id).is_some()
    }

    /// Returns the defaults that the server has stored for a live session.
    pub fn defaults_of(&self, id: &str) -> Option<Value> {
        let server = self.server();
        let record = server
            .sessions
            .live(server.now())
            .find(|record| record.id == id)?;
        Some(Value::Object(record.defaults.clone()))
    }

    /// Returns every request since the start or the last [`clear_log`](Self::clear_log), in the order of arrival.
    pub fn log(&self) -> Vec<Exchange> {
        self.server().log.iter().cloned().collect()
    }

    /// Clears the log, and starts the counts of calls at 0 again. Without this, the log keeps growing.
    pub fn clear_log(&self) {
        self.server().log.clear();
    }

    /// Counts the session calls, with any outcome.
    pub fn session_calls(&self) -> usize {
        let server = self.server();
        let exchanges = server.log.iter();
        exchanges
            .filter(|exchange| exchange.operation != Operation::Other)
            .count()
    }

    /// Counts the calls of one kind, with any outcome.
    pub fn count(&self, operation: Operation) -> usize {
        let server = self.server();
        let exchanges = server.log.iter();
        exchanges
            .filter(|exchange| exchange.operation == operation)
            .count()
    }

    /// Counts the calls to `/v1/health`, with any outcome.
    pub fn health_calls(&self) -> usize {
        let server = self.server();
        let exchanges = server.log.iter();
        exchanges
            .filter(|exchange| exchange.path == "/v1/health")
            .count()
    }

    /// Asserts that no request with the id of a dead session reached the server. Requests that a fault kept away do not
    /// count.
    ///
    /// After a [`restart`](Self::restart) that no call meets, this fails with good reason: the next request carries the
    /// id of a session that the server has forgotten. Assert before the restart, or assert what your own code promises
    /// after it, such as [`assert_every_call_used`](Self::assert_every_call_used) with
    /// [`InlineDefaults`](crate::InlineDefaults).
    ///
    /// # Panics
    ///
    /// If a request did. The message names each such request.
    #[track_caller]
    pub fn assert_no_dead_id(&self) {
        let is_dead = |exchange: &Exchange| matches!(exchange.session, SessionUse::Dead { .. });
        let dead = |exchange: &Exchange| exchange.reached && is_dead(exchange);
        self.assert_none(dead, "a dead session id reached Sipher");
    }

    /// Asserts that every call that reached the server had a live session. Does not count session calls, public paths
    /// and `/v1/billing/usage`, which needs no defaults and which a manager calls on its own.
    ///
    /// With [`InlineDefaults::Always`](crate::InlineDefaults::Always), a call may be right without a session. Use
    /// [`assert_every_call_used`](Self::assert_every_call_used) then.
    ///
    /// # Panics
    ///
    /// If a call had none. The message names each such call.
    #[track_caller]
    pub fn assert_every_call_had_a_session(&self) {
        let bare = |exchange: &Exchange| {
            let is_usage = exchange.path == "/v1/billing/usage";
            let calls = exchange.operation == Operation::Other && !exchange.public && !is_usage;
            calls && exchange.reached && !matches!(exchange.session, SessionUse::Live { .. })
        };
        self.assert_none(bare, "a call reached Sipher without a live session");
    }

    /// Asserts that every call that uses a chain used this one, and that there was such a call. It makes no difference
    /// whether the chain came from a session or from the body, as with
    /// [`InlineDefaults`](crate::InlineDefaults).
    ///
    /// # Panics
    ///
    /// If a call used another chain, or if no call used any. The message names each call with another chain.
    #[track_caller]
    pub fn assert_every_call_used(&self, chain: &Chain) {
        let chain = chain.as_str();
        let log = self.log();
        let is_used = log.iter().any(|exchange| exchange.chain.is_some());
        assert!(is_used, "no call used any chain, so none used {chain}");
        let is_other =
            |exchange: &Exchange| exchange.chain.as_deref().is_some_and(|used| used != chain);
        self.assert_none(is_other, &format!("a call used another chain than {chain}"));
    }

    #[track_caller]
    fn assert_none(&self, offends: impl Fn(&Exchange) -> bool, what: &str) {
        let log = self.log();
        let offenders = log.iter().filter(|exchange| offends(exchange));
        let lines: Vec<_> = offenders.map(Exchange::to_string).collect();
        assert!(
            lines.is_empty(),
            "{what}:
  {}",
            lines.join(
                "
  "
            )
        );
    }

    pub(super) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for FakeSipher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FakeSipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeSipher")
            .field("live_sessions", &self.live_sessions())
            .field("session_calls", &self.session_calls())
            .finish_non_exhaustive()
    }
}
