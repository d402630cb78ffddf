//! A change of the manager's defaults.

use crate::api::SessionDefaults;

/// A change of the manager's defaults.
pub(crate) enum DefaultsChange {
    /// Changes only the fields that have a value here.
    Patch(SessionDefaults),
    /// Replaces all fields. Fields without a value here are removed.
    Replacement(SessionDefaults),
}

impl DefaultsChange {
    pub(crate) fn of(&self, older: &SessionDefaults) -> SessionDefaults {
        match self {
            Self::Patch(patch) => older.clone().merged_with(patch),
            Self::Replacement(defaults) => defaults.clone(),
        }
    }
}
