//! The names of a slot's keys.

use std::sync::Arc;

use crate::{error::Error, store::Slot};

const DEFAULT_PREFIX: &str = "sipher-session";

/// Names keys. All keys of one slot have the slot in braces, so that a cluster keeps them on one server.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: Arc<str>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            prefix: DEFAULT_PREFIX.into(),
        }
    }
}

impl Keys {
    /// Refuses braces in the prefix, because a cluster would pick the server by them.
    pub(super) fn new(prefix: &str) -> Result<Self, Error> {
        if prefix.is_empty() || prefix.contains(['{', '}']) {
            let message =
                "store prefix: is empty or has braces; expected text such as `sipher-session`";
            return Err(Error::config(message));
        }
        Ok(Self {
            prefix: prefix.into(),
        })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn record(&self, slot: Slot) -> String {
        self.of(slot, "record")
    }

    pub(super) fn claim(&self, slot: Slot) -> String {
        self.of(slot, "claim")
    }

    pub(super) fn highest(&self, slot: Slot) -> String {
        self.of(slot, "highest")
    }

    pub(super) fn revoked(&self, slot: Slot) -> String {
        self.of(slot, "revoked")
    }

    pub(super) fn users(&self, slot: Slot, generation: u64) -> String {
        format!("{}:{{{slot}}}:users:{generation}", self.prefix)
    }

    /// The channel for changes of all slots.
    pub(super) fn channel(&self) -> String {
        format!("{}:changes", self.prefix)
    }

    fn of(&self, slot: Slot, what: &str) -> String {
        format!("{}:{{{slot}}}:{what}", self.prefix)
    }
}
