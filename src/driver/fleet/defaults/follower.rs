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

    /// Adopts the defaults that other processes have changed, before the first request or after an idle time.
    /// Requests with the manager's defaults wait meanwhile. The caller holds the lock of changes.
    fn begin_with_defaults(self: Arc<Self>, now: SessionDefaults) -> Result<(), Error>;

    /// Switches to the defaults that other processes have changed, if a session with them can be used at once. That
    /// is the current session, or the one that was `made`, which may have been evicted already. Otherwise returns the
    /// partition that needs a session first. The caller holds the lock of changes.
    fn try_follow(
        self: Arc<Self>,
        now: SessionDefaults,
        made: Option<Outcome>,
    ) -> Result<Option<Arc<Partition>>, Error>;
}
