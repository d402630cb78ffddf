//! What most programs need, for `use sipher_session::prelude::*`.
//!
//! The crate's root has modules, such as `config`, whose names other crates have as well: a glob import of the root hides those. This
//! module holds no modules, and no `Error`.
//!
//! ```
//! use sipher_session::prelude::*;
//!
//! # fn run() -> Result<(), sipher_session::Error> {
//! let sessions = SessionManager::builder().api_key("sk_pro_1234").build()?;
//! let layer = SessionLayer::new(sessions).defaults(SessionDefaults::new().chain(Chain::Near));
//! # drop(layer);
//! # Ok(()) }
//! ```

pub use crate::{
    ApiKey, Backend, Chain, CheckedLayer, ErrorKind, InlineDefaults, InlineDefaultsLayer,
    NoSession, OnNoSession, PrivacyLevel, Proof, RpcProvider, SessionConfig, SessionDefaults,
    SessionLayer, SessionManager, ShutdownReport,
};
