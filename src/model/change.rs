//! A change of the manager's defaults.

use crate::api::SessionDefaults;

/// A change of the manager's defaults.
pub(crate) enum DefaultsChange {
    /// Of those fields alone that have a value.
    Patch(SessionDefaults),
    /// Of all fields: those without a value are taken away.
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
