//! What is done to sessions by hand, for whoever holds them.

use std::time::Duration;

use http::HeaderMap;

use super::SessionId;
use crate::error::Error;

/// Told of what is done to a session by hand.
pub(crate) type OnChange = Box<dyn Fn(&SessionId, Change) -> Option<Ongoing> + Send + Sync>;

/// Stands for a call that changes or deletes a session, until it is dropped; told when the server has answered.
pub(crate) type Ongoing = Box<dyn Answered + Send>;

pub(crate) trait Answered {
    /// What has become of the call is known.
    fn answered(&mut self);
}

/// Told that a call goes out; returns who looks at the head of its answer.
pub(crate) type OnSend = Box<dyn Fn() -> Option<OnAnswer> + Send + Sync>;

/// Looks at the head of an answer, whatever it says.
pub(crate) type OnAnswer = Box<dyn FnOnce(&HeaderMap) + Send>;

/// What is done to a session by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A call that changes or deletes it goes out, and is over after so much time.
    Begins(Duration),
    /// It is deleted.
    Deleted,
    /// The server has it, for so much longer.
    Lives(Duration),
}

/// Ends a call, unless the server may still be at it.
pub(super) fn end<T>(ongoing: Option<Ongoing>, outcome: Result<T, Error>) -> Result<T, Error> {
    let is_known = outcome
        .as_ref()
        .err()
        .is_none_or(|error| !error.is_unknown_outcome());
    if let Some(mut ongoing) = ongoing.filter(|_| is_known) {
        ongoing.answered();
    }
    outcome
}
