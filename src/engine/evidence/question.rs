//! A call of `GET /v1/health`, and why it is made.

use crate::{clock::Reading, model::evidence::Cause};

/// A *question*: a call of `GET /v1/health` that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) asked: Reading,
    /// How many signs of trouble had been seen when it was asked.
    pub(crate) signs: u64,
    /// The most urgent of the observations because of which it was asked.
    pub(super) cause: Cause,
}

impl Question {
    /// Returns whether no request waits for the answer.
    pub(crate) fn is_for_a_hint(&self) -> bool {
        self.cause == Cause::Hint
    }
}
