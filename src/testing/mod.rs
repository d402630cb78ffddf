//! A Sipher to test against, and a clock that tests can turn.
//!
//! [`FakeSipher`] does what the session and stealth part of the real server does, odd corners included: it ignores a dead
//! session id without a word, keeps a session for the key that made it, merges defaults into JSON objects only. Exchanges
//! recorded from the real server are replayed against it in this crate's own tests. Unlike the real server it remembers
//! what it ignored, so that a test can fail on it.
//!
//! It is a tower service, for tests in process and under a paused clock, and can be [served](FakeSipher::serve) over TCP,
//! where it can also be killed and [come back](Served::close).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use sipher_session::testing::{FakeSipher, Tier};
//! use tower::ServiceExt;
//!
//! let sipher = FakeSipher::new();
//! let post = |path: &str, body: &'static str| {
//!     Request::post(format!("{}{path}", FakeSipher::base_url()))
//!         .header("x-api-key", "my own key")
//!         .header("content-type", "application/json")
//!         .body(Full::<Bytes>::from(body))
//! };
//! sipher.accept_key("my own key", Tier::Pro);
//!
//! let answer = sipher.clone().oneshot(post("/v1/sessions", r#"{"defaults":{"chain":"near"}}"#)?).await?;
//! assert_eq!(answer.status(), 201);
//! let answer: serde_json::Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
//!
//! let mut call = post("/v1/stealth/generate", "{}")?;
//! let id = answer["data"]["sessionId"].as_str().unwrap_or_default();
//! call.headers_mut().insert("x-session-id", id.parse()?);
//! sipher.clone().oneshot(call).await?;
//!
//! assert_eq!(sipher.log()[1].chain.as_deref(), Some("near"));
//! sipher.assert_every_call_had_a_session();
//!
//! sipher.restart();
//! assert_eq!(sipher.live_sessions(), 0);
//! # Ok(()) }
//! ```
//!
//! # When a request counts
//!
//! A request is in the [log](FakeSipher::log) from the moment it comes. It is *handled* at one instant, after its whole
//! body has arrived and any [delay](What::Delay) is over: then its session is looked up, and whatever it asks for is done.
//! A caller that drops the call's future before that instant leaves nothing but the log entry behind; one that drops it
//! later undoes nothing. Without delays, a request whose body is at hand is handled when its future is first polled. Over
//! TCP, a client that closes the connection drops the future.
//!
//! # Bodies
//!
//! An empty body counts as `{}` if the request has `Content-Length` or `Transfer-Encoding`. Otherwise it is no body, and
//! stealth calls answer 400. A body that is not empty needs neither header, since in process nobody adds them.
//!
//! # Production
//!
//! [`FakeSipher::restart`] is a deployment: sessions, the day's counts and rate-limit windows are gone, and no answer says
//! so. What a client can see of it is what the real server shows.
//!
//! - `GET /v1/health` tells `timestamp` and `uptime`, both by the [server's clock](FakeSipher::clock), and `redis`, which
//!   [`set_common_store`](FakeSipher::set_common_store) switches. Its status follows [`Solana`].
//! - All other answers of the application bear `X-Request-ID` and the window of the caller's address. Answers that
//!   something in front of it wrote bear neither: see [`What::Cloudflare`], [`What::Html`] and [`What::ShuttingDown`].
//! - [`seen_from`](FakeSipher::seen_from) and [`edges`](FakeSipher::edges) call from other addresses, and
//!   [`set_edge_clock`](FakeSipher::set_edge_clock) lets an edge write `Date`.
//! - [`replicas`](FakeSipher::replicas) runs several processes;
//!   [`restart_replica`](FakeSipher::restart_replica) restarts one of them.
//! - [`What::CachedHealth`], [`What::NoUptime`] and any other fault on [`Target::Health`] make health useless or wrong.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::{BodyExt, Empty};
//! use sipher_session::testing::{FakeSipher, Solana};
//! use tower::ServiceExt;
//!
//! let sipher = FakeSipher::new();
//! sipher.set_solana(Solana::Away);
//! let health = Request::get("/v1/health").body(Empty::<Bytes>::new())?;
//! let answer = sipher.clone().oneshot(health).await?;
//! assert_eq!(answer.status(), 503, "though the server is well");
//! let answer: serde_json::Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
//! assert_eq!(answer["data"]["uptime"], 0);
//! # Ok(()) }
//! ```
//!
//! # What it does not do
//!
//! Of the calls other than `/v1/sessions`, only `/v1/stealth/generate` and its `/batch`, `/v1/backends` and its `/compare`,
//! `/v1/billing/usage` and the fourteen that heed an `Idempotency-Key` are there. Public pages answer 200, everything else
//! 404. Stealth calls make no keys: they answer the `chain` they would have used and, under `applied`, every default that
//! was in force. Of the fourteen, `/v1/commitment/create` and `/v1/transfer/shield` check their fields; the others answer
//! 200 with empty `data`. `/v1/errors` lists the first three of 52. Brotli bodies are not read. There is no rate limit until
//! [one is set](FakeSipher::set_rate_limit), and free keys have no daily quota.

mod answer;
mod body;
mod call;
mod caller;
mod canned;
mod content_type;
mod crud;
mod draw;
mod edge;
mod error;
mod fake;
mod fault;
mod health;
mod idempotency;
mod json;
mod keys;
mod limits;
mod log;
mod manager;
mod merge;
#[cfg(feature = "reqwest")]
mod over_reqwest;
mod process;
mod replicas;
mod routes;
mod serve;
mod server;
mod service;
mod sessions;
mod validate;
mod window;

#[cfg(test)]
pub(crate) use self::merge::as_read;
pub use self::{
    body::FakeBody,
    error::FakeError,
    fake::FakeSipher,
    fault::{Fault, Target, What},
    health::Solana,
    keys::Tier,
    log::{DeadReason, Exchange, Operation, SessionUse},
    serve::Served,
    service::FakeFuture,
};
pub use crate::clock::testing::TestClock;
