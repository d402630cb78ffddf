//! Decides what follows from a failed create: which other creates are held back, and for how long.
//!
//! | failure | held back | for |
//! | --- | --- | --- |
//! | wrong answer, rejected, wrong address | the partition | 60 s |
//! | credentials | the API key | 30 s, doubling to 10 min |
//! | rate limited | everybody | what the server says, else 60 s |
//! | quota | the API key | until it resets, with one try every 15 min |
//! | unavailable, timeout | the partition | 1 s, doubling to 30 s |
//! | the shared store failed | the partition | 1 s |
//! | nobody can connect to the server, for a whole create | everybody | 1 s, doubling to 10 s; then one create probes |

use std::time::Duration;

use fastrand::Rng;

use super::{evidence::Cause, sign};
use crate::error::{Error, ErrorKind};

/// The pause after a failure that ends only when the settings or the server are changed. Nobody reports such a change,
/// so creates try again each minute.
const SETTLED: Duration = Duration::from_secs(60);
/// The shortest and the longest pause after a refused API key. Somebody has to correct the key or its tier.
const CREDENTIALS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10 * 60));
/// The pause after a 429 that does not say when to try again: as long as the server's rate-limit window.
const PACE: Duration = Duration::from_secs(60);
/// The longest pause while the day's quota of a key is used up. Before the quota resets, the key may get a higher tier,
/// or the server may forget the day's counts.
const QUOTA_PROBE: Duration = Duration::from_secs(15 * 60);
/// The shortest and the longest pause after an outage. The outage may be over at once, so the first pause is short.
/// Callers fail until the next try, so the longest one is 30 s.
const OUTAGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The shortest and the longest pause while nobody can connect to the server. One create then probes the server and all
/// others wait for it. So it must notice soon that the server is back.
const UNREACHABLE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// The shortest pause, even if the server says "retry now".
const LEAST: Duration = Duration::from_secs(1);
/// The limits of the pause between two tries of one create, while callers wait for it.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// The least time between two session calls of one partition (one API key with one set of defaults), whatever the
/// outcome of the first.
pub(crate) const FLOOR: Duration = Duration::from_millis(200);

/// What a failure holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The API key with these defaults.
    Partition,
    /// The API key with any defaults.
    Key,
    /// All keys.
    Origin,
}

/// What follows from a failure.
#[derive(Debug, PartialEq)]
pub(crate) struct Consequence {
    pub(crate) reach: Reach,
    pub(crate) pause: Duration,
}

/// Returns what follows from the `failures`th failure in a row.
pub(crate) fn consequence(error: &Error, failures: u32) -> Consequence {
    // If a cooldown is running already, the error reports it. `hint` is then the rest of that cooldown. So handling the
    // same error again does not prolong the cooldown.
    let hint = error.next_attempt_in();
    let (reach, pause) = match error.kind() {
        ErrorKind::Credentials => (Reach::Key, doubled(CREDENTIALS, failures)),
        ErrorKind::Quota => (
            Reach::Key,
            hint.unwrap_or(QUOTA_PROBE).clamp(LEAST, QUOTA_PROBE),
        ),
        ErrorKind::RateLimited => (Reach::Origin, hint.unwrap_or(PACE).max(LEAST)),
        ErrorKind::Unavailable | ErrorKind::Timeout => (
            Reach::Partition,
            doubled(OUTAGE, failures).max(hint.unwrap_or_default()),
        ),
        ErrorKind::Store => (Reach::Partition, LEAST),
        _ => (Reach::Partition, SETTLED),
    };
    Consequence { reach, pause }
}

/// Returns whether the error means that nobody can connect to the server, or that a gateway in front of it cannot.
pub(crate) fn is_unreachable(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable
        && match error.status() {
            None => !error.is_unknown_outcome(),
            Some(_) => sign::in_session_call(error) == Some(Cause::Sign),
        }
}

/// Returns how long all keys are held back when nobody could connect to the server for the `failures`th time in a row.
pub(crate) fn unreachable(error: &Error, failures: u32) -> Duration {
    // A longer `Retry-After` concerns only the call that got it.
    let hint = error.retry_after().unwrap_or_default().min(UNREACHABLE.1);
    doubled(UNREACHABLE, failures).max(hint)
}

/// Returns after how many refusals of a key the cooldown is at least `pause`.
pub(crate) fn refusals_before(pause: Duration) -> u32 {
    (1..8)
        .find(|refusals| doubled(CREDENTIALS, *refusals) >= pause)
        .unwrap_or(8)
}

/// Returns whether the failure concerns only this call for this partition, and a retry would fail in the same way.
pub(crate) fn is_local(error: &Error) -> bool {
    !error.is_transient() && consequence(error, 1).reach == Reach::Partition
}

