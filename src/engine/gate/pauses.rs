//! Creates and checks that pause between two of their calls. Deletes leave them the tokens for their next calls.
//! Without that, and with a burst of one call, a delete in every pause would keep a create from its second call for
//! ever.

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

    /// Returns how many creates and checks come before a delete.
    pub(super) fn before_deletes(&mut self, now: Reading) -> usize {
        self.queue.len(now) + self.behind.len(now) + self.pausing.len(now)
    }
}
