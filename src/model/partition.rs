//! One API key with one set of defaults.

use std::{fmt, sync::Arc};

use http::HeaderValue;

use super::event::Event;
use crate::{
    api::SessionDefaults,
    error::Error,
    secret::{ApiKey, Fingerprint, keyed_hash},
};

/// Names a partition (one API key with one set of defaults) without showing the key: it combines keyed hashes of the
/// key and of the defaults.
///
/// The hashes have 128 bits, and nobody knows the hash key. So no two partitions ever share an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartitionId(u128);

/// Names an API key without showing it. State that is kept for a key, such as a cooldown, outlives the key's
/// partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId(u128);

impl KeyId {
    pub(crate) fn of(key: &str) -> Self {
        Self(keyed_hash("api key", key))
    }
}

/// Defaults with their hash, which is computed once.
#[derive(Clone, Debug)]
pub(crate) struct HashedDefaults {
    pub(crate) defaults: Arc<SessionDefaults>,
    hash: u128,
}

impl HashedDefaults {
    pub(crate) fn new(defaults: SessionDefaults) -> Self {
        let hash = keyed_hash("defaults", &defaults);
        Self {
            defaults: Arc::new(defaults),
            hash,
        }
    }

    /// Returns the partition of an API key with these defaults. Computes the hash of the defaults and does not keep it.
    pub(crate) fn partition_of(key: KeyId, defaults: &SessionDefaults) -> PartitionId {
        PartitionId(key.0 ^ keyed_hash("defaults", defaults))
    }

    pub(crate) fn with_key(&self, key: KeyId) -> PartitionId {
        PartitionId(key.0 ^ self.hash)
    }
}

/// One API key with one set of defaults. All requests that have both share a session.
#[derive(Clone)]
pub(crate) struct Partition {
    pub(crate) id: PartitionId,
    pub(crate) key_id: KeyId,
    pub(crate) key: ApiKey,
    pub(crate) defaults: Arc<SessionDefaults>,
}

impl Partition {
    /// Creates a partition.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the key or the defaults cannot be right.
    pub(crate) fn new(key: ApiKey, defaults: &HashedDefaults) -> Result<Arc<Self>, Error> {
        key.to_header()?;
        defaults.defaults.validate()?;
        let key_id = KeyId::of(key.expose());
        let id = defaults.with_key(key_id);
        Ok(Arc::new(Self {
            id,
            key_id,
            key,
            defaults: defaults.defaults.clone(),
        }))
    }

    /// Returns the header value of the API key. It is computed on each call to save memory: there may be many
    /// partitions, and they seldom make calls.
    pub(crate) fn key_header(&self) -> HeaderValue {
        let header = self.key.to_header();
        header.expect("it has been one when the partition was made")
    }
}

impl Partition {
    /// Returns the event for a create that may have left a session on the server which no client knows.
    pub(crate) fn possible_orphan(&self, error: Option<Error>) -> Event {
        Event::PossibleOrphan {
            api_key: self.key.fingerprint(),
            defaults: self.defaults.clone(),
            error,
        }
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition")
            .field("key", &Fingerprint::of(self.key.expose()))
            .field("defaults", &self.defaults)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Chain;

    #[test]
    fn another_key_or_other_defaults_are_another_partition() {
        let near = HashedDefaults::new(SessionDefaults::new().chain(Chain::Near));
        let sui = HashedDefaults::new(SessionDefaults::new().chain(Chain::Sui));
        let (one, two) = (KeyId::of("k1"), KeyId::of("k2"));
        let ids = [
            near.with_key(one),
            near.with_key(two),
            sui.with_key(one),
            sui.with_key(two),
        ];
        for (i, a) in ids.iter().enumerate() {
            assert!(ids[i + 1..].iter().all(|b| a != b));
        }
        let again = HashedDefaults::new(SessionDefaults::new().chain(Chain::Near));
        assert_eq!(again.with_key(KeyId::of("k1")), ids[0]);
    }
}
