//! The gateway over real sockets, in front of a fake Sipher.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod admin;
mod failures;
mod grants;
mod headers;
mod program;
mod sessions;
mod slow;
mod smuggling;
mod streaming;
mod support;
