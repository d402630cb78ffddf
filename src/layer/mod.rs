//! The tower layer. It puts a live session on every request to Sipher, or does not send the request.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sipher_session::BoxError> {
//! use http::Request;
//! use http_body_util::Full;
//! use sipher_session::{
//!     Chain, SessionDefaults, SessionLayer, SessionManager,
//!     api::{Bytes, Transport},
//!     testing::{FakeSipher, Tier},
//! };
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! let sipher = FakeSipher::new(); // takes the place of hyper-util's client, say
//! let sessions = SessionManager::builder()
//!     .api_key(sipher.api_key(Tier::Pro))
//!     .defaults(SessionDefaults::new().chain(Chain::Near))
//!     .transport(Transport::new(sipher.clone()))
//!     .build()?;
//! let service = ServiceBuilder::new()
//!     .layer(SessionLayer::new(sessions))
//!     .service(sipher.clone());
//!
//! let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
//!     .header("content-type", "application/json")
//!     .body(Full::<Bytes>::from("{}"))?;
//! service.oneshot(request).await?;
//! assert_eq!(sipher.log().last().unwrap().chain.as_deref(), Some("near"));
//! # Ok(()) }
//! ```
//!
//! # Which requests change, and which are left alone
//!
//! Requests to other origins, and to Sipher's public paths, are not changed.
//!
//! Session calls (`/v1/sessions…`) get the configured API key if they carry none, and no session. Before a `PATCH` or
//! `DELETE` of one of the manager's own sessions is sent, the manager stops using that session. Later requests get a
//! new session with the manager's defaults, so the `PATCH` does not affect them. To change their defaults, call
//! [`update_defaults`](crate::SessionManager::update_defaults). If the `PATCH` or `DELETE` fails, the manager deletes
//! the session.
//!
//! For a request that already has an `X-Session-Id`, [`ForeignIds`](crate::ForeignIds) decides. By default the
//! request is sent only if that session is known to be alive. An ended session that this manager put in before is
//! replaced by the current one.
//!
//! All other requests get the session of the API key that they carry, or else of the configured key. A request can
//! change that through its extensions: [`SessionDefaults`](crate::SessionDefaults) asks for a session with exactly
//! these defaults, and [`NoSession`](crate::NoSession) for none.
//!
//! # Await the response at once
//!
//! The layer chooses the session when the service is called. Most clients send the request only when the response's
//! future is first polled. So a future that is kept for longer than `hard` (5 to 60 s) before its first poll may send a
//! dead id. So may a request that waits behind a `tower::buffer::Buffer`. [`Event::Late`](crate::Event) reports it
//! afterwards. If you do not await a future at once, pass it to `tokio::spawn`.
//!
//! # Readiness and backpressure come from the inner service
//!
//! The layer calls the very service that was polled ready, and leaves a clone in its place. It does so even if the
//! request has to wait for a session first. While a request waits, it holds its permit of a `ConcurrencyLimit` below.
//! It gives up after `max_wait`.
//!
//! # What the inner service has to be
//!
//! The inner service has to be `S: Service<Request<B>> + Clone` with `S::Error: Into<BoxError>`, but neither `Send` nor
//! `'static`. `Clone` is needed because a request that waits for its session takes the service along. Put a service
//! that is not `Clone`, such as tower's `RateLimit`, into a `tower::buffer::Buffer`. The response's future is `Send`
//! and `Sync` if the inner future is, whatever the body. So the stack can be boxed, also with `boxed_clone_sync`.
//!
//! # Where it belongs in a stack
//!
//! Put the session layer inside of any layer that sends a request more than once, such as retries or `FollowRedirect`.
//! Then it chooses a session anew for each sending. If it stands outside of a `FollowRedirect`, the session id and API
//! key go wherever the redirect points. With the feature `tower-http`, the layer notices this if the last hop is not
//! Sipher's. The session is then replaced, and [`Event::Leaked`](crate::Event) reports it. A chain that comes back to
//! Sipher is not noticed.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sipher_session::BoxError> {
//! # use http::Request;
//! # use http_body_util::Full;
//! # use sipher_session::{SessionLayer, SessionManager, api::{Bytes, Transport}, testing::{FakeSipher, Tier}};
//! # use tower::{ServiceBuilder, ServiceExt};
//! use tower_http::follow_redirect::FollowRedirectLayer;
//! # let sipher = FakeSipher::new();
//! # let client = sipher.clone();
//! # let sessions = SessionManager::builder()
//! #     .api_key(sipher.api_key(Tier::Pro))
//! #     .transport(Transport::new(sipher.clone()))
//! #     .build()?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(FollowRedirectLayer::new()) // outside
//!     .layer(SessionLayer::new(sessions)) // looks at each hop
//!     .service(client);
//! # let request = Request::get("https://sipher-api.sip-protocol.org/v1/backends").body(Full::<Bytes>::default())?;
//! # service.oneshot(request).await?;
//! # sipher.assert_every_call_had_a_session();
//! # Ok(()) }
//! ```
//!
//! # Which requests are Sipher's
//!
//! A request is Sipher's if its URI is below the base URL or one of its
//! [aliases](crate::SessionManagerBuilder::alias). Scheme, host and port have to be the same. Letter case and a dot
//! at the end of the host do not matter. The path has to be below the base URL's path in every reading of `..` and of
//! percent-encodings. User info before the host is ignored, since it does not change where a request goes. In doubt,
//! a request is not Sipher's. A request that does not say where it goes is not Sipher's either: `GET /v1/scan` with
//! any `Host` (but see [`inner_is_sipher`](SessionLayer::inner_is_sipher)), `CONNECT` or `OPTIONS *`.
//!
//! Some other requests look as if they were meant for Sipher, such as one with a wrong host name. They get no
//! session. They are counted, and reported once for each origin: see [`Outside`](crate::Outside).

mod future;
mod inlining;
#[allow(clippy::module_inception)] // tower's own middleware names the file in the same way
mod layer;
mod replay;
mod service;

pub(crate) use self::future::poll_seeing;
#[cfg(feature = "reqwest")]
pub(crate) use self::replay::Replayable;
pub use self::{
    future::ResponseFuture,
    layer::SessionLayer,
    replay::{Replay, ReplayFuture, ReplayLayer},
    service::SessionService,
};
