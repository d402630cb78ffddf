//! Whose session a failure is about: failures are shared, and each caller reads of its own session.

use std::sync::Arc;

use super::core::Core;
use crate::{
    api::SessionDefaults,
    error::{About, Error},
    model::partition::Partition,
    secret::ApiKey,
};

/// An API key with defaults, as messages name them.
pub(crate) struct Whose {
    pub(crate) key: ApiKey,
    pub(crate) defaults: Arc<SessionDefaults>,
}

impl Whose {
    pub(crate) fn of(partition: &Partition) -> Self {
        Self {
            key: partition.key.clone(),
            defaults: partition.defaults.clone(),
        }
    }

    /// Says in the message whose session it is.
    pub(crate) fn name(&self, core: &Core, error: Error) -> Error {
        let about = About {
            base: &core.settings.base,
            key: &self.key,
            defaults: Some(&self.defaults),
        };
        about.say(error)
    }
}
