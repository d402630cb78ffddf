//! Whose the sessions are: a process that was forked off has a copy of each, and is another process.
//!
//! The process that made or joined a session renews it, leaves it and deletes it. A copy that did so too would delete it under
//! the others. So a copy drops what it has, and asks the server or the store for sessions of its own.

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

/// The process that the sessions belong to.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    /// 0 until there can be a session.
    process: AtomicU32,
    /// When to compare it next, in milliseconds of monotonic time.
    look_at: AtomicU64,
    #[cfg(test)]
    forks: AtomicU32,
}

impl Owner {
    /// The process that this is. Tests say how often it was forked off.
    #[cfg_attr(not(test), allow(clippy::unused_self))]
    fn present(&self) -> u32 {
        let process = process::id();
        #[cfg(test)]
        let process = process.wrapping_add(self.forks.load(Ordering::Relaxed));
        process
    }

    /// A memo is used for as long without being looked at.
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
    /// Whether the process that used this last was another one.
    pub(crate) fn is_copy(&self) -> bool {
        let owner = self.owner.process.load(Ordering::Acquire);
        owner != 0 && owner != self.owner.present()
    }

    /// Drops what belongs to another process. To be called before sessions are made, retired or deleted.
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

    /// The same before a session is used. The system is asked once in a while, so this costs a comparison.
    pub(crate) fn own_at(&self, now: Reading) {
        if self.owner.is_due(now) {
            self.own();
        }
    }
}
