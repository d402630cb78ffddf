//! What happens to requests that may not be what they seem.

use super::SessionManagerBuilder;
use crate::model::{outside::Outside, settings::ForeignIds};

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

    /// Sets what happens to a request that goes elsewhere and yet looks like one for Sipher. Defaults to [`Outside::Pass`], which
    /// counts it and warns once for each origin.
    ///
    /// Change it to [`Outside::Refuse`] where all that goes to Sipher goes below [`base_url`](Self::base_url) or an
    /// [`alias`](Self::alias): a wrong host name is then an error at the first request.
    pub fn on_outside(mut self, policy: Outside) -> Self {
        self.on_outside = policy;
        self
    }
}
