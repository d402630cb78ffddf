//! A reference to a session, for events and reports.

use crate::secret::Fingerprint;

/// A reference to a session, for events and reports. It holds no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SessionRef {
    /// The fingerprint of the session id.
    pub fingerprint: Fingerprint,
    /// A number that counts up over all sessions of a manager.
    pub generation: u64,
    /// The fingerprint of its API key, see [`ApiKey::fingerprint`](crate::ApiKey::fingerprint).
    pub api_key: Fingerprint,
}
