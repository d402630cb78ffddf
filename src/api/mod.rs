//! The four operations of the sessions API, typed.
//!
//! [`SessionsApi`] works on its own: it does not cache, retry or renew anything. The
//! [`SessionManager`](crate::SessionManager) is built on it. [`SessionManager::api`](crate::SessionManager::api)
//! returns one.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use sipher_session::{
//!     Chain, ErrorKind, SessionDefaults,
//!     api::{CreateSession, SessionsApi, Transport},
//!     testing::{FakeSipher, Tier},
//! };
//!
//! let sipher = FakeSipher::new();
//! let key = sipher.api_key(Tier::Pro);
//! let api = SessionsApi::new(Transport::new(sipher), "https://sipher-api.sip-protocol.org", key)?;
//!
//! let request = CreateSession::new(SessionDefaults::new().chain(Chain::Near))
//!     .ttl(Duration::from_secs(60));
//! let session = api.create_session(&request).await?;
//! assert_eq!(session.expires_at - session.created_at.unwrap(), 60_000);
//!
//! api.delete_session(&session.id).await?;
//! let gone = api.get_session(&session.id).await.unwrap_err();
//! assert_eq!(gone.kind(), ErrorKind::NotFound);
//! # Ok(()) }
//! ```

mod answer;
pub(crate) mod change;
mod deadline;
mod defaults;
pub(crate) mod health;
mod id;
mod model;
#[cfg(feature = "reqwest")]
mod over_reqwest;
mod quota;
pub(crate) mod scrub;
mod sessions;
mod stamp;
mod transport;
mod values;

pub use bytes::Bytes;

#[cfg(feature = "reqwest")]
pub(crate) use self::over_reqwest::default_transport;
pub(crate) use self::{
    change::{Answered, Change, Deed, Found, OnAnswer, OnChange, OnSend, Ongoing},
    defaults::KNOWN as KNOWN_DEFAULTS,
    health::{Health, Word},
    id::KeptId,
    model::check_ttl,
    quota::Quota,
    stamp::{Stamp, is_by_application},
    transport::{NotSent, Redirected},
};
#[cfg(feature = "schema")]
pub(crate) use self::{
    defaults::MAX_KEY as LONGEST_VIEWING_KEY,
    model::{MAX_TTL, MIN_TTL},
};
pub use self::{
    defaults::SessionDefaults,
    id::SessionId,
    model::{CreateSession, SessionRecord},
    sessions::SessionsApi,
    transport::Transport,
    values::{Backend, Chain, PrivacyLevel, RpcProvider},
};
