//! The default of each setting, with the reason for it, and the limits of those settings that have limits.

use std::{ops::RangeInclusive, time::Duration};

/// The server's own default. With steady traffic it costs about 30 creates a day.
pub(crate) const TTL: Duration = Duration::from_secs(60 * 60);
/// Less than [`MAX_WAIT`], so that a caller whose create fails gets the error of the create and not only a timeout.
pub(crate) const CREATE_TIMEOUT: Duration = Duration::from_secs(20);
/// [`CREATE_TIMEOUT`], and 10 s more in which a create may wait for the call budget, or for a server that wants fewer
/// calls (429).
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(30);
/// As long as the server's rate-limit window. A manager that sends few requests then asks one free question a minute at
/// most.
pub(crate) const VERIFY_AFTER: Duration = Duration::from_secs(60);
/// At least 10 s, because the server's documents advise against more than one health call in that time. At most 24 h,
/// because no session lives longer.
pub(crate) const VERIFY_AFTER_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(24 * 60 * 60);
/// The server may still be reading a request that its caller has dropped. Keeping the session 10 s longer costs
/// nothing.
pub(crate) const LINGER: Duration = Duration::from_secs(10);
/// The number of sessions may grow to ten times this setting, and the server keeps 10,000 sessions.
pub(crate) const MAX_SESSIONS: u64 = 1_000;
/// Longer than a restart or a failover of the store should take.
pub(crate) const MEMBER_LEASE: Duration = Duration::from_secs(5 * 60);
/// Long enough for a process to reach the store four times, with some time to spare.
pub(crate) const LEAST_MEMBER_LEASE: Duration = Duration::from_secs(30);
