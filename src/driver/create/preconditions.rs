//! What is in the way of a create.

use std::sync::Arc;

use crate::{
    clock::Reading,
    driver::{core::Core, flight::Gate},
    error::Error,
    hot::session::LiveSession,
    model::{budget::Purpose, partition::Partition},
};

impl Core {
    /// Decides what a create for this partition begins with. That is the session that it has, if the server can be asked about it.
    ///
    /// # Errors
    ///
    /// What holds the create back.
    pub(crate) fn may_begin(
        &self,
        gate: &mut Gate,
        partition: &Partition,
        current: Option<Arc<LiveSession>>,
        now: Reading,
    ) -> Result<Option<Arc<LiveSession>>, Error> {
        if current.is_some() {
            // It may still be good, also while no successor can be made. The first question is free.
            match gate.check_hold(partition, now) {
                Ok(()) => return Ok(current),
                Err(error) if error.is_transient() => return Err(error),
                // The question will not be answered for a while.
                Err(_) => {}
            }
        }
        self.check_room(gate, partition.id)?;
        self.may_create(gate, partition, now)?;
        Ok(None)
    }

    /// Whether a create would have a chance, by a call or by what another process has made.
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
