//! Reads the answer itself, and withholds it where it is for another chain than its session has.
//!
//! The server ignores a session that it does not know and answers 200 on its own default chain. No error and no header says
//! so, and after a restart that no call met the layer cannot know either. Three routes name the chain that they used in their
//! answer: `POST /v1/stealth/generate`, `/v1/stealth/generate/batch` and `/v1/stealth/check`. A checked layer compares it.
//! **Turn it on where money depends on the answer.**
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
//! A request for one of these routes that bears a session of this crate's with a chain among its defaults, and a JSON object,
//! or nothing, as its body, without a key `chain`. Its answer is read if it is a success, plain JSON, and at most 1 MiB long.
//!
//! | the answer | the caller gets |
//! | --- | --- |
//! | names the session's chain | the answer, with [`Proof::Confirmed`](crate::Proof) |
//! | names another chain | [`ErrorKind::WrongDefaults`](crate::ErrorKind::WrongDefaults); the session is used no more |
//! | anything else | the answer, with the proof that it has without a check |
//!
//! "Anything else" includes an answer that is compressed, breaks off, is no JSON or names no chain. It is handed on with the same
//! bytes, trailers and errors. Other requests pass as through a [`SessionLayer`](crate::SessionLayer) `with_proof`.
//!
//! The request behind a withheld answer was carried out. For these routes that means keys or a comparison that nobody gets to see. A
//! retry gets a new session.
//!
//! # Where one session after another is wrong
//!
//! Behind replicas that do not share their sessions, or a proxy that takes `X-Session-Id` away, a new session is no better. The
//! first wrong session is replaced at once. If its successor is wrong within its first 3 requests, requests that need a session
//! fail with [`ErrorKind::WrongDefaults`](crate::ErrorKind::WrongDefaults) and a
//! [`retry_after`](crate::Error::retry_after) of 2 s, and are not sent. The pause doubles with each such session, to 10 min, and
//! begins anew after 10 min without a wrong answer. Sessions that were right for longer are replaced at once up to a dozen
//! times in a row, as after restarts. So wrong answers cost at most about 160 sessions a day for one API key and set of
//! defaults, where a pro key has 2,000 calls.
//!
//! With [inline defaults](crate::inline), a request without a session is checked by what its body names. A wrong answer is then
//! withheld and costs no session, as none was at fault; a right one keeps its `Proof::Inline` and counts in `Stats::confirmed`.
//!
//! # What it costs
//!
//! The response future is ready when the whole answer is there, instead of its head. In tower, the request's body is
//! read ahead too, up to 1 MiB, before the request gets its session. Other routes are not read.
//!
//! # Where it belongs in a stack
//!
//! It takes the place of the [`SessionLayer`](crate::SessionLayer). Put it inside of retries, so that
//! a retry gets a new session, and outside of anything that caches or rewrites answers.
//!
//! It may also stand below a `SessionLayer` of the same manager, and then checks the session that this one chose. Together with
//! [`replay_once`](crate::SessionLayer::replay_once) it makes a [`CheckedReplayLayer`], in either order.
//!
//! In tower it changes both body types: the inner service gets an `http::Request<CheckedBody<B>>`, the caller an
//! `http::Response<CheckedBody<B>>`. With `reqwest` and `reqwest-middleware` no type changes. A `reqwest::Response` that
//! was read keeps status, version, headers, extensions, URL and remote address; its body is in memory. A request whose body is a
//! stream is not checked there, since `reqwest` does not let it be looked at.

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
