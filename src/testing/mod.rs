//! A Sipher to test against.
