//! The types that most programs need, for `use sipher_session::prelude::*`.
//!
//! A glob import of the crate's root would also import modules such as `config`, and hide other crates of the same
//! name. This module holds no modules, and no `Error`.
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
