//! The client for the manager's own session calls.

use super::core::Core;
use crate::{api::SessionsApi, model::partition::Partition};

impl Core {
    /// Returns a client for calls with the API key of this partition.
    pub(crate) fn calls(&self, partition: &Partition) -> SessionsApi {
        let key = (partition.key.clone(), partition.key_header());
        SessionsApi::with(
            self.transport.clone(),
            self.settings.base.clone(),
            Some(key),
            None,
        )
        .hiding(partition.defaults.default_viewing_key.clone())
    }
}
