//! Puts a session's defaults into request bodies, as the server would.
//!
//! The server uses a session for one thing: it adds the session's defaults to JSON object bodies, key by key, where the
//! request has no such key. The client can do the same. Then no session has to survive for the defaults to apply.
//!
//! Turn it on with [`inline_defaults`](crate::SessionManagerBuilder::inline_defaults). It is off by default, since it changes
//! what the user wrote. With `reqwest` and `reqwest-middleware`, [`SessionLayer`](crate::SessionLayer) does it. In a tower stack,
//! put an [`InlineDefaultsLayer`] directly below the session layer:
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
//! A request gets exactly the defaults of the session that it would get: those in its extensions, its layer's, or the manager's.
//! Those that the body does not name are put in behind its opening brace. Every other byte stays as the user wrote it. Escaped
//! keys count, and so does an explicit `null`; keys of nested objects do not.
//!
//! | the body | what happens |
//! | --- | --- |
//! | a JSON object in UTF-8 | the missing defaults are put in |
//! | empty, with `Content-Length: 0` or `Transfer-Encoding` | it becomes an object with the defaults |
//! | empty otherwise, an array, not JSON, or another `Content-Type` | nothing: the server adds no defaults there either |
//! | compressed, in another charset, or longer than 1,048,576 bytes when merged | nothing: only a session in the header brings the defaults |
//!
//! A stream that turns out to be empty counts as `{}`, as its chunks would.
//!
//! `Content-Length` is set anew where the request has one. If the request has a digest or a signature over its body, such as
//! `Content-Digest`, and the body lacks a default, the request fails with
//! [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) instead of going out with a wrong one.
//!
//! Nothing is put in on Sipher's public paths and on `/v1/sessions`, nor where a request has
//! [`NoSession`](crate::NoSession) or keeps a session id of its own.
//!
//! A `default_viewing_key` goes into bodies like any other default, and so into the hands of whatever logs bodies below the layer.
//!
//! # When a request needs no session
//!
//! With [`WithoutSession`](InlineDefaults::WithoutSession) and [`Always`](InlineDefaults::Always), a request never waits for a
//! session once its body is merged, nor where the server would add no defaults: `GET`, `HEAD` and `DELETE` without a body,
//! other types than JSON, arrays. If no session is at hand, such a request goes out at once without one, and the session is
//! created in the background. So the first request of a process goes inline, and the next by both.
//!
//! Any other request waits, and [`OnNoSession`](crate::OnNoSession) decides if there is none. This includes a `POST` without a
//! `Content-Type`, or without a body: a client below may add what is missing, such as the `default_headers` of a
//! `reqwest::Client`, and then the server adds defaults.
//!
//! [`without_sessions`](crate::SessionManagerBuilder::without_sessions) never creates one. This is the way for keys of the
//! free tier.
//!
//! # How to see it
//!
//! [`Proof::inlined`](crate::Proof::inlined) says for each response what became of the body:
//!
//! | [`Proof`](crate::Proof) | [`Inlined`] | the defaults came by |
//! | --- | --- | --- |
//! | `Session`, `Confirmed` | `Merged` or `Complete` | header and body |
//! | `Session`, `Confirmed` | `Off` or `Not` | the header alone |
//! | `Inline` | `Merged` or `Complete` | the body alone |
//! | `Inline` | `Not` | nothing: the server adds none to such a request |
//! | `Neither` | `Not` | nothing, and the server's own applied: worth an alarm |
//! | `Without`, `OwnSession` | `Off` | what the request asked for |
//!
//! [`Stats::inlined`](crate::Stats) and [`Stats::not_inlined`](crate::Stats) count. [`Event::NotInlined`](crate::Event) comes once
//! for each reason why this crate could not merge a body that the server would.
//! [`inline_strict`](crate::SessionManagerBuilder::inline_strict) refuses such bodies.
//!
//! # Where it belongs in a stack
//!
//! Below retries, so that each sending is merged once, from the user's own body. Above anything that compresses, signs or digests
//! request bodies. Nothing between the session layer and the inline layer. If a `Buffer` stands there, a request waits for its
//! session first: the buffer does not ask the inline layer whether it is ready, which is how the session layer knows of it.
//!
//! A body is collected before its request is sent, so a stream is held in memory, up to 1 MiB of it. A stream that stalls holds its
//! request up. With `reqwest` this ends with the request's own timeout and with the manager's shutdown; in a tower stack, put a
//! timeout above.
//!
//! # Cancel safety
//!
//! A response future that is dropped while the body is read has sent nothing, and holds no session any more.
//!
//! # By hand
//!
//! [`merge`] is the merge alone, as a pure function, for clients that cannot be wrapped. It chooses no session and sends
//! nothing.

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
