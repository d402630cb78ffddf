//! What an answer says about the session that its request was sent with.
//!
//! The head of an answer does not say whether a session applied. With [`SessionLayer::with_proof`](crate::SessionLayer::with_proof) each
//! response carries a [`Proof`] in its extensions, so that who moves money can look before he believes.
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

/// Says, in the extensions of a response, which session its request was sent with.
///
/// Responses of requests that are none of this crate's business (another origin, public paths, session calls) bear none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// It was sent with a session of this crate's.
    #[non_exhaustive]
    Session {
        /// The session.
        session: SessionRef,
        /// How old it was when the head of the response was there.
        age: Duration,
        /// How much of its life was left then: the server looked it up before.
        left: Duration,
        /// What became of its defaults in the body.
        inlined: Inlined,
        /// What speaks against that its defaults applied. Where the body names all of them, nothing but [`Doubt::Leaked`] does.
        doubt: Option<Doubt>,
    },
    /// It was sent with a session of this crate's, and the answer names that session's chain: nothing speaks against it any
    /// more. Only a [checked](crate::SessionLayer::checked) layer says this.
    ///
    /// It is certain that the chain is right. That the session applied follows where its chain is not the server's own default,
    /// which is `solana` today.
    #[non_exhaustive]
    Confirmed {
        /// The session.
        session: SessionRef,
        /// How old it was when the head of the response was there.
        age: Duration,
        /// How much of its life was left then.
        left: Duration,
        /// What became of its defaults in the body.
        inlined: Inlined,
    },
    /// It was sent without a session, and means the same as with one: its body names all defaults, or the server would not
    /// look for any there. See [`InlineDefaults`](crate::InlineDefaults).
    #[non_exhaustive]
    Inline {
        /// What became of the defaults in the body.
        inlined: Inlined,
        /// [`Doubt::Leaked`] if the answer came from another origin.
        doubt: Option<Doubt>,
    },
    /// The server's own defaults applied: worth an alarm. The request went out with neither a session nor its defaults in the
    /// body, because [`OnNoSession::SendWithout`](crate::OnNoSession) is set. It takes
    /// [`InlineDefaults`](crate::InlineDefaults) other than `Off`.
    #[non_exhaustive]
    Neither {
        /// Why the body does not name them.
        reason: NotInlined,
    },
    /// It was sent with a session id of its own, which was left as it was.
    OwnSession,
    /// It was sent without a session, because it or [`OnNoSession`](crate::OnNoSession) said so: the server's own
    /// defaults applied.
    Without,
}

/// Why a session that was good when its request was sent may not have been when the server looked it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The session's id went to another origin, with this request or with another: whose answer it is, nobody knows.
    Leaked,
    /// The answer came after the session's end. What held the request up is below the layer.
    Late,
    /// The server has been found to have lost the session while the request was under way.
    Lost,
    /// There was a sign of trouble while the request was under way, and it is not known yet what became of the session.
    Suspect,
    /// The answer itself does not prove that it comes from the process that has the session: its rate-limit window is not
    /// known, or not known yet. A restart that nobody noticed looks like this, and so does the first answer of each window, once
    /// a minute, and every answer behind a gateway that takes the `RateLimit` headers off. Where two windows are open at once, as with two
    /// processes that do not share sessions or a CDN with several edges, so do the answers in the younger one.
    Unproven,
}
