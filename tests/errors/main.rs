//! An error of this crate can be found below any wrapper.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // for the helper functions; paused time

#[path = "../support/mod.rs"]
mod support;

mod full;
mod messages;
mod panics;
mod quota;
#[cfg(feature = "reqwest-retry")]
mod retry;
mod stacks;
mod timers;
mod wrappers;

use std::time::Duration;

use sipher_session::{Error, ErrorKind};
use support::{Call, Setup};

/// Creates a setup whose quota of the day is used up. The quota resets in six hours.
fn without_quota() -> Setup {
    let setup = Setup::apart();
    setup.sipher.burn(&setup.key, 2_000);
    setup
}

/// Asserts that the error has kept all its values.
#[track_caller]
fn assert_is_quota(found: Option<&Error>) {
    let error = found.expect("it is found");
    assert_eq!(error.kind(), ErrorKind::Quota);
    assert_eq!(error.code(), Some("DAILY_QUOTA_EXCEEDED"));
    let hours = error.retry_after().unwrap().as_secs_f64() / 3_600.0;
    assert!((5.9..=6.0).contains(&hours), "{hours}");
    assert!(error.is_transient() && error.request_id().is_some());
    assert!(error.to_string().starts_with("the server answered 429"));
}

const MINUTE: Duration = Duration::from_secs(60);
