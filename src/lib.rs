//! Client middleware that keeps a live session on every request to the Sipher REST API, for tower and reqwest.
//!
//! A Sipher session stores defaults on the server, above all the chain. A request names its session in `X-Session-Id`,
//! and may leave the defaults out. The server does not refuse the id of a session that has ended. It answers 200 and
//! uses its own defaults. An agent that asked for NEAR gets stealth keys for Solana, on another curve, and no status or
//! header says so. This crate prevents such requests as far as a client can, and reports those that it could not
//! prevent.
//!
//! The [`guide`] explains everything from start to end. [`SessionDefaults`] says what each default does today.
//!
//! # What you get
//!
//! * **No dead id.** The layer puts no id on a request if it knows that the session has ended or is about to end. It
//!   stops using a session 5–60 s before the session expires. What it cannot know is below: a restart of the server
//!   between two calls.
//! * **Fail closed.** Without a live session a request is not sent. It fails with a typed [`Error`].
//! * **One create.** The first request that needs a session creates the session, with one call. All other requests wait
//!   for that call.
//! * **Renewal in the background.** The successor is created before the session expires, while requests go on.
//! * **Bounded session calls.** Calls to `/v1/sessions` stay within a [bound](CallBudget::bound), whatever fails.
//! * **Own origin only.** The layer puts session id and API key only on requests to Sipher. Neither appears in an
//!   error, event or `Debug` output.
//! * **A clean end.** [`SessionManager::shutdown`] deletes the sessions, and reports those that it could not delete.
//!
//! # What you do not get
//!
//! * The layer chooses the session when the request passes the layer. If something below the layer holds the request up
//!   for longer than the margin of 5–60 s, the request may arrive with a dead id. [`guide::stack`] says where the layer
//!   belongs.
//! * A server that restarts forgets its sessions and does not say so. If a call fails because of the restart, every
//!   later request gets its defaults. If the restart falls between two calls, the first answers of the new process
//!   reveal it. Until then, requests get the server's defaults, and [`Event::Lost`] counts them. With [`inline`]
//!   defaults such a restart costs nothing, and a [`checked`] layer withholds wrong answers. [`guide::restarts`] has
//!   the details.
//! * A wrapped `reqwest::Client` follows redirects and adds its `default_headers` below the layer. Give the client the
//!   [`redirect_policy`](SessionManager::redirect_policy), and put no API key and no session id into its headers.
//! * Blocking clients and wasm are not supported. Session calls need a tokio runtime: see [`guide::process`].
//!
//! # Quick start
//!
//! This example runs without a network. A [`FakeSipher`](testing::FakeSipher) (feature `testing`) replaces both the
//! server and the client that is wrapped.
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
//! // Once, at start-up. Opens no connection, and starts no task.
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
//!     .body(Full::<Bytes>::from("{}"))?; // names no chain
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
//! # async fn run(key: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use sipher_session::{SessionLayer, SessionManager};
//!
//! let sessions = SessionManager::builder().api_key(key).build()?;
//! let client = reqwest::Client::builder()
//!     .redirect(sessions.redirect_policy()) // redirects are followed below the layer
//!     .retry(reqwest::retry::never()) // so are the client's own retries
//!     .build()?;
//! let http = reqwest_middleware::ClientBuilder::new(client)
//!     .with(SessionLayer::new(sessions.clone()))
//!     .build();
//! http.get("https://sipher-api.sip-protocol.org/v1/backends").send().await?;
//! # Ok(()) }
//! ```
//!
//! `SessionLayer` is also a tower layer over `reqwest::Client` itself. For clients that cannot be wrapped, use
//! [`SessionManager::apply`].
//!
//! # How it works
//!
//! One [`SessionManager`] serves a process. Clone it to every place that makes requests. It holds one session for each
//! API key and set of defaults. A request gets the session of the API key that the request carries, or else of the
//! configured key. The [extensions](layer#which-requests-change-and-which-are-left-alone) of a request can ask for other
//! defaults, or for no session.
//!
//! A session of one hour is renewed by the first request that finds 12 to 15 minutes or less left. In its last minute
//! the session is not sent any more. [`guide::life`] has the formula, and says what happens when a create fails.
//!
//! # Cancel safety
//!
//! Every future of this crate may be dropped at any point, except those of [`SessionsApi`]. [`guide::process`] says
//! what goes on after a drop.
//!
//! # Features
//!
//! | feature | default | |
//! | --- | --- | --- |
//! | `reqwest` | yes | session calls over a `reqwest::Client`; the layer over one as a tower service |
//! | `reqwest-middleware` | yes | the layer as a `reqwest_middleware::Middleware` |
//! | `reqwest-retry` | | retries by that crate, decided by this crate's errors: [`with_reqwest`]`::retry` |
//! | `rustls` | yes | https for the session calls, with rustls |
//! | `hyper` | with `reqwest` | recognizes the errors of hyper's clients when a connection breaks or fails: turn it on with a tower stack over hyper |
//! | `tower-http` | with `reqwest` | notices when tower-http's `FollowRedirect` (0.6 or 0.7) below the layer sends a request to another origin |
//! | `schema` | | [`SessionConfig`] as a JSON schema, by `schemars` 1 |
//! | `store` | | sessions that several processes share, through a `store` |
//! | `redis` | | such a store in Redis or Valkey |
//! | `tracing` | | spans and log lines: see [`observability`] |
//! | `metrics` | | counters, a gauge and a histogram: see [`observability`] |
//! | `testing` | | [`testing`]: a Sipher to test against, and a clock that tests can set |
//!
//! Features only add. Without `reqwest`, give the builder a [`transport`](SessionManagerBuilder::transport).
//!
//! # Stability
//!
//! Versions follow [semantic versioning](https://semver.org), as Cargo reads it: before 1.0 a breaking change raises the second number
//! (0.1 to 0.2).
//!
//! | breaking | not breaking |
//! | --- | --- |
//! | a public item, or an implemented trait, that goes away or changes | a new one; a new variant or field of what is `#[non_exhaustive]` |
//! | a metric, label, log message, span or field that goes away or changes its meaning | a new one |
//! | a setting or `SIPHER_` variable that goes away, refuses what it accepted, or changes its meaning | a new one |
//! | an [`Event`] or [`ErrorKind`] that goes away or changes its meaning | a new one; how often and in which order events come |
//! | a feature that goes away, or leaves `default` | a new one |
//! | a new major version of a crate in the interface: `http`, `http-body`, `serde`, `tower-layer`, `tower-service` and, under their features, `reqwest` (0.13), `reqwest-middleware` (0.5), `reqwest-retry` (0.9), `schemars` (1) | other dependencies |
//!
//! Also not breaking: the wording of errors, the types of their sources, `Debug` output, and the numbers that settings default to. A
//! release that changes a default says so.
//!
//! **Minimum Rust version.** It is `rust-version` in `Cargo.toml`: 1.88. A higher one takes a minor release, as from 0.1 to 0.2 or from 1.1
//! to 1.2, and the changelog says so.
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
// Documentation only: no build for users contains this module.
#[cfg(any(
    all(doc, not(doctest)),
    all(doctest, feature = "reqwest-middleware", feature = "testing")
))]
pub mod guide;
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
// This module is always compiled, because the fleet's decisions use its types. They are public only with the feature.
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

/// These types must stay cloneable and sendable to other threads.
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
