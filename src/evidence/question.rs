//! The question to the server: why it is asked, and what comes back.

use super::Health;
use crate::clock::Reading;

/// Why the server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// Requests go on meanwhile.
    Hint,
    /// Nothing has proved the process for a while.
    Unproven,
    /// A failure that is not known to be harmless, or a window that begins before its time.
    Sign,
    /// A connection that was refused, or broke.
    Broken,
}

/// What the server says when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Says(Health),
    /// It answers, and not with what is needed.
    Silent,
    /// It cannot be reached.
    Away,
}

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
