//! The interface of a manager that follows the defaults of a group.

use std::sync::Arc;

use crate::{
    api::SessionDefaults,
    driver::flight::Outcome,
    error::Error,
    model::{identity::Identity, partition::Partition},
};

/// A manager, as its fleet sees it.
pub(crate) trait Follower: Send + Sync {
    fn identity(&self) -> Arc<Identity>;

    /// Switches to the defaults `now`, which other processes have changed, before the first request or after an idle
    /// time. Requests with the manager's defaults wait meanwhile. The caller holds the lock of changes.
    fn begin_with_defaults(self: Arc<Self>, now: SessionDefaults) -> Result<(), Error>;

    /// Switches to the defaults `now`, which another process has changed, if there is a session with these defaults. If
    /// there is none, returns the partition: the caller creates a session for it and calls this again.
    ///
    /// `made` is the outcome of that create. Its session is used even if it was evicted meanwhile. The caller holds the
    /// lock of changes.
    fn try_follow(
        self: Arc<Self>,
        now: SessionDefaults,
        made: Option<Outcome>,
    ) -> Result<Option<Arc<Partition>>, Error>;
}
