//! Servers and settings that are out to do harm: nothing panics, nothing grows without bound, nothing hangs.
//!
//! The answers are recorded ones that were changed at random; `HOSTILE_SEED` replays a run and `HOSTILE_CASES` makes it
//! longer.
#![allow(clippy::unwrap_used, unreachable_pub)] // a test crate

mod answers;
mod endless;
mod mutate;
mod settings;
mod tables;
