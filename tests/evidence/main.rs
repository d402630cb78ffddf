//! Tests how the manager finds out whether the server has restarted: restarts between two calls, and false alarms.
// For the helper functions, which also read virtual time.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod alarms;
mod answers;
mod clocks;
mod doubts;
mod gateway;
mod in_vain;
mod on_their_way;
mod others;
mod overheard;
mod restarts;
mod silence;
mod slow;
mod uploads;
