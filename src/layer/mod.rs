//! The tower layer: puts a live session on every request to Sipher, or does not send it.
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
//! # What is put in, and what is left alone
//!
//! Requests to other origins, and to Sipher's public paths, pass untouched. Session calls (`/v1/sessions…`) get the
//! configured API key, if they bear none, and no session; a `PATCH` or `DELETE` of one of the manager's own sessions ends
//! its use before it is sent. Later requests get a new session with the manager's defaults, so a `PATCH` changes nothing for them:
//! [`update_defaults`](crate::SessionManager::update_defaults) does. If the call fails, the manager deletes the session itself.
//! A request that brings along an `X-Session-Id` of its own is judged by [`ForeignIds`](crate::ForeignIds): by default it is sent only if
//! the session is known to be alive, and one that was put in here before is replaced by the present one.
//! All others get the session of the API key that they bear, or else of the configured one. One request may speak for
//! itself through its extensions: [`SessionDefaults`](crate::SessionDefaults) for a session with exactly these defaults,
//! [`NoSession`](crate::NoSession) for none.
//!
//! # Await the response at once
//!
//! The layer decides when the service is called, and most clients send when the response's future is first polled. A future
//! that is kept longer than `hard` may send a dead id; so may one that waits behind a `tower::buffer::Buffer`.
//! [`Event::Late`](crate::Event) tells of it afterwards. `tokio::spawn` what you do not await at once.
//!
//! # Readiness and backpressure are the inner service's
//!
//! The service that was ready is the one that is called, also when the request had to wait for a session first; a clone
//! takes its place. A request that waits holds its place in a `ConcurrencyLimit` below, and is let go after `max_wait`.
//!
//! # What the service below has to be
//!
//! `S: Service<Request<B>> + Clone` with `S::Error: Into<BoxError>`, and nothing more: neither `Send` nor `'static`. It has to
//! be `Clone`, because a request that waits for its session takes the service along. Those that are not, such as tower's
//! `RateLimit`, belong into a `tower::buffer::Buffer`, which is. The future is `Send`, and `Sync`, where the
//! inner one is, whatever the body, so that the stack can be boxed, by `boxed_clone_sync` as well.
//!
//! # Where it belongs in a stack
//!
//! Inside of whatever sends a request more than once (retries, `FollowRedirect`), so that each time is looked at anew.
//! Put it outside of a `FollowRedirect`, and session id and API key go wherever the redirect points. With the feature
//! `tower-http` that is noticed where the last hop is not Sipher's: the session is replaced, and
//! [`Event::Leaked`](crate::Event) tells of it. A chain that comes back to Sipher is not noticed.
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
//! Those whose URI is below the base URL or one of its [aliases](crate::SessionManagerBuilder::alias): scheme, host (whatever
//! its letter case, with or without a dot at the end) and
//! port are the same, and the path is below its path in every reading of `..` and percent-encodings. User info before
//! the host changes nothing about where a request goes, and so nothing here. In doubt a request is not Sipher's. So is
//! none that does not say where it goes, be it `GET /v1/scan` with any `Host` (but see
//! [`inner_is_sipher`](SessionLayer::inner_is_sipher)), `CONNECT` or `OPTIONS *`.
//!
//! Some of the others look as if they were meant for Sipher, such as one with a wrong host name. They pass without a session,
//! are counted and
//! named once for each origin: see [`Outside`](crate::Outside).

mod future;
mod inlining;
#[allow(clippy::module_inception)] // the file that tower's own middleware has
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
