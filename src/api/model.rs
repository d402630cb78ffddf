//! Requests and answers of the sessions API.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{SessionDefaults, SessionId};
use crate::{error::Error, secret::ViewingKey};

/// The shortest life that the server gives a session.
pub(crate) const MIN_TTL: Duration = Duration::from_secs(60);
/// The longest life that the server gives a session.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// A session to be created.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateSession {
    defaults: SessionDefaults,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_seconds: Option<u64>,
}

impl CreateSession {
    /// Creates a request for a session with these defaults.
    pub fn new(defaults: SessionDefaults) -> Self {
        Self {
            defaults,
            ttl_seconds: None,
        }
    }

    /// Sets the session's life, in whole seconds from 60 to 86,400. A fraction is dropped. Defaults to the server's
    /// 3,600.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl_seconds = Some(ttl.as_secs());
        self
    }

    pub(super) fn viewing_key(&self) -> Option<&ViewingKey> {
        self.defaults.default_viewing_key.as_ref()
    }
}

/// A session as the server describes it.
///
/// Times are milliseconds since 1970 by the *server's* clock. Compare them only with each other, not with your own
/// clock.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SessionRecord {
    /// The session's id.
    #[serde(rename = "sessionId")]
    pub id: SessionId,
    /// The defaults that it stores.
    pub defaults: SessionDefaults,
    /// When it was created. `None` in the answer to an update.
    pub created_at: Option<u64>,
    /// When it expires. Nothing prolongs it.
    pub expires_at: u64,
    /// When it was last used, fetched or updated. `None` in the answer to a create.
    pub last_accessed_at: Option<u64>,
}

impl SessionRecord {
    /// Returns how much life was left when the answer was written, or zero if the answer does not say. Both times are
    /// the server's.
    pub(super) fn life_left(&self) -> Duration {
        let as_of = self.last_accessed_at.max(self.created_at);
        let left = as_of.map_or(0, |as_of| self.expires_at.saturating_sub(as_of));
        Duration::from_millis(left)
    }
}

/// Checks the life of a session to be created.
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if the server would refuse it.
pub(crate) fn check_ttl(ttl: Duration) -> Result<(), Error> {
    if ttl.subsec_nanos() != 0 {
        return Err(Error::config(format!(
            "ttl: is {ttl:?}; expected whole seconds, from 60 to 86400"
        )));
    }
    if !(MIN_TTL..=MAX_TTL).contains(&ttl) {
        let seconds = ttl.as_secs();
        return Err(Error::config(format!(
            "ttl: is {seconds} s; expected 60 to 86400 s"
        )));
    }
    Ok(())
}
