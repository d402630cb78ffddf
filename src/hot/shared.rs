//! A session's place among the processes that share it, as requests see it.

use std::{any::Any, fmt::Debug, time::Duration};

use crate::clock::Reading;

/// What a request needs to know of it.
pub(crate) trait Shared: Any + Debug + Send + Sync {
    /// Counts up over the sessions that the fleet has made for a partition.
    fn generation(&self) -> u64;

    /// Nobody else uses it.
    fn is_last(&self) -> bool;

    /// Nobody else takes it up.
    fn was_refused(&self) -> bool;

    /// How long it may be used without reaching the store, less what a request may be held up.
    fn usable_for(&self, now: Reading, hard: Duration) -> Duration;
}
