//! What requests need to know about a session that several processes of a fleet share.

use std::{any::Any, fmt::Debug, time::Duration};

use crate::clock::Reading;

/// What a request needs to know about a shared session.
pub(crate) trait Shared: Any + Debug + Send + Sync {
    /// Returns the session's number in the fleet. It counts up over the sessions of one partition.
    fn generation(&self) -> u64;

    /// Returns whether no other process uses the session.
    fn is_last(&self) -> bool;

    /// Returns whether the fleet's store refused to publish the session, so that no further process adopts it.
    fn was_refused(&self) -> bool;

    /// Returns how long this process may use the session if it cannot reach the store. A request may be held up on its
    /// way for `hard`, so that time is already subtracted.
    fn usable_for(&self, now: Reading, hard: Duration) -> Duration;
}
