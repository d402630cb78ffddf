//! The API key and the defaults of requests that name none.

use std::sync::Arc;

use http::HeaderValue;

use super::partition::{HashedDefaults, KeyId, Partition};
use crate::{api::SessionDefaults, error::Error, secret::ApiKey};

#[derive(Clone, Debug)]
pub(crate) struct Identity {
    key: Option<Key>,
    defaults: HashedDefaults,
}

#[derive(Clone, Debug)]
struct Key {
    secret: ApiKey,
    header: HeaderValue,
    id: KeyId,
}

impl Identity {
    /// Creates an identity. `key` comes with the header value that carries it.
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

    /// Returns the partition of requests that name neither key nor defaults, if there is a key.
    pub(crate) fn partition(&self) -> Result<Option<Arc<Partition>>, Error> {
        let key = self.key().cloned();
        key.map(|key| Partition::new(key, &self.defaults))
            .transpose()
    }

    pub(crate) fn with_key(&self, key: ApiKey) -> Result<Self, Error> {
        let header = key.to_header()?;
        Ok(Self::new(Some((key, header)), self.defaults.clone()))
    }

    pub(crate) fn with_defaults(&self, defaults: SessionDefaults) -> Result<Self, Error> {
        defaults.validate()?;
        Ok(Self {
            key: self.key.clone(),
            defaults: HashedDefaults::new(defaults),
        })
    }
}
