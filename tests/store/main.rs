//! The duties of a store, tested with every store, and the faults of a Redis server.
#![allow(clippy::unwrap_used, unreachable_pub)] // for helper functions and shared modules

mod access;
mod cluster;
mod conformance;
mod faults;
mod keys;
mod listen;
mod random;
mod resp2;
mod restart;
mod sentinel;
mod server;
mod settings;
mod subject;
mod tls;
