//! No API key, viewing key or session id is in anything that this crate shows, whole or in part: in no `Debug`, no
//! `Display`, no error with its causes, no event, log, span or metric, and no panic.
#![allow(clippy::unwrap_used, unreachable_pub)] // a test crate, also in what its tests share

#[allow(dead_code)] // made for other tests
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
