//! Creates and checks that pause between two of their calls. Deletes leave them the tokens for their next calls.
//!
//! Example: the budget has a burst of one call, and a create pauses after its first call. If deletes could take each
//! new token meanwhile, the create would never get its second one.

use super::Gate;
use crate::clock::Reading;

impl<W: Clone> Gate<W> {
    /// Records that a create or a check pauses, and will make another call.
    pub(crate) fn begin_pause(&mut self, generation: u64, now: Reading) {
        self.pausing.enter(generation, now);
    }

    /// Records that the pause has ended, with or without another call.
    pub(crate) fn end_pause(&mut self, generation: u64) {
        self.pausing.leave(generation);
    }

    /// Returns how many creates and checks need a token before deletes may have one.
    pub(super) fn before_deletes(&mut self, now: Reading) -> usize {
        self.queue.len(now) + self.behind.len(now) + self.pausing.len(now)
    }
}
