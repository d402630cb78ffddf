//! Puts a session's defaults into request bodies, as the server would.
//!
//! The server uses a session for one thing. It adds the session's defaults to JSON object bodies, key by key, where
//! the request has no such key. The client can do the same. Then the defaults apply even if the server has lost the
//! session.
//!
//! Turn it on with [`inline_defaults`](crate::SessionManagerBuilder::inline_defaults). It is off by default, because
//! it changes the user's request bodies. With `reqwest` and `reqwest-middleware`,
//! [`SessionLayer`](crate::SessionLayer) does it. In a tower stack, put an [`InlineDefaultsLayer`] directly below the
//! session layer:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sipher_session::BoxError> {
//! # use http::Request;
//! # use http_body_util::Full;
//! use sipher_session::{
//!     Chain, InlineDefaults, InlineDefaultsLayer, SessionDefaults, SessionLayer, SessionManager,
//!     api::{Bytes, Transport},
//!     testing::{FakeSipher, TestClock, Tier},
//! };
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! let sipher = FakeSipher::new();
//! let sessions = SessionManager::builder()
//!     .api_key(sipher.api_key(Tier::Pro))
//!     .defaults(SessionDefaults::new().chain(Chain::Near))
//!     .inline_defaults(InlineDefaults::Always)
//!     .transport(Transport::new(sipher.clone()))
//!     .clock(TestClock::new())
//!     .build()?;
//! let http = ServiceBuilder::new()
//!     .layer(SessionLayer::new(sessions.clone()))
//!     .layer(InlineDefaultsLayer::new(sessions.clone()))
//!     .service(sipher.clone());
//! for _ in 0..3 {
//!     let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
//!         .header("content-type", "application/json")
//!         .body(Full::<Bytes>::from("{}"))?;
//!     http.clone().oneshot(request).await?;
//!     assert_eq!(sipher.log().last().unwrap().chain.as_deref(), Some("near"));
//!     sipher.restart(); // which forgets the session, and no call meets it
//! }
//! # Ok(()) }
//! ```
//!
//! # What goes into a body
//!
//! The defaults are exactly those of the session that the request would get: from its extensions, its layer, or the
//! manager. Each default that the body does not name is added behind the body's opening brace. Every other byte stays
//! as the user wrote it. A key with escapes in its name counts as present, and so does a key whose value is `null`.
//! Keys of nested objects do not count.
//!
//! | the body | what happens |
//! | --- | --- |
//! | a JSON object in UTF-8 | the missing defaults are put in |
//! | empty, with `Content-Length: 0` or `Transfer-Encoding` | it becomes an object with the defaults |
//! | empty otherwise, an array, not JSON, or another `Content-Type` | nothing: the server adds no defaults there either |
//! | compressed, in another charset, or over 1,048,576 bytes when merged | nothing: only a session in the header brings the defaults |
//!
//! A stream that turns out to be empty counts as `{}`, because the server reads an empty chunked body so.
//!
//! If the request has a `Content-Length`, it is updated. A request may have a digest or a signature over its body,
//! such as `Content-Digest`. If its body lacks a default, the request fails with
//! [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest), because the digest would be wrong.
//!
//! Nothing is put in on Sipher's public paths and on `/v1/sessions`. The same holds for a request that has
//! [`NoSession`](crate::NoSession), or that keeps a session id of its own.
//!
//! A `default_viewing_key` is put into bodies like any other default. So anything below the layer that logs bodies
//! sees it.
//!
//! # When a request needs no session
//!
//! With [`WithoutSession`](InlineDefaults::WithoutSession) and [`Always`](InlineDefaults::Always), a request never
//! waits for a session once its body is merged. It does not wait either if the server would add no defaults: `GET`,
//! `HEAD` and `DELETE` without a body, types other than JSON, arrays. If no session can be used at once, such a request
//! is sent without one, and the session is created in the background. So the first request of a process has its
//! defaults in the body alone. Later ones have them in the body and in the session.
//!
//! The same happens while it is not certain that the server still has the session. Example: no answer has proven it for
//! [`verify_after`](crate::SessionManagerBuilder::verify_after), 60 s by default. Then the next request goes out
//! without the session, and the server is asked meanwhile. So an agent whose calls are further apart than that
//! sends all of them without a session id. Their bodies name all defaults. Such an agent needs no sessions: see the
//! next paragraph but one.
//!
//! Any other request waits, and [`OnNoSession`](crate::OnNoSession) decides if no session comes. This includes a
//! `POST` without a `Content-Type`, or without a body. A client below may add what is missing, such as the
//! `default_headers` of a `reqwest::Client`. Then the server would add defaults.
//!
//! With [`without_sessions`](crate::SessionManagerBuilder::without_sessions), the manager never creates a session.
//! Use it for API keys of the free tier.
//!
//! # How to see it
//!
//! [`Proof::inlined`](crate::Proof::inlined) says for each response what happened to the body of its request:
//!
//! | [`Proof`](crate::Proof) | [`Inlined`] | where the defaults were |
//! | --- | --- | --- |
//! | `Session`, `Confirmed` | `Merged` or `Complete` | header and body |
//! | `Session`, `Confirmed` | `Off` or `Not` | the header alone |
//! | `Inline` | `Merged` or `Complete` | the body alone |
//! | `Inline` | `Not` | nothing: the server adds none to such a request |
//! | `Neither` | `Not` | nowhere: the server's own defaults applied; worth an alarm |
//! | `Without`, `OwnSession` | `Off` | what the request asked for |
//!
//! [`Stats::inlined`](crate::Stats) and [`Stats::not_inlined`](crate::Stats) count such requests. If this crate
//! cannot merge a body that the server would merge, [`Event::NotInlined`](crate::Event) says why, once for each
//! reason. [`inline_strict`](crate::SessionManagerBuilder::inline_strict) refuses such bodies.
//!
//! # Where it belongs in a stack
//!
//! Put it below retries, so that each sending is merged once, from the user's own body. Put it above anything that
//! compresses, signs or digests request bodies.
//!
//! Put nothing between the session layer and the inline layer. The session layer learns of the inline layer when it
//! polls for readiness. A `Buffer` between them does not pass that on, so requests wait for their session first.
//!
//! A body is collected before its request is sent, so up to 1 MiB of a stream is held in memory. A stream that stalls
//! delays its request. With `reqwest`, this ends with the request's own timeout or with the manager's shutdown. In a
//! tower stack, put a timeout above.
//!
//! # Cancel safety
//!
//! A response future that is dropped while the body is read has sent nothing, and no longer holds a session.
//!
//! # By hand
//!
//! [`merge`] does only the merge, as a pure function, for clients that cannot be wrapped. It chooses no session and
//! sends nothing.

pub(crate) mod carrier;
pub(crate) mod course;
mod future;
pub(crate) mod handoff;
pub(crate) mod head;
mod key;
mod layer;
mod members;
mod merge;
mod nesting;
pub(crate) mod presence;
mod scan;
#[cfg(test)]
mod tests;

pub use self::{
    future::InlineFuture,
    layer::{InlineDefaultsLayer, InlineDefaultsService},
    merge::{Merge, merge},
};
use crate::body::ReadAhead;
pub use crate::model::inlining::{InlineDefaults, Inlined, NotInlined};

/// The body of a request that passes an [`InlineDefaultsLayer`].
pub type InlineBody<B> = ReadAhead<B>;
