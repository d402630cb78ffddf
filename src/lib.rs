//! Client middleware that keeps a live session on every request to the Sipher REST API, for tower and reqwest.
//!
//! A Sipher session stores defaults on the server, above all the chain, and a request that names it in `X-Session-Id` may
//! leave them out. An id whose session has expired, was deleted or never existed is no error to the server: it answers 200
//! and goes by its own defaults. Who asked for NEAR gets stealth keys for Solana, on another curve, and no status or header
//! says so. What each default does today is said at [`SessionDefaults`].
//!
//! # What you get
//!
//! * The layer puts no id on a request that is dead, or about to be. No live session means that the request is not sent and
//!   fails with a typed [`Error`].
//! * A session is created when the first request needs it: by one call, however many requests wait.
//! * Its successor is made in the background before it expires, while requests go on.
//! * Calls to `/v1/sessions` stay within a [bound](CallBudget::bound), whatever goes wrong.
//! * Session id and API key go to Sipher's own origin only, and are in no error, event or `Debug` output of this crate.
//! * [`SessionManager::shutdown`] deletes what there is, and reports what it could not.
//!
//! # What it will not do
//!
//! It judges a session when a request leaves the layer. What holds a request up below it, for longer than the margin
//! that every session keeps, is out of its sight; so are the `default_headers` of a wrapped `reqwest::Client`, and the redirects that it follows:
//! give it the [`redirect_policy`](SessionManager::redirect_policy), without which only the last hop is noticed, and after
//! the fact. A server that restarts forgets its sessions and does not say so. A restart that a call meets costs no later
//! request its defaults. One between two calls is found within 250 ms of the new process's first answer, or by a free question if
//! nothing proved the process for [`verify_after`](SessionManagerBuilder::verify_after): until then, requests get the server's
//! own defaults, unless their bodies name others (see [`inline`]), and [`Event::Lost`] counts them. With
//! [`with_proof`](SessionLayer::with_proof), each response says what its request was sent with, and
//! [`checked`](SessionLayer::checked) withholds an answer that names another chain than the session's.
//! Blocking clients and wasm are not supported.
//!
//! # Quick start
//!
//! This runs without a network: a [`FakeSipher`](testing::FakeSipher) (feature `testing`) stands in for the server, and
//! for the client that is wrapped.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), sipher_session::BoxError> {
//! use std::time::Duration;
//! use http::Request;
//! use http_body_util::Full;
//! use sipher_session::{
//!     Chain, SessionDefaults, SessionLayer, SessionManager,
//!     api::{Bytes, Transport},
//!     testing::{FakeSipher, Tier},
//! };
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! let sipher = FakeSipher::new();
//!
//! // Once, at start-up: opens no connection, spawns nothing.
//! let sessions = SessionManager::builder()
//!     .api_key(sipher.api_key(Tier::Pro))
//!     .defaults(SessionDefaults::new().chain(Chain::Near))
//!     .transport(Transport::new(sipher.clone())) // without this: a `reqwest::Client` of its own
//!     .build()?;
//! let http = ServiceBuilder::new()
//!     .layer(SessionLayer::new(sessions.clone()))
//!     .service(sipher.clone());
//!
//! let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
//!     .header("content-type", "application/json")
//!     .body(Full::<Bytes>::from("{}"))?; // says nothing of a chain
//! http.oneshot(request).await?;
//! assert_eq!(sipher.log().last().unwrap().chain.as_deref(), Some("near"));
//!
//! // Once, at the end.
//! let report = sessions.shutdown(Duration::from_secs(5)).await;
//! assert!(report.is_clean());
//! assert_eq!(sipher.live_sessions(), 0);
//! # Ok(()) }
//! ```
//!
//! # Around a `reqwest::Client`
//!
//! With the feature `reqwest-middleware`, which is on by default:
//!
//! ```no_run
//! # #[cfg(feature = "reqwest-middleware")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use sipher_session::{SessionLayer, SessionManager};
//!
//! let sessions = SessionManager::builder().api_key("sk_pro_1234").build()?;
//! let client = reqwest::Client::builder()
//!     .redirect(sessions.redirect_policy()) // they are followed below the layer
//!     .build()?;
//! let http = reqwest_middleware::ClientBuilder::new(client)
//!     .with(SessionLayer::new(sessions.clone()))
//!     .build();
//! http.get("https://sipher-api.sip-protocol.org/v1/backends").send().await?;
//! # Ok(()) }
//! ```
//!
//! `SessionLayer` is also a tower layer over `reqwest::Client` itself. For clients that cannot be wrapped there is
//! [`SessionManager::apply`].
//!
//! # Defaults in the body
//!
//! The server may forget a session and say nothing. With
//! [`inline_defaults`](SessionManagerBuilder::inline_defaults), defaults go into the bodies of requests as well, where the
//! server would add them, and then nothing depends on the session: see the module [`inline`].
//!
//! # How it works
//!
//! One [`SessionManager`] serves a process; it is cloned to wherever requests are made. For each API key and set of
//! defaults it holds one session. A request gets the session of the key that it bears, or else of the configured one; its
//! [extensions](layer#what-is-put-in-and-what-is-left-alone) can ask for other defaults, or for none.
//!
//! With `T` the life that the server grants, a request that comes when less than `soft` of it is left starts a renewal,
//! and with `hard` left or less the id is sent no more:
//!
//! ```text
//! soft = min(clamp(0.20·T, 10 s, 15 min) · (1 + U[0, 0.25)), 0.5·T)     T = 1 h: 12 to 15 min
//! hard = clamp(0.03·T, 5 s, 60 s)                                       T = 1 h: 60 s
//! ```
//!
//! `U` is drawn anew for each session. An idle session is not renewed. A renewal that fails is an [`Event`], and an error
//! only once `hard` is reached. The predecessor is deleted when no request that bears it is under way, or left to
//! expire if that is near. A failed create holds further ones back, and [`Error::retry_after`] says for how long. Time is
//! taken from the monotonic and the wall clock, and the one that says "older" counts. What was decided for one request is
//! repeated for others like it, for a second at most and never past what ends it.
//!
//! # Cancel safety
//!
//! Every future of this crate may be dropped at any point, save those of [`SessionsApi`]. A create runs in a task of its
//! own, so a caller that gives up takes it from nobody. A request that is dropped while it is under way still counts as
//! using its session for `linger`, since the server may be reading it. A [`shutdown`](SessionManager::shutdown) that was
//! begun goes on.
//!
//! # Runtimes
//!
//! Session calls run in tasks, on the tokio runtime of the request that started them. It needs its timers
//! ([`enable_time`](tokio::runtime::Builder::enable_time)); without them calls fail with [`ErrorKind::NoRuntime`]. A runtime that is driven all the time
//! needs nothing more. If you call `block_on` once for each request on a `current_thread` runtime, background work advances
//! only during those calls. Then this holds:
//!
//! * No request bears a dead id, and session calls stay within their bound, as always.
//! * A renewal goes on with each request. If it has not ended when `hard` is left, the next request waits for a create.
//! * A runtime that is dropped ends the create that runs on it, which may leave a session behind. The next attempt waits for
//!   half of the time that is left. With a new runtime for each request, expect up to ten creates for each session.
//!
//! With several runtimes, a create runs on the one of the request that began it. If that one stands still for 5 s, a request on another
//! begins a create of its own; the earlier one counts as a possible orphan, and is deleted if it answers after all. A request on the
//! runtime that stands still waits with it.
//!
//! Better is one runtime that lives as long as the manager, such as a `multi_thread` runtime with one worker.
//!
//! # Shutting down
//!
//! Dropping the last handle ends all background work, but deletes nothing: the sessions live on until they expire.
//! [`SessionManager::shutdown`] lets requests under way end, deletes every session within its deadline, and returns a
//! [`ShutdownReport`]. Requests that need a session fail with [`ErrorKind::Shutdown`] from its start.
//!
//! # Many processes
//!
//! Processes on one API key can share their sessions, so that a thousand of them cost no more calls than one: see the
//! module `store`, under the feature of that name, and [`docs/fleet.md`] for what is promised.
//!
//! [`docs/fleet.md`]: https://docs.rs/crate/sipher-session/latest/source/docs/fleet.md
//!
//! # Features
//!
//! | feature | default | |
//! | --- | --- | --- |
//! | `reqwest` | yes | session calls over a `reqwest::Client`; the layer over one as a tower service |
//! | `reqwest-middleware` | yes | the layer as a `reqwest_middleware::Middleware` |
//! | `reqwest-retry` | | retries with that crate that go by this crate's errors: [`with_reqwest`]`::retry` |
//! | `rustls` | yes | https for the session calls, with rustls |
//! | `hyper` | with `reqwest` | understands what hyper's clients say of a connection that broke or was never made: turn it on with a tower stack over hyper |
//! | `tower-http` | with `reqwest` | notices what tower-http's `FollowRedirect` (0.6 or 0.7) below the layer took elsewhere |
//! | `store` | | sessions that several processes share, through a `store` |
//! | `redis` | | such a store in Redis or Valkey |
//! | `tracing` | | spans and log lines: see [`observability`] |
//! | `metrics` | | counters, a gauge and a histogram: see [`observability`] |
//! | `testing` | | [`testing`]: a Sipher to test against, and a clock that tests can turn |
//!
//! Features only add. Without `reqwest`, give the builder a [`transport`](SessionManagerBuilder::transport).
//!
//! # Stability
//!
//! The least Rust is 1.88; raising it takes a minor release. Not part of the interface: the wording of errors, the types
//! of their sources, the numbers that settings default to, the choice and order of events, `Debug` output. `reqwest`
//! (0.13) and `reqwest-middleware` (0.5) are in the interface under their features, and a new version of either is a
//! breaking release here.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod api;
pub mod body;
pub mod checked;
pub mod clock;
pub mod config;
mod driver;
mod engine;
mod error;
mod exclusive;
mod followed;
mod front;
mod headers;
mod hot;
pub mod inline;
pub mod layer;
mod lock;
mod model;
pub mod observability;
pub mod prelude;
mod random;
#[cfg(feature = "reqwest")]
mod reqwest;
mod runtime;
mod scope;
mod secret;
#[cfg(feature = "store")]
#[cfg_attr(docsrs, doc(cfg(feature = "store")))]
pub mod store;
// What fleets decide by is compiled always; only the feature lets anybody name it.
#[cfg(not(feature = "store"))]
#[allow(dead_code, unreachable_pub)]
mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
pub mod with_reqwest;

