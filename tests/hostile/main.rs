//! Hostile servers and settings: nothing panics, nothing grows without bound, nothing hangs.
//!
//! The answers are recorded ones that were changed at random. `HOSTILE_SEED` replays one case, and `HOSTILE_CASES` sets
//! the number of cases.
#![allow(clippy::unwrap_used, unreachable_pub)] // a test crate

mod answers;
mod endless;
mod mutate;
mod settings;
mod tables;
