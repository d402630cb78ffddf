//! Many processes with one API key and one shared store, in virtual time.

// For the helper functions, and to measure how long something took.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::unchecked_time_subtraction
)]

#[path = "../support/mod.rs"]
mod support;

mod change;
mod claims;
mod ended_by_hand;
mod first_look;
mod flaky;
mod foreign_ids;
mod heartbeat;
mod inquiry;
mod joining;
mod last_handle;
mod leaks;
mod leaving;
mod many_slots;
mod new_keys;
mod nodes;
mod panics;
mod patches;
mod paused_callers;
mod processes;
mod publication;
mod records;
mod renewal;
mod runtimes;
mod settings;
mod shards;
mod simulation;
mod store_down;
mod strangers;
mod superseded;
mod untold;