#[cfg(feature = "store")]
#[cfg_attr(docsrs, doc(cfg(feature = "store")))]
pub use self::model::settings::OnStoreDown;
pub use self::{
    api::{Backend, Chain, PrivacyLevel, RpcProvider, SessionDefaults, SessionId, SessionsApi},
    checked::CheckedLayer,
    config::SessionConfig,
    driver::{inline_counts::NotInlinedStats, observe::Stats},
    error::{BoxError, Error, ErrorKind},
    front::{
        builder::SessionManagerBuilder, events::Events, lease::Lease, manager::SessionManager,
        tenants::Health,
    },
    hot::session::Session,
    inline::InlineDefaultsLayer,
    layer::{SessionLayer, SessionService},
    model::{
        budget::CallBudget,
        event::Event,
        inlining::{InlineDefaults, Inlined, NotInlined},
        outside::{Outside, OutsideReason},
        proof::{Doubt, Proof},
        reason::RetireReason,
        report::{Fate, SessionEnd, ShutdownReport},
        session_ref::SessionRef,
        settings::{ForeignIds, MaxWait, NoSession, OnNoSession},
    },
    secret::{ApiKey, Fingerprint, ViewingKey},
};

/// What can be cloned and sent to other threads, for good.
const _: fn() = || {
    fn ok<T: Send + Sync + Clone>() {}
    ok::<SessionManager>();
    ok::<SessionLayer>();
    ok::<SessionsApi>();
    ok::<Session>();
    ok::<Event>();
    ok::<Error>();
};

#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
