//! The bound on session calls, and what a call is for.

use std::time::Duration;

use crate::error::Error;

/// How many session calls a manager may make in a minute. The server allows 100 calls of any kind, so 40 are left to
/// users' requests.
pub(crate) const PER_MINUTE: u32 = 60;
/// A minute's calls at once: a process that starts can serve 60 keys without a wait.
pub(crate) const BURST: u32 = 60;
/// How many checks and deletes one API key may cost in a day: a quarter of the 2,000 session operations that a pro key
/// has.
pub(crate) const UPKEEP_PER_DAY: u32 = 500;

/// How many session calls a manager may make: a number at once (the burst), and a number per minute on average.
///
/// ```
/// use std::time::Duration;
/// use sipher_session::CallBudget;
///
/// let budget = CallBudget::default(); // 60 a minute, 60 at once
/// assert_eq!(budget.bound(Duration::from_secs(90)), 60 + 90);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallBudget {
    pub(crate) per_minute: u32,
    pub(crate) burst: u32,
    pub(crate) upkeep_per_day: u32,
}

impl CallBudget {
    /// Allows `burst` calls at once and `per_minute` on average.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if either is zero.
    pub(crate) fn new(per_minute: u32, burst: u32) -> Result<Self, Error> {
        let check = |name: &str, value: u32| match value {
            0 => Err(Error::config(format!(
                "call_budget.{name}: is 0; expected 1 or more"
            ))),
            _ => Ok(()),
        };
        check("per_minute", per_minute)?;
        check("burst", burst)?;
        Ok(Self {
            per_minute,
            burst,
            upkeep_per_day: UPKEEP_PER_DAY,
        })
    }

    pub(crate) fn with_upkeep_per_day(self, upkeep_per_day: u32) -> Self {
        Self {
            upkeep_per_day,
            ..self
        }
    }

    /// Returns the most session calls that a manager makes in any span of time this long.
    pub fn bound(&self, span: Duration) -> u64 {
        let refilled = span.as_nanos() / self.interval().as_nanos();
        u64::from(self.burst).saturating_add(u64::try_from(refilled).unwrap_or(u64::MAX))
    }

    /// Returns the most checks and deletes that a manager makes for one API key in any span of time this long. Deletes
    /// at shutdown are not included. The bound is [`upkeep_per_day`](crate::SessionManagerBuilder::upkeep_per_day) for
    /// each day that has begun, and for one more.
    pub fn upkeep_bound(&self, span: Duration) -> u64 {
        let days = span.as_secs() / (24 * 60 * 60) + 2;
        days.saturating_mul(u64::from(self.upkeep_per_day))
    }

    pub(crate) fn interval(self) -> Duration {
        Duration::from_secs(60) / self.per_minute
    }
}

impl Default for CallBudget {
    fn default() -> Self {
        Self {
            per_minute: PER_MINUTE,
            burst: BURST,
            upkeep_per_day: UPKEEP_PER_DAY,
        }
    }
}

/// What a call is for. Less urgent calls leave a part of the call budget to more urgent ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A create. A request waits for it, or will soon.
    Create,
    /// A call of `GET /v1/health`. It counts against no limit of the server.
    Question,
    /// A check of one session. A request may wait for it, but a create would serve it as well.
    Check,
    /// A delete of a session that would expire anyway.
    Delete,
    /// A delete at shutdown, when no more urgent call can come.
    LastDelete,
}
