//! A Sipher to test against.

pub use crate::clock::testing::TestClock;