/// Returns whether the error holds back the calls of all keys: a used-up call budget and a 429 do.
pub(crate) fn concerns_all(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Budget | ErrorKind::RateLimited)
}

/// Returns after how long a create tries again while its callers wait. Returns `None` if the create ends with this
/// error.
///
/// Outages get full jitter, so that the retries of many processes that failed together spread out.
pub(crate) fn retry(error: &Error, tries: u32, rng: &mut Rng) -> Option<Duration> {
    let hint = error.retry_after();
    match error.kind() {
        ErrorKind::RateLimited => Some(hint.unwrap_or(PACE).max(LEAST)),
        ErrorKind::Store => Some(hint.unwrap_or_default().max(FLOOR)),
        ErrorKind::Unavailable => {
            let drawn = doubled(RETRY, tries).mul_f64(rng.f64());
            Some(drawn.max(FLOOR).max(hint.unwrap_or_default()))
        }
        _ => None,
    }
}

fn doubled((least, most): (Duration, Duration), times: u32) -> Duration {
    let factor = 1_u32
        .checked_shl(times.saturating_sub(1))
        .unwrap_or(u32::MAX);
    least.saturating_mul(factor).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(kind: ErrorKind, hint: Option<u64>, failures: u32) -> (Reach, u64) {
        let error = Error::new(kind, "").with_retry_after(hint.map(Duration::from_secs));
        let consequence = consequence(&error, failures);
        (consequence.reach, consequence.pause.as_secs())
    }

    #[test]
    fn the_table_holds() {
        use ErrorKind::{
            Credentials, Quota, RateLimited, Rejected, Store, Timeout, Unavailable, WrongAddress,
            WrongAnswer,
        };
        use Reach::{Key, Origin, Partition};
        for (kind, hint, failures, expected) in [
            (WrongAnswer, None, 1, (Partition, 60)),
            (Rejected, None, 9, (Partition, 60)),
            (WrongAddress, None, 1, (Partition, 60)),
            (Credentials, None, 1, (Key, 30)),
            (Credentials, None, 2, (Key, 60)),
            (Credentials, None, 40, (Key, 600)),
            (Quota, Some(24 * 3600), 1, (Key, 900)),
            (Quota, Some(30), 1, (Key, 30)),
            (Quota, None, 1, (Key, 900)),
            (RateLimited, Some(17), 1, (Origin, 17)),
            (RateLimited, None, 1, (Origin, 60)),
            (RateLimited, Some(0), 1, (Origin, 1)),
            (Quota, Some(0), 1, (Key, 1)),
            (Unavailable, None, 1, (Partition, 1)),
            (Unavailable, None, 5, (Partition, 16)),
            (Unavailable, None, 60, (Partition, 30)),
            (Unavailable, Some(45), 1, (Partition, 45)),
            (Timeout, None, 2, (Partition, 2)),
            (Store, None, 9, (Partition, 1)),
        ] {
            assert_eq!(
                after(kind, hint, failures),
                expected,
                "{kind:?} {hint:?} {failures}"
            );
        }
    }

    #[test]
    fn what_was_held_back_before_is_not_held_for_longer_by_being_told_again() {
        let quota =
            Error::new(ErrorKind::Quota, "").with_retry_after(Duration::from_secs(6 * 3600));
        let held = quota.with_next_attempt(Duration::from_secs(30));
        assert_eq!(consequence(&held, 1).pause, Duration::from_secs(30));
    }

    #[test]
    fn only_outages_and_pace_are_tried_again_while_callers_wait_and_never_below_the_floor() {
        let mut rng = Rng::with_seed(7);
        let outage = Error::new(ErrorKind::Unavailable, "");
        let waits: Vec<_> = (1..200)
            .map(|tries| retry(&outage, tries, &mut rng).unwrap())
            .collect();
        assert!(waits.iter().all(|wait| (FLOOR..=RETRY.1).contains(wait)));
        assert!(waits.iter().any(|wait| *wait > RETRY.1 / 2), "it grows");
        for kind in [
            ErrorKind::Credentials,
            ErrorKind::Quota,
            ErrorKind::Rejected,
            ErrorKind::Timeout,
        ] {
            assert_eq!(retry(&Error::new(kind, ""), 1, &mut rng), None, "{kind:?}");
        }
        for kind in [ErrorKind::Unavailable, ErrorKind::RateLimited] {
            let told = Error::new(kind, "").with_retry_after(Duration::from_secs(20));
            assert!(
                retry(&told, 1, &mut rng).unwrap() >= Duration::from_secs(20),
                "{kind:?}"
            );
        }
    }
}
