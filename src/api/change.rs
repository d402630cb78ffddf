//! What is done to sessions by hand, for whoever holds them.

use std::time::Duration;

use http::HeaderMap;

use super::SessionId;
use crate::error::{Error, ErrorKind};

/// Told of what is done to a session by hand.
pub(crate) type OnChange = Box<dyn Fn(&SessionId, Change) -> Option<Ongoing> + Send + Sync>;

/// Stands for a call that changes or deletes a session, until it is dropped; told when the server has answered.
pub(crate) type Ongoing = Box<dyn Answered + Send>;

pub(crate) trait Answered {
    /// What has become of the session is known.
    fn answered(&mut self, found: Found);
}

/// What the answer to a call says of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The server has it, for so much longer.
    Lives(Duration),
    /// The server has deleted it.
    Deleted,
    /// The server does not have it for this API key.
    Gone,
    /// What was to be done to it was not done.
    Unchanged,
}

/// Told that a call goes out; returns who looks at the head of its answer.
pub(crate) type OnSend = Box<dyn Fn() -> Option<OnAnswer> + Send + Sync>;

/// Looks at the head of an answer, whatever it says.
pub(crate) type OnAnswer = Box<dyn FnOnce(&HeaderMap) + Send>;

/// What is done to a session by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was created, and lives for so much longer.
    Created(Duration),
    /// A call goes out, and is over after so much time.
    Begins(Deed, Duration),
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Nothing but to ask.
    Ask,
    Change,
    Delete,
}

/// Ends a call, unless the server may still be at it. `found` says what an answer that is no error tells of the session.
pub(super) fn end<T>(
    ongoing: Option<Ongoing>,
    outcome: Result<T, Error>,
    found: impl FnOnce(&T) -> Found,
) -> Result<T, Error> {
    let found = match &outcome {
        Ok(answer) => Some(found(answer)),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(Found::Gone),
        Err(error) => (!error.is_unknown_outcome()).then_some(Found::Unchanged),
    };
    if let Some((mut ongoing, found)) = ongoing.zip(found) {
        ongoing.answered(found);
    }
    outcome
}
