//! What holds the keys and the server back: seen from outside, and forgotten on request.

use super::Ledger;
use crate::{clock::Reading, error::Error, manager::partition::KeyId};

impl Ledger {
    /// One error for each hold that concerns more than one set of defaults.
    pub(crate) fn held(&self, now: Reading) -> Vec<Error> {
        let keys = self.keys.values().flatten();
        let all = self.origin.iter().chain(keys);
        all.filter(|hold| hold.is_active(now))
            .map(|hold| hold.error(now))
            .collect()
    }

    /// Forgets what held back one key. Returns whether anything did.
    pub(crate) fn clear_holds(&mut self, key: KeyId, now: Reading) -> bool {
        self.known_keys.forgive(key);
        let hold = self.keys.remove(&key).flatten();
        hold.is_some_and(|hold| hold.is_active(now))
    }
}
