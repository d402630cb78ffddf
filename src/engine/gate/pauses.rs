//! Creates and checks between two of their calls. Deletes leave them the tokens that they are about to need: with a burst of one
//! call, a delete in every pause would keep a create from ever getting its second call.

use super::Gate;
use crate::clock::Reading;

impl<W: Clone> Gate<W> {
    /// A create or a check will make another call.
    pub(crate) fn begin_pause(&mut self, generation: u64, now: Reading) {
        self.pausing.enter(generation, now);
    }

    /// It makes that call, or none.
    pub(crate) fn end_pause(&mut self, generation: u64) {
        self.pausing.leave(generation);
    }

    /// How many creates and checks come before a delete.
    pub(super) fn before_deletes(&mut self, now: Reading) -> usize {
        self.queue.len(now) + self.behind.len(now) + self.pausing.len(now)
    }
}
