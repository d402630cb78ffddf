//! Reads answers, and withholds an answer that is for another chain than its session's.
//!
//! The server ignores a session that it does not know, and answers 200 for its own default chain. No error and no
//! header says so. After a restart of the server, the session layer may not have noticed yet. But three routes name in
//! their answer the chain that they used: `POST /v1/stealth/generate`, `/v1/stealth/generate/batch` and
//! `/v1/stealth/check`. A checked layer compares that chain with the session's. **Turn it on where money depends on the
//! answer.**
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sipher_session::BoxError> {
//! # use http::Request;
//! # use http_body_util::Full;
//! # use sipher_session::{Chain, SessionDefaults, SessionManager, api::{Bytes, Transport}, testing::{FakeSipher, TestClock, Tier}};
//! use sipher_session::{Error, ErrorKind, Proof, checked::CheckedLayer};
//! use tower::{Layer, ServiceExt};
//!
//! # let sipher = FakeSipher::new();
//! # let client = sipher.clone();
//! # let sessions = SessionManager::builder()
//! #     .api_key(sipher.api_key(Tier::Pro))
//! #     .defaults(SessionDefaults::new().chain(Chain::Near))
//! #     .transport(Transport::new(sipher.clone())).clock(TestClock::new()).build()?;
//! # let generate = || Request::post("https://sipher.sip-protocol.org/v1/stealth/generate")
//! #     .header("content-type", "application/json").body(Full::<Bytes>::from("{}"));
//! let service = CheckedLayer::new(sessions).layer(client);
//! let response = service.clone().oneshot(generate()?).await?;
//! let proof = response.extensions().get::<Proof>();
//! assert!(matches!(proof, Some(Proof::Confirmed { .. })));
//!
//! sipher.restart(); // and no call meets it
//! let error = service.clone().oneshot(generate()?).await.unwrap_err();
//! let error = Error::find(&*error).expect("one of this crate's");
//! assert_eq!(error.kind(), ErrorKind::WrongDefaults);
//! service.oneshot(generate()?).await?; // with a new session
//! # Ok(()) }
//! ```
//!
//! # What is checked
//!
//! An answer is checked if its request
//!
//! - is for one of these routes,
//! - carries a session of this crate whose defaults name a chain,
//! - and has a JSON object without a key `chain` as its body, or an empty body.
//!
//! The answer is read if it is a success, plain JSON, and at most 1 MiB long.
//!
//! | the answer | the caller gets |
//! | --- | --- |
//! | names the session's chain | the answer, with [`Proof::Confirmed`](crate::Proof) |
//! | names another chain | [`ErrorKind::WrongDefaults`](crate::ErrorKind::WrongDefaults); the session is not used any more |
//! | anything else | the answer, with the proof that it would have without a check |
//!
//! "Anything else" includes an answer that is compressed, is not JSON, names no chain, or whose body breaks off. The
//! caller gets it with the same bytes, trailers and errors. Other requests are handled as by a
//! [`SessionLayer`](crate::SessionLayer) `with_proof`.
//!
//! The server has carried out the request behind a withheld answer. For these routes, that means keys or a comparison
//! that nobody sees. A retry gets a new session.
//!
//! # If one session after another is wrong
//!
//! Example: replicas do not share their sessions, or a proxy removes `X-Session-Id`. Then a new session is no better.
//! The first wrong session is replaced at once. If its successor is wrong within its first 3 requests, requests that
//! need a session are not sent. They fail with [`ErrorKind::WrongDefaults`](crate::ErrorKind::WrongDefaults) and a
//! [`retry_after`](crate::Error::retry_after) of 2 s. The pause doubles with each such session, up to 10 min. After 10
//! min without a wrong answer it starts at 2 s again. A session that was right for longer is replaced at once, up to a
//! dozen times in a row: that is what restarts look like. So wrong answers cost at most about 160 sessions a day for
//! one API key and set of defaults. A pro key has 2,000 calls a day.
//!
//! With [inline defaults](crate::inline), a request may go out without a session. Its answer is then compared with
//! the chain in its body. A wrong answer is withheld, and no session is replaced. A right answer keeps its
//! `Proof::Inline` and counts in `Stats::confirmed`.
//!
//! # What it costs
//!
//! The response future is ready once the whole answer has arrived, not only its head. In tower, the request's body is
//! read ahead too, up to 1 MiB, before the request gets its session. On other routes, nothing is read.
//!
//! # Where it belongs in a stack
//!
//! A checked layer takes the place of the [`SessionLayer`](crate::SessionLayer). Put it inside of retries, so that a
//! retry gets a new session. Put it outside of anything that caches or rewrites answers.
//!
//! A checked layer may also stand below a `SessionLayer` of the same manager. It then checks the session that the
//! `SessionLayer` chose. Together with [`replay_once`](crate::SessionLayer::replay_once) it makes a
//! [`CheckedReplayLayer`], in either order.
//!
//! In tower, this layer changes both body types. The inner service gets an `http::Request<CheckedBody<B>>`, and the
//! caller gets an `http::Response<CheckedBody<B>>`. With `reqwest` and `reqwest-middleware`, no type changes. A
//! `reqwest::Response` that was read keeps its status, version, headers, extensions, URL and remote address. Its body
//! is in memory. With `reqwest`, a request whose body is a stream is not checked, because `reqwest` gives no access
//! to the stream.

mod answer;
mod future;
mod json;
mod layer;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod replay;
#[cfg(feature = "reqwest")]
mod reqwest;
mod rules;

pub use self::{
    future::{Answering, CheckedFuture},
    layer::{Checked, CheckedLayer},
    replay::CheckedReplayLayer,
};
use crate::body::ReadAhead;

/// The body of a request or response that passes a [`CheckedLayer`].
pub type CheckedBody<B> = ReadAhead<B>;
