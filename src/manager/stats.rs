//! Counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that is counted up, and back where something turned out not to be so.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn take_back(&self, fewer: u64) {
        self.0.fetch_sub(fewer, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) creates: Counter,
    pub(crate) create_failures: Counter,
    pub(crate) deletes: Counter,
    pub(crate) orphans: Counter,
}
