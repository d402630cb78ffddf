//! What each setting is if nobody sets it, and why; and the limits of those that have some.

use std::{ops::RangeInclusive, time::Duration};

/// The server's own default. With steady traffic it costs about 30 creates a day.
pub(crate) const TTL: Duration = Duration::from_secs(60 * 60);
/// Less than [`MAX_WAIT`], so that a caller who waits in vain is told why there is no session.
pub(crate) const CREATE_TIMEOUT: Duration = Duration::from_secs(20);
/// [`CREATE_TIMEOUT`], and some time before it for the call budget and the server's pace.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(30);
/// At most one free question a minute for a manager that sends little: as long as the server's rate-limit window.
pub(crate) const VERIFY_AFTER: Duration = Duration::from_secs(60);
/// The server's own documents advise against more than one health call in 10 s. No session lives for more than a day.
pub(crate) const VERIFY_AFTER_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(24 * 60 * 60);
/// The server may still read a request that its caller has dropped. To keep the session 10 s longer costs nothing.
pub(crate) const LINGER: Duration = Duration::from_secs(10);
/// The number may grow to ten times this, and the server keeps 10,000 sessions.
pub(crate) const MAX_SESSIONS: u64 = 1_000;
/// Longer than a restart or a failover of the store should take.
pub(crate) const MEMBER_LEASE: Duration = Duration::from_secs(5 * 60);
/// Time for four looks, with some to spare.
pub(crate) const LEAST_MEMBER_LEASE: Duration = Duration::from_secs(30);
