//! The end of an attempt, as the gate hears of it.

use std::mem;

use super::{Attempt, Effect, Outcome};
use crate::{clock::Reading, engine::gate::Gate, error::Error, model::partition::Partition};

impl<S: Clone> Attempt<S> {
    /// Makes room for another, and for what comes of this one: a session that is there since `alive_at`, or a failure. Returns whether it
    /// was still the one to bring a session for its partition.
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

    /// Nobody drives it any more, and it has not ended.
    pub(crate) fn drop_out<W: Clone>(&mut self, (partition, gate): (&Partition, &mut Gate<W>)) {
        gate.end(partition.id, self.generation);
        self.leave_adopted();
        self.gives_up_standing_in();
    }

    /// What was taken up and is not used after all is left again.
    pub(super) fn leave_adopted(&mut self) {
        if mem::take(&mut self.adopted) {
            self.effects.extend(self.suspect.clone().map(Effect::LetGo));
        }
    }

    /// What others hear of the outcome.
    pub(crate) fn is_news(&self, outcome: &Outcome<S>) -> bool {
        // Of a check that a hold keeps from being made, the failure that holds has been told.
        let is_held_back = outcome.as_ref().is_err_and(Error::is_held_back);
        self.suspect.is_none() || !is_held_back
    }
}
