//! A create in which code of the user panicked: a clock, a log subscriber or a metrics recorder. Panics of transports
//! and stores are caught where those are called.

use std::sync::atomic::Ordering;

use super::Create;
use crate::error::{Error, ErrorKind};

impl Create {
    /// Turns the panic into an ordinary failure: callers get an error, and the next create comes after a pause.
    /// Without that, every waiting request would begin a new create at once. The panic's message is dropped, because
    /// it may hold a secret.
    #[cold]
    pub(super) fn panicked(&mut self) -> Error {
        // Forget whether earlier tries reached the server. A panic says nothing about the server, and must not hold
        // other creates back.
        self.attempt.forget_reach();
        if self.status.calling.load(Ordering::Acquire) {
            // If another create has given this one up, the possible orphan was counted at that moment, too. The end of
            // this create takes that first count back.
            self.core.emit(self.partition.possible_orphan(None));
        }
        let text = "the session could not be created: a clock, subscriber or recorder panicked";
        let (error, now) = (Error::new(ErrorKind::Unavailable, text), self.core.now());
        let purpose = self.attempt.purpose();
        self.core
            .gate()
            .failed(&self.partition, purpose, error, now)
    }
}
