//! Counts the signs that the server may have lost its sessions.
//!
//! [`sign`](crate::model::sign) decides what counts as a sign. After a sign, no request gets a session until the
//! server was asked about it, or a successor was created. Signs are numbered. A session that is proved alive is
//! trusted up to the last sign before the call that proved it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::{Reading, millis};

#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    signs: AtomicU64,
    /// When the last sign was, in milliseconds of monotonic time.
    last_at: AtomicU64,
    /// Whether this suspicion was already reported.
    told: AtomicBool,
}

impl Suspicion {
    /// Returns how many signs there have been.
    pub(crate) fn signs(&self) -> u64 {
        self.signs.load(Ordering::SeqCst)
    }

    /// Adds a sign, and returns how many there are now. If `is_told`, also returns whether it is the first one since
    /// a session was last proved alive.
    pub(crate) fn raise(&self, now: Reading, is_told: bool) -> (u64, bool) {
        self.last_at
            .fetch_max(millis(now.monotonic), Ordering::SeqCst);
        let signs = self.signs.fetch_add(1, Ordering::SeqCst) + 1;
        (signs, is_told && !self.told.swap(true, Ordering::AcqRel))
    }

    /// Returns how many signs certainly came before `then`: all of them, or 0.
    pub(crate) fn signs_before(&self, then: Reading) -> u64 {
        let signs = self.signs();
        let last_at = Duration::from_millis(self.last_at.load(Ordering::SeqCst));
        if then.monotonic > last_at { signs } else { 0 }
    }

    /// Records that a session was proved alive.
    pub(crate) fn calm(&self) {
        self.told.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Reading {
        let time = std::time::Duration::from_secs(seconds);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn the_first_sign_after_each_proof_of_life_is_told_of() {
        let suspicion = Suspicion::default();
        for _ in 0..2 {
            assert!(!suspicion.raise(at(1), false).1);
            assert!(suspicion.raise(at(1), true).1);
            assert!(!suspicion.raise(at(2), true).1);
            suspicion.calm();
        }
    }

    #[test]
    fn signs_came_before_a_moment_if_the_last_of_them_did() {
        let suspicion = Suspicion::default();
        suspicion.raise(at(1), true);
        suspicion.raise(at(5), true);
        let before = |seconds| suspicion.signs_before(at(seconds));
        assert_eq!([before(1), before(5), before(6)], [0, 0, 2]);
    }
}
