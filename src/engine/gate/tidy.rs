//! Removes the gate's outdated entries.

use super::{Gate, check::STORE_FAILED_FOR};
use crate::{clock::Reading, error::Error, model::failure::FLOOR};

impl<W: Clone> Gate<W> {
    /// Removes entries that hold back nothing any more and have nothing under way. This happens once the number of
    /// entries has doubled since the last time, so the cost for each added entry stays constant.
    pub(super) fn tidy(&mut self, now: Reading) {
        if self.partitions.len() + self.keys.len() < self.tidy_at {
            return;
        }
        self.keys
            .retain(|_, hold| hold.as_ref().is_some_and(|hold| !hold.is_forgotten(now)));
        self.partitions.retain(|_, entry| {
            entry.hold.take_if(|hold| hold.is_forgotten(now));
            entry.check_hold.take_if(|hold| hold.is_forgotten(now));
            entry.last_call.take_if(|last| now.since(*last) >= FLOOR);
            let is_old = |(_, at): &mut (Error, Reading)| now.since(*at) >= STORE_FAILED_FOR;
            entry.store_error.take_if(is_old);
            let is_held = entry.hold.is_some() || entry.check_hold.is_some();
            let is_recent = entry.last_call.is_some() || entry.store_error.is_some();
            entry.flight.is_some() || is_held || is_recent || !entry.wrong.is_forgotten(now)
        });
        self.tidy_at = 2 * (self.partitions.len() + self.keys.len()).max(32);
    }
}
