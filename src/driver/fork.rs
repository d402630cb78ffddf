//! Finds out whether this process is a forked child. A child process has a copy of each session, but does not own it.
//!
//! The process that created or adopted a session also deletes it. If a child did so too, it would delete the session
//! while the parent uses it. So a child drops the sessions that it inherited, and gets its own from the server or the
//! store.

#[cfg(all(test, feature = "testing"))]
mod tests;

use std::{
    process,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use super::core::Core;
use crate::{
    clock::{Reading, millis},
    hot::{memo, memo::SPAN},
};

/// The process that owns the sessions.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    /// The process id. 0 until there can be a session.
    process: AtomicU32,
    /// When to check the process id next, in milliseconds of monotonic time.
    look_at: AtomicU64,
    #[cfg(test)]
    forks: AtomicU32,
}

impl Owner {
    /// Returns the id of this process. Tests can pretend that it was forked.
    #[cfg_attr(not(test), allow(clippy::unused_self))]
    fn present(&self) -> u32 {
        let process = process::id();
        #[cfg(test)]
        let process = process.wrapping_add(self.forks.load(Ordering::Relaxed));
        process
    }

    /// Returns whether the check is due. A layer may use what it remembers for the same span without this check.
    fn is_due(&self, now: Reading) -> bool {
        let is_due = self.look_at.load(Ordering::Relaxed) <= millis(now.monotonic);
        if is_due {
            let next = now.monotonic.saturating_add(SPAN);
            self.look_at.store(millis(next), Ordering::Relaxed);
        }
        is_due
    }
}

impl Core {
    /// Returns whether another process owned this manager last, so that this one is a forked child.
    pub(crate) fn is_copy(&self) -> bool {
        let owner = self.owner.process.load(Ordering::Acquire);
        owner != 0 && owner != self.owner.present()
    }

    /// Makes this process the owner. In a forked child, first drops everything that belongs to the parent. Call it
    /// before sessions are created, retired or deleted.
    pub(crate) fn own(&self) {
        let present = self.owner.present();
        if self.owner.process.load(Ordering::Acquire) == present {
            return;
        }
        let mut gate = self.gate();
        if self.is_copy() {
            self.memos.forget_all();
            for session in self.sessions() {
                session.in_flight.retire();
                memo::forget(&session);
                self.live.invalidate(&session.partition.id);
            }
            self.observer.begin_anew();
            self.retirement.begin_anew();
            gate.begin_anew();
            self.fleet.begin_anew();
            self.forget_question();
        }
        self.owner.process.store(present, Ordering::Release);
    }

    /// Like [`own`](Self::own), to be called before a session is used. It reads the process id only once in a while, so
    /// most calls cost one comparison.
    pub(crate) fn own_at(&self, now: Reading) {
        if self.owner.is_due(now) {
            self.own();
        }
    }
}
