//! What stands for a session in events and reports.

use crate::secret::Fingerprint;

/// What stands for a session in events and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SessionRef {
    /// Stands for the id.
    pub fingerprint: Fingerprint,
    /// Counts up over all sessions of a manager.
    pub generation: u64,
    /// Stands for its API key, see [`ApiKey::fingerprint`](crate::ApiKey::fingerprint).
    pub api_key: Fingerprint,
}
