//! Session-aware client middleware for the Sipher REST API.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod api;
pub mod clock;
pub mod config;
mod error;
mod headers;
pub mod layer;
mod manager;
pub mod observability;
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
pub mod reqwest;
mod scope;
mod secret;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;

pub use self::{
    api::{Backend, Chain, PrivacyLevel, RpcProvider, SessionDefaults, SessionId, SessionsApi},
    config::SessionConfig,
    error::{BoxError, Error, ErrorKind},
    layer::{SessionLayer, SessionService},
    manager::{
        CallBudget, Event, Events, Fate, Lease, NoSession, OnNoSession, RetireReason, Session,
        SessionEnd, SessionManager, SessionManagerBuilder, SessionRef, ShutdownReport, Stats,
    },
    secret::{ApiKey, Fingerprint, ViewingKey},
};
