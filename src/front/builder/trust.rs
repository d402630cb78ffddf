//! Settings of the builder: requests with unknown session ids, and requests to other origins.

use super::SessionManagerBuilder;
use crate::model::{outside::Outside, settings::ForeignIds};

impl SessionManagerBuilder {
    /// Sets what happens to a request that carries a session id which this manager does not know. Defaults to
    /// [`ForeignIds::Refuse`].
    ///
    /// Change it to [`ForeignIds::Replace`] in a proxy that passes its callers' headers on. Change it to
    /// [`ForeignIds::Keep`] if your code manages some sessions by other means than
    /// [`SessionManager::api`](crate::SessionManager::api).
    pub fn foreign_ids(mut self, policy: ForeignIds) -> Self {
        self.foreign_ids = policy;
        self
    }

    /// Sets what happens to a request that goes to another origin and yet looks like one for Sipher. Defaults to
    /// [`Outside::Pass`]: the request is counted, and a warning names each origin once.
    ///
    /// Change it to [`Outside::Refuse`] if all requests to Sipher go below [`base_url`](Self::base_url) or an
    /// [`alias`](Self::alias). Then a wrong host name is an error at the first request.
    pub fn on_outside(mut self, policy: Outside) -> Self {
        self.on_outside = policy;
        self
    }
}
