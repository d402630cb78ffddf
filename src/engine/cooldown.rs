//! Cooldowns: a failure holds back other calls for a while.

use std::time::Duration;

use crate::{
    clock::Reading,
    error::{Error, ErrorKind},
    model::failure,
};

/// How long a cooldown is remembered after its end, so that the next failure counts as one more in a row.
pub(crate) const REMEMBER: Duration = Duration::from_secs(10 * 60);
/// How long other creates wait for the one that probes whether a cooldown is over.
const PROBE: Duration = Duration::from_secs(30);

/// A failure that holds back other calls.
#[derive(Clone, Debug)]
pub(crate) struct Cooldown {
    since: Reading,
    pause: Duration,
    error: Error,
    /// How many equal failures there were in a row.
    failures: u32,
    /// Which create probes whether the cooldown is over, and since when. The others wait for its outcome.
    probe: Option<(u64, Reading)>,
}

impl Cooldown {
    pub(crate) fn began_before(&self, sent: Reading) -> bool {
        self.since.monotonic <= sent.monotonic
    }

    /// Records that this create probes whether the cooldown is over.
    pub(crate) fn begin_probe(&mut self, generation: u64, now: Reading) {
        self.probe = Some((generation, now));
    }

    /// Ends the probe without a result.
    pub(crate) fn end_probe(&mut self) {
        self.probe = None;
    }

    pub(crate) fn is_probed_by(&self, create: u64) -> bool {
        self.probe.is_some_and(|(prober, _)| prober == create)
    }

    /// Returns whether another create is probing.
    pub(crate) fn is_probed_by_another(&self, generation: Option<u64>, now: Reading) -> bool {
        let other = self.probe.filter(|(prober, _)| Some(*prober) != generation);
        other.is_some_and(|(_, since)| now.since(since) < PROBE)
    }

    fn new(error: Error, failures: u32, pause: Duration, now: Reading) -> Self {
        Self {
            since: now,
            pause,
            error,
            failures,
            probe: None,
        }
    }

    /// Returns how much longer the cooldown is active.
    pub(crate) fn left(&self, now: Reading) -> Duration {
        self.pause.saturating_sub(now.since(self.since))
    }

    /// Extends the cooldown to at least `left`, which other processes wait after failures of the key. Does nothing
    /// unless the server has refused the key to this process as well. If so, returns the error for calls that are held
    /// back.
    pub(crate) fn prolong(&mut self, left: Duration, now: Reading) -> Option<Error> {
        if self.error.kind() != ErrorKind::Credentials || self.is_forgotten(now) {
            return None;
        }
        if self.left(now) < left {
            (self.since, self.pause) = (now, left);
        }
        Some(self.error(now))
    }

    pub(crate) fn is_active(&self, now: Reading) -> bool {
        !self.left(now).is_zero()
    }

    /// Returns the error for a call that is not made because of this cooldown.
    pub(crate) fn error(&self, now: Reading) -> Error {
        self.told(now).held_back()
    }

    /// Returns the failure, with the times at which another try can succeed and at which the next one is made.
    fn told(&self, now: Reading) -> Error {
        let (error, left) = (self.error.clone(), self.left(now));
        if error.kind() != ErrorKind::Quota {
            return error.with_retry_after(left);
        }
        // A used-up quota lasts until it resets, for example at midnight. The next try is made sooner, since the quota
        // may have been raised.
        let hopeless = error.retry_after().unwrap_or_default();
        let hopeless = hopeless.saturating_sub(now.since(self.since));
        let error = error.with_retry_after(left.max(hopeless));
        error.with_next_attempt(left)
    }

    /// Returns whether the cooldown is still active, or ended at most `time` ago.
    pub(crate) fn ended_within(&self, time: Duration, now: Reading) -> bool {
        now.since(self.since) <= self.pause.saturating_add(time)
    }

    /// Returns whether the server refused the key and the refusal is still remembered.
    pub(crate) fn is_refusal(&self, now: Reading) -> bool {
        self.error.kind() == ErrorKind::Credentials && !self.is_forgotten(now)
    }

    pub(crate) fn is_forgotten(&self, now: Reading) -> bool {
        now.since(self.since) > self.pause.saturating_add(REMEMBER)
    }
}

/// Begins a cooldown in `place`, which may still have an earlier one. Returns the error with the time of the next try.
pub(crate) fn hold(place: &mut Option<Cooldown>, error: Error, now: Reading) -> Error {
    hold_after(place, error, 0, now)
}

/// Like `hold`, for a key that other processes of the fleet were already refused `elsewhere` times in a row.
pub(crate) fn hold_after(
    place: &mut Option<Cooldown>,
    error: Error,
    elsewhere: u32,
    now: Reading,
) -> Error {
    let failures = in_a_row(place.as_ref(), &error, now);
    let failures = if error.kind() == ErrorKind::Credentials {
        failures.max(elsewhere.saturating_add(1))
    } else {
        failures
    };
    let pause = failure::consequence(&error, failures).pause;
    replace(place, Cooldown::new(error, failures, pause, now), now)
}

/// Like `hold`, for a failure to connect to the server. It holds back all keys.
pub(crate) fn hold_all(place: &mut Option<Cooldown>, error: Error, now: Reading) -> Error {
    let failures = in_a_row(place.as_ref(), &error, now);
    let pause = failure::unreachable(&error, failures);
    replace(place, Cooldown::new(error, failures, pause, now), now)
}

/// Returns how many failures of this kind there were in a row, this one included.
fn in_a_row(place: Option<&Cooldown>, error: &Error, now: Reading) -> u32 {
    match place.filter(|before| !before.is_forgotten(now)) {
        // A call that fails during a cooldown was in flight when the cooldown began. So it does not count as one more.
        Some(before) if before.error.kind() == error.kind() => before
            .failures
            .saturating_add(u32::from(!before.is_active(now))),
        _ => 1,
    }
}

fn replace(place: &mut Option<Cooldown>, after: Cooldown, now: Reading) -> Error {
    let error = after.told(now);
    // Keep the cooldown before, if it lasts longer.
    let harder = place
        .as_ref()
        .is_some_and(|before| before.left(now) > after.pause);
    if !harder {
        *place = Some(after);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind::{Timeout, Unavailable};

    fn at(seconds: u64) -> Reading {
        let time = Duration::from_secs(seconds);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn only_failures_of_one_kind_are_counted_in_a_row() {
        let mut place = None;
        let mut pause = |kind, now| {
            let error = hold(&mut place, Error::new(kind, ""), at(now));
            error.retry_after().unwrap().as_secs()
        };
        assert_eq!(pause(Unavailable, 100), 1);
        assert_eq!(pause(Unavailable, 110), 2);
        assert_eq!(pause(Timeout, 120), 1, "the first of its kind");
        assert_eq!(pause(Timeout, 130), 2);
    }
}
