//! Session-aware client middleware for the Sipher REST API.
#![forbid(unsafe_code)]

pub mod api;
pub mod clock;
mod error;
mod scope;
mod secret;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;

pub use self::api::{
    Backend, Chain, PrivacyLevel, RpcProvider, SessionDefaults, SessionId, SessionsApi,
};
pub use self::error::{BoxError, Error, ErrorKind};
pub use self::secret::{ApiKey, Fingerprint, ViewingKey};
