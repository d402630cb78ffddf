//! How an attempt ends, and what the gate learns from it.

use std::mem;

use super::{Attempt, Effect, Outcome};
use crate::{clock::Reading, engine::gate::Gate, error::Error, model::partition::Partition};

impl<S: Clone> Attempt<S> {
    /// Ends the attempt in the gate and records its outcome there: a session that was alive at `alive_at`, or a
    /// failure. Returns whether this attempt was still in charge of its partition, which means that no other create had
    /// taken its place.
    pub(crate) fn land<W: Clone>(
        &mut self,
        came: Result<Reading, &Error>,
        (partition, gate): (&Partition, &mut Gate<W>),
        now: Reading,
    ) -> bool {
        self.calling = false;
        let is_current = gate.end(partition.id, self.generation);
        match came {
            Ok(_) if self.suspect.is_some() => gate.checked(partition, now),
            Ok(alive_at) => gate.succeeded(partition, alive_at),
            Err(error) => {
                gate.note_store_error(partition.id, error, now);
                self.leave_adopted();
            }
        }
        is_current
    }

    /// Ends an attempt whose task was dropped before it had an outcome.
    pub(crate) fn drop_out<W: Clone>(&mut self, (partition, gate): (&Partition, &mut Gate<W>)) {
        gate.end(partition.id, self.generation);
        self.leave_adopted();
        self.gives_up_standing_in();
    }

    /// Lets go of a session that was adopted from the fleet and is not used after all.
    pub(super) fn leave_adopted(&mut self) {
        if mem::take(&mut self.adopted) {
            self.effects.extend(self.suspect.clone().map(Effect::LetGo));
        }
    }

    /// Returns whether the outcome should be reported as an event.
    pub(crate) fn is_news(&self, outcome: &Outcome<S>) -> bool {
        // A check that was held back was never made, and the failure that holds it back has been reported already. Do
        // not report it again.
        let is_held_back = outcome.as_ref().is_err_and(Error::is_held_back);
        self.suspect.is_none() || !is_held_back
    }
}
