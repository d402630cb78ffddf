//! What a store has to do, of each store that there is; and what can become of a server.
#![allow(clippy::unwrap_used, unreachable_pub)] // a test crate, also in what its tests share

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
