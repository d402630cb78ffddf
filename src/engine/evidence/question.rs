//! The question to the server: why it is asked, and what comes back.

use crate::{clock::Reading, model::evidence::Cause};

/// A question on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) asked: Reading,
    /// How many signs there had been.
    pub(crate) signs: u64,
    pub(super) cause: Cause,
}

impl Question {
    /// Whether nobody waits for the answer.
    pub(crate) fn is_for_a_hint(&self) -> bool {
        self.cause == Cause::Hint
    }
}
