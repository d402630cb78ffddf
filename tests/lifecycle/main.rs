//! The life of a session, in virtual time.

#[path = "../support/mod.rs"]
mod support;

mod budget;
mod change;
mod create;
mod failures;
mod renewal;
mod retire;
mod shutdown;
