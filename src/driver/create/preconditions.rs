//! Checks that decide whether a create may begin.

use std::sync::Arc;

use crate::{
    clock::Reading,
    driver::{core::Core, flight::Gate},
    error::Error,
    hot::session::LiveSession,
    model::{budget::Purpose, partition::Partition},
};

impl Core {
    /// Decides what a create for this partition begins with. Returns the current session if the server can be asked
    /// about it.
    ///
    /// # Errors
    ///
    /// Returns the error that holds the create back.
    pub(crate) fn may_begin(
        &self,
        gate: &mut Gate,
        partition: &Partition,
        current: Option<Arc<LiveSession>>,
        now: Reading,
    ) -> Result<Option<Arc<LiveSession>>, Error> {
        if current.is_some() {
            // The current session may still be good, even if no successor can be created. So begin with a check: its
            // first question to the server is free.
            match gate.check_hold(partition, now) {
                Ok(()) => return Ok(current),
                Err(error) if error.is_transient() => return Err(error),
                // No check can succeed for a while, so create a session instead.
                Err(_) => {}
            }
        }
        self.check_room(gate, partition.id)?;
        self.may_create(gate, partition, now)?;
        Ok(None)
    }

    /// Checks whether a create can succeed, by a call or by a session of another process.
    pub(crate) fn may_create(
        &self,
        gate: &mut Gate,
        partition: &Partition,
        now: Reading,
    ) -> Result<(), Error> {
        if self.shares(gate, partition) {
            gate.check_holds(partition, Purpose::Create, now)
        } else {
            gate.check(partition, Purpose::Create, self.patience(), now)
        }
    }
}
