//! What an answer says about the session that its request carried.
//!
//! The head of an answer does not say whether a session applied. With
//! [`SessionLayer::with_proof`](crate::SessionLayer::with_proof), each response carries a [`Proof`] in its extensions.
//! Code that moves money can examine it before it trusts the answer.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sipher_session::BoxError> {
//! # use sipher_session::{api::{Bytes, Transport}, testing::{FakeSipher, TestClock, Tier}};
//! use sipher_session::{Proof, SessionLayer, SessionManager};
//! use tower::{Layer, ServiceExt};
//!
//! # let sipher = FakeSipher::new();
//! # let sessions = SessionManager::builder()
//! #     .api_key(sipher.api_key(Tier::Pro)).transport(Transport::new(sipher.clone())).clock(TestClock::new()).build()?;
//! # let client = sipher;
//! # let request = http::Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
//! #     .body(http_body_util::Full::<Bytes>::from("{}"))?;
//! let service = SessionLayer::new(sessions).with_proof().layer(client);
//! let response = service.oneshot(request).await?;
//! match response.extensions().get::<Proof>() {
//!     Some(Proof::Session { doubt: None, .. }) => {} // its defaults applied, as far as a client can know
//!     other => panic!("{other:?}"),
//! }
//! # Ok(()) }
//! ```
//!
//! Three routes say in the body which chain they used: a [checked](crate::SessionLayer::checked) layer reads it.

use std::time::Duration;

use super::{
    inlining::{Inlined, NotInlined},
    session_ref::SessionRef,
};

/// Says, in the extensions of a response, which session its request carried.
///
/// Responses to requests that this crate does not handle have no proof: those to another origin, to public paths, and
/// session calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// The request carried a session of this crate.
    #[non_exhaustive]
    Session {
        /// The session.
        session: SessionRef,
        /// How old the session was when the head of the response arrived.
        age: Duration,
        /// How much of the session's life was left at that time. When the server looked the session up, a little more
        /// was left.
        left: Duration,
        /// What happened to its defaults in the body.
        inlined: Inlined,
        /// Why the session's defaults may not have applied. `None` if there is no reason to doubt it. If the body
        /// itself names all defaults, only [`Doubt::Leaked`] is possible.
        doubt: Option<Doubt>,
    },
    /// The request carried a session of this crate, and the answer names that session's chain. No doubt is left. Only a
    /// [checked](crate::SessionLayer::checked) layer says this.
    ///
    /// The chain is certainly right. This also proves that the session applied, except in two cases: the session's
    /// chain is the server's own default (`solana` today), or the body names the chain (see `inlined`).
    #[non_exhaustive]
    Confirmed {
        /// The session.
        session: SessionRef,
        /// How old the session was when the head of the response arrived.
        age: Duration,
        /// How much of its life was left then.
        left: Duration,
        /// What happened to its defaults in the body.
        inlined: Inlined,
    },
    /// The request carried no session and did not need one: its body names all defaults, or the server does not merge
    /// any into such a body. See [`InlineDefaults`](crate::InlineDefaults).
    #[non_exhaustive]
    Inline {
        /// What happened to the defaults in the body.
        inlined: Inlined,
        /// [`Doubt::Leaked`] if the answer came from another origin.
        doubt: Option<Doubt>,
    },
    /// The server's own defaults applied, which is worth an alarm. The request had neither a session nor its defaults
    /// in the body, because [`OnNoSession::SendWithout`](crate::OnNoSession) is set. This occurs only with
    /// [`InlineDefaults`](crate::InlineDefaults) other than `Off`.
    #[non_exhaustive]
    Neither {
        /// Why the body does not contain the defaults.
        reason: NotInlined,
    },
    /// The request brought its own session id, which was left as it was.
    OwnSession,
    /// The request was sent without a session, because the request or [`OnNoSession`](crate::OnNoSession) said so. The
    /// server's own defaults applied.
    Without,
}

/// Why a session that was alive when its request was sent may have been dead when the server looked it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The session's id went to another origin, with this request or another. It is unknown who wrote the answer.
    Leaked,
    /// The answer arrived after the session's end. Something below the layer delayed the request.
    Late,
    /// While the request was in flight, this crate found out that the server had lost the session.
    Lost,
    /// A sign of trouble was seen while the request was in flight, and it is not known yet what became of the session.
    Suspect,
    /// The answer does not prove that it comes from the process that has the session, because its rate-limit window is
    /// not known or not confirmed yet. A restart that nobody noticed looks like this. So do other cases:
    ///
    /// - the first answer of each window, once a minute;
    /// - every answer behind a gateway that removes the `RateLimit` headers;
    /// - if two windows are open at once, the answers in the younger one. This happens with two processes that do not
    ///   share sessions, and with a CDN that has several edges.
    Unproven,
}
