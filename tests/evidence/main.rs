//! Whether the server is still the one that knows the sessions: restarts that no call met, and alarms that are none.
#![allow(clippy::unwrap_used)] // helpers are tests too

#[path = "../support/mod.rs"]
mod support;

mod alarms;
mod answers;
mod clocks;
mod restarts;
mod silence;
mod slow;
mod uploads;
