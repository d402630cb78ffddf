//! The life of a session, in virtual time.

// For the helper functions, and to measure how long something took.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::unchecked_time_subtraction
)]

#[path = "../support/mod.rs"]
mod support;

mod budget;
mod change;
mod check;
mod create;
mod failures;
mod lease;
mod out_of_sight;
mod outage;
mod outage_deletes;
mod reaper;
mod renewal;
mod retire;
mod room;
mod shares;
mod shutdown;
mod suspicion;
mod tenants;
mod unanswered;
mod upkeep;
