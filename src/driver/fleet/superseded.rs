//! When a session is renewed early, because the fleet has a newer one that has to be asked for.

use std::{collections::HashMap, time::Duration};

use super::seen::{REMEMBERED, TIDY_AT};
use crate::{lock::Lock, store::Slot};

/// When a session of each slot was last renewed early, in monotonic time.
#[derive(Debug, Default)]
pub(super) struct Superseded(Lock<HashMap<Slot, Duration>>);

impl Superseded {
    /// Returns whether a session that lives for `life` may be renewed early now: once in such a life.
    ///
    /// Without this limit, processes could replace each other's sessions for ever. If the server answers creates, but
    /// not the call that asks for a session, each of them creates one that the others cannot check.
    pub(super) fn may_renew(&self, slot: Slot, life: Duration, now: Duration) -> bool {
        let mut all = self.0.lock();
        let is_recent = |at: &Duration, span| now.saturating_sub(*at) < span;
        if all.get(&slot).is_some_and(|at| is_recent(at, life)) {
            return false;
        }
        if all.len() >= TIDY_AT {
            all.retain(|_, at| is_recent(at, REMEMBERED));
        }
        all.insert(slot, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_renewed_early_once_in_its_life_and_others_on_their_own() {
        let superseded = Superseded::default();
        let may = |slot, seconds| {
            let life = Duration::from_secs(3_600);
            superseded.may_renew(Slot([slot; 16]), life, Duration::from_secs(seconds))
        };
        assert!(may(1, 0) && may(2, 10));
        assert!(!may(1, 3_599) && may(1, 3_600));
        assert!(!may(1, 7_199) && may(2, 7_199));
    }
}
