//! Names the session that a failure is about. Several requests share a failure, and each caller reads about its own
//! session.

use std::sync::Arc;

use super::core::Core;
use crate::{
    api::SessionDefaults,
    error::{About, Error},
    model::partition::Partition,
    secret::ApiKey,
};

/// An API key with defaults, as error messages name them.
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

    /// Adds to the error's message which session it is about.
    pub(crate) fn name(&self, core: &Core, error: Error) -> Error {
        let about = About {
            base: &core.settings.base,
            key: &self.key,
            defaults: Some(&self.defaults),
        };
        about.say(error)
    }
}
