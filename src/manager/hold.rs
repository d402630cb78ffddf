//! A failure that holds others back for a while.

use std::time::Duration;

use super::policy;
use crate::{clock::Reading, error::Error};

/// How long a lapsed hold is remembered, so that the next failure still counts as one more in a row.
const REMEMBER: Duration = Duration::from_secs(10 * 60);
/// How long others wait for who tries whether a hold is over.
const PROBE: Duration = Duration::from_secs(30);

/// A failure that holds others back.
#[derive(Debug)]
pub(crate) struct Hold {
    since: Reading,
    pause: Duration,
    error: Error,
    failures: u32,
    /// Since when somebody tries whether it is over. The others wait for what comes of it.
    probed: Option<Reading>,
}

impl Hold {
    pub(crate) fn began_before(&self, sent: Reading) -> bool {
        self.since.monotonic <= sent.monotonic
    }

    /// Somebody tries whether it is over.
    pub(crate) fn probe(&mut self, now: Reading) {
        self.probed = Some(now);
    }

    fn new(error: Error, failures: u32, now: Reading) -> Self {
        let pause = policy::consequence(&error, failures).pause;
        Self {
            since: now,
            pause,
            error,
            failures,
            probed: None,
        }
    }

    /// How much longer it holds.
    pub(crate) fn left(&self, now: Reading) -> Duration {
        let probe = self.probed.map_or(Duration::ZERO, |since| {
            PROBE.saturating_sub(now.since(since))
        });
        self.pause.saturating_sub(now.since(self.since)).max(probe)
    }

    pub(crate) fn is_active(&self, now: Reading) -> bool {
        !self.left(now).is_zero()
    }

    /// What it says to who is held back: the failure, and when another try is due.
    pub(crate) fn error(&self, now: Reading) -> Error {
        self.error.clone().with_retry_after(self.left(now))
    }

    pub(crate) fn is_forgotten(&self, now: Reading) -> bool {
        now.since(self.since) > self.pause.saturating_add(REMEMBER)
    }
}

/// Puts a failure into a place that may hold an earlier one.
pub(crate) fn hold(place: &mut Option<Hold>, error: Error, now: Reading) -> Error {
    let failures = match place.as_ref().filter(|before| !before.is_forgotten(now)) {
        // Failures that come while one holds already are of the same moment, not one more in a row.
        Some(before) if before.error.kind() == error.kind() => {
            let lapsed = before.pause <= now.since(before.since);
            before.failures.saturating_add(u32::from(lapsed))
        }
        _ => 1,
    };
    let after = Hold::new(error, failures, now);
    let error = after.error(now);
    // A milder failure does not end what a harder one began.
    let harder = place
        .as_ref()
        .is_some_and(|before| before.probed.is_none() && before.left(now) > after.pause);
    if !harder {
        *place = Some(after);
    }
    error
}
