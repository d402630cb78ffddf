//! What requests see of a session's place in the fleet, among the processes that share it.

use std::{any::Any, fmt::Debug, time::Duration};

use crate::clock::Reading;

/// What a request needs to know about a shared session.
pub(crate) trait Shared: Any + Debug + Send + Sync {
    /// Returns the session's number in the fleet. It counts up over the sessions of one partition.
    fn generation(&self) -> u64;

    /// Returns whether no other process uses the session.
    fn is_last(&self) -> bool;

    /// Returns whether the fleet refused the session, so that no other process will use it.
    fn was_refused(&self) -> bool;

    /// Returns how long the session may be used without reaching the store, less the time that a request may be held
    /// up.
    fn usable_for(&self, now: Reading, hard: Duration) -> Duration;
}
