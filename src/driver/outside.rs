//! Which origins outside of the base URL were told of.

use std::collections::HashSet;

use crate::{lock::Lock, secret::keyed_hash};

/// So many origins are told of. Requests to more of them are counted only, lest a crawler fill the log.
const MOST_TOLD: usize = 1_000;

/// The origins that were told of, by hash.
#[derive(Debug, Default)]
pub(crate) struct Told(Lock<HashSet<u128>>);

impl Told {
    /// Whether this is the first request there.
    pub(crate) fn is_first(&self, origin: &str) -> bool {
        let mut told = self.0.lock();
        told.len() < MOST_TOLD && told.insert(keyed_hash("origin", origin))
    }
}
