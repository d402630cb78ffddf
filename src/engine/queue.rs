//! A queue of creates and checks that wait for their first call. A token of the call budget is kept for each of them.

use std::{collections::BTreeMap, time::Duration};

use crate::clock::Reading;

/// Creates and checks that wait for their first call, by generation.
///
/// A create leaves the queue when its call goes out, when it ends, and when another create takes its place. A create
/// whose runtime has stalled never leaves. So no create counts for longer than `longest`.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    since: BTreeMap<u64, Reading>,
    longest: Duration,
    /// The monotonic time before which no create here is overdue.
    look_at: Duration,
}

impl Queue {
    /// Creates an empty queue. `longest` is longer than any create waits, unless its runtime has stalled.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            since: BTreeMap::new(),
            longest,
            look_at: Duration::ZERO,
        }
    }

    pub(crate) fn enter(&mut self, generation: u64, now: Reading) {
        if self.since.is_empty() {
            self.look_at = now.monotonic.saturating_add(self.longest);
        }
        self.since.insert(generation, now);
    }

    /// Returns whether the create was in the queue.
    pub(crate) fn leave(&mut self, generation: u64) -> bool {
        self.since.remove(&generation).is_some()
    }

    pub(crate) fn len(&mut self, now: Reading) -> usize {
        if now.monotonic >= self.look_at {
            self.since
                .retain(|_, since| now.since(*since) < self.longest);
            let oldest = self.since.values().map(|since| since.monotonic).min();
            let oldest = oldest.unwrap_or(now.monotonic);
            self.look_at = oldest.saturating_add(self.longest);
        }
        self.since.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(20);

    fn at(seconds: u64) -> Reading {
        let time = Duration::from_secs(seconds);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn those_who_leave_twice_or_were_never_here_change_nothing() {
        let mut queue = Queue::new(LONGEST);
        (1..=3).for_each(|generation| queue.enter(generation, at(0)));
        for generation in [2, 2, 9] {
            queue.leave(generation);
        }
        assert_eq!(queue.len(at(1)), 2);
    }

    #[test]
    fn nobody_counts_for_longer_than_a_create_can_wait() {
        let mut queue = Queue::new(LONGEST);
        for generation in 0..30 {
            queue.enter(generation, at(100 + generation));
        }
        for (now, waiting) in [(119, 30), (120, 29), (134, 15), (149, 0), (200, 0)] {
            assert_eq!(queue.len(at(now)), waiting, "at {now}");
        }
        queue.enter(30, at(200));
        assert_eq!((queue.len(at(219)), queue.len(at(220))), (1, 0));
    }
}
