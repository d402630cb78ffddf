//! Nothing that this crate shows contains an API key, a viewing key or a session id, or a part of one. This holds for
//! `Debug`, `Display`, errors with their causes, events, logs, spans, metrics and panics.
#![allow(clippy::unwrap_used, unreachable_pub)] // for helper functions and shared modules

#[allow(dead_code)] // other tests use the rest
#[path = "../signals/capture.rs"]
mod capture;
mod hostile;
mod life;
mod panics;
#[cfg(feature = "reqwest-middleware")]
mod sockets;
#[path = "../support/mod.rs"]
mod support;
mod types;
mod witness;
