//! A fake Sipher server to test against, and a clock that tests can set.
//!
//! [`FakeSipher`] behaves like the session and stealth part of the real server, in its oddities too. It silently
//! ignores a dead session id, accepts a session only with the key that created it, and merges defaults into JSON
//! objects only. This crate's own tests replay exchanges that were recorded from the real server against it. Unlike the
//! real server, the fake remembers which ids it ignored, so that a test can fail on them.
//!
//! The fake is a tower service, for tests in process and with a paused clock. It can also be
//! [served](FakeSipher::serve) over TCP, and there be killed and [come back](Served::close).
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
//! A request is in the [log](FakeSipher::log) from the moment when it arrives. The server *handles* it at one instant:
//! after its whole body has arrived and any [delay](What::Delay) is over. At that instant the server looks the session
//! up and carries the request out.
//!
//! If the caller drops the call's future before that instant, only the log entry remains. If the caller drops it later,
//! the request has been carried out all the same. Without delays, a request whose body is complete is handled when its
//! future is first polled. Over TCP, a client that closes the connection drops the future.
//!
//! # Bodies
//!
//! An empty body counts as `{}` if the request has `Content-Length` or `Transfer-Encoding`. Otherwise the request has
//! no body, and stealth calls answer 400. A body that is not empty needs neither header, because in process no client
//! adds them.
//!
//! # Production
//!
//! [`FakeSipher::restart`] simulates a deployment: sessions, the day's counts and rate-limit windows are lost, and no
//! answer says so. A client sees the same traces as at the real server.
//!
//! - `GET /v1/health` reports `timestamp` and `uptime`, both by the [server's clock](FakeSipher::clock). It also
//!   reports `redis`, which [`set_common_store`](FakeSipher::set_common_store) switches on. Its status follows
//!   [`Solana`].
//! - All other answers of the application carry `X-Request-ID` and the rate-limit window of the caller's address.
//!   Answers of a gateway in front of it carry neither: see [`What::Cloudflare`], [`What::Html`] and
//!   [`What::ShuttingDown`].
//! - [`seen_from`](FakeSipher::seen_from) and [`edges`](FakeSipher::edges) call from other addresses.
//!   [`set_edge_clock`](FakeSipher::set_edge_clock) lets an edge write `Date`.
//! - [`replicas`](FakeSipher::replicas) runs several processes. [`restart_replica`](FakeSipher::restart_replica)
//!   restarts one of them.
//! - [`What::CachedHealth`], [`What::NoUptime`] and any other fault on [`Target::Health`] make the health answer
//!   useless or wrong.
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
//! Besides `/v1/sessions`, the fake has only these calls: `/v1/stealth/generate` and its `/batch`, `/v1/backends` and
//! its `/compare`, `/v1/billing/usage`, and the fourteen that accept an `Idempotency-Key`. Public pages answer 200, all
//! other paths 404.
//!
//! - Stealth calls create no keys. They answer with the `chain` that they would have used and, under `applied`, every
//!   default that applied.
//! - Of the calls that accept an `Idempotency-Key`, `/v1/commitment/create` and `/v1/transfer/shield` check their
//!   fields. The others answer 200 with empty `data`.
//! - `/v1/errors` lists the first three of 52.
//! - Brotli bodies are not read.
//! - There is no rate limit until [one is set](FakeSipher::set_rate_limit), and free keys have no daily quota.

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
