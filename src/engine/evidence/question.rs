//! A call of `GET /v1/health`, and why it is made.

use crate::{clock::Reading, model::evidence::Cause};

/// A question under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) asked: Reading,
    /// How many signs of trouble had been seen when it was asked.
    pub(crate) signs: u64,
    pub(super) cause: Cause,
}

impl Question {
    /// Returns whether no request waits for the answer.
    pub(crate) fn is_for_a_hint(&self) -> bool {
        self.cause == Cause::Hint
    }
}
