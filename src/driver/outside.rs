//! Remembers which origins outside of the base URL were reported.

use std::collections::HashSet;

use crate::{lock::Lock, secret::keyed_hash};

/// How many origins are reported. Requests to further ones are only counted, so that a crawler cannot fill the log.
const MOST_TOLD: usize = 1_000;

/// The origins that were reported, by hash.
#[derive(Debug, Default)]
pub(crate) struct Told(Lock<HashSet<u128>>);

impl Told {
    /// Returns whether to report this origin: it is new, and there is room for it.
    pub(crate) fn is_first(&self, origin: &str) -> bool {
        let mut told = self.0.lock();
        told.len() < MOST_TOLD && told.insert(keyed_hash("origin", origin))
    }
}
