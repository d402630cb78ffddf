//! What happens to requests that may not be what they seem.

use super::SessionManagerBuilder;
use crate::manager::ForeignIds;

impl SessionManagerBuilder {
    /// Sets what happens to a request that brings along a session id which is not known here. Defaults to
    /// [`ForeignIds::Refuse`].
    ///
    /// Change it to [`ForeignIds::Replace`] in a proxy that passes on its callers' headers, and to [`ForeignIds::Keep`] if your
    /// code manages some sessions by other means than [`SessionManager::api`](crate::SessionManager::api).
    pub fn foreign_ids(mut self, policy: ForeignIds) -> Self {
        self.foreign_ids = policy;
        self
    }
}
