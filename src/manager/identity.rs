//! Who the manager speaks for when a request does not say: an API key, and defaults.

use http::HeaderValue;

use super::partition::{HashedDefaults, KeyId};
use crate::secret::ApiKey;

#[derive(Debug)]
pub(crate) struct Identity {
    key: Option<Key>,
    defaults: HashedDefaults,
}

#[derive(Debug)]
struct Key {
    secret: ApiKey,
    header: HeaderValue,
    id: KeyId,
}

impl Identity {
    /// `key` comes with the header that carries it.
    pub(crate) fn new(key: Option<(ApiKey, HeaderValue)>, defaults: HashedDefaults) -> Self {
        let key = key.map(|(key, header)| Key {
            id: KeyId::of(key.expose()),
            secret: key,
            header,
        });
        Self { key, defaults }
    }

    pub(crate) fn key(&self) -> Option<&ApiKey> {
        Some(&self.key.as_ref()?.secret)
    }

    pub(crate) fn key_header(&self) -> Option<HeaderValue> {
        Some(self.key.as_ref()?.header.clone())
    }

    pub(crate) fn key_id(&self) -> Option<KeyId> {
        Some(self.key.as_ref()?.id)
    }

    pub(crate) fn defaults(&self) -> &HashedDefaults {
        &self.defaults
    }
}
