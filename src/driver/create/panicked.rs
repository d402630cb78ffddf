//! A create in which something of its user's panicked: a clock, a subscriber, a recorder. Transports and stores are caught where they
//! are called.

use std::sync::atomic::Ordering;

use super::Create;
use crate::error::{Error, ErrorKind};

impl Create {
    /// A failure like others: callers fail with it, and the next create comes after a pause. A create that merely vanished would be
    /// begun anew at once by everybody who waits. What was said in the panic may be a secret.
    #[cold]
    pub(super) fn panicked(&mut self) -> Error {
        // Whatever its tries before have met: this says nothing about the server, and holds back nobody else.
        self.attempt.forget_reach();
        if self.status.calling.load(Ordering::Acquire) {
            // If it was given up, it was counted then, and its completion takes that back.
            self.core.emit(self.partition.possible_orphan(None));
        }
        let text = "the session could not be made: a clock, subscriber or recorder panicked";
        let (error, now) = (Error::new(ErrorKind::Unavailable, text), self.core.now());
        let purpose = self.attempt.purpose();
        self.core
            .gate()
            .failed(&self.partition, purpose, error, now)
    }
}
