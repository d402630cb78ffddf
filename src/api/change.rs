//! How the holders of sessions learn of calls that a user makes about them.

use std::time::Duration;

use http::HeaderMap;

use super::SessionId;
use crate::error::{Error, ErrorKind};

/// Called when a user acts on a session through the API.
pub(crate) type OnChange = Box<dyn Fn(&SessionId, Change) -> Option<Ongoing> + Send + Sync>;

/// A call about a session. It is informed of the server's answer, and dropped when the call is over.
pub(crate) type Ongoing = Box<dyn Answered + Send>;

pub(crate) trait Answered {
    /// Called once it is known what became of the session.
    fn answered(&mut self, found: Found);
}

/// What the answer to a call says of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The server has it. It will live for this time.
    Lives(Duration),
    /// The server has deleted it.
    Deleted,
    /// The server does not have it for this API key.
    Gone,
    /// The server did not carry out the call.
    Unchanged,
}

/// Called when a call goes out. Returns what examines the head of its answer.
pub(crate) type OnSend = Box<dyn Fn() -> Option<OnAnswer> + Send + Sync>;

/// Examines the head of an answer, also of a failure.
pub(crate) type OnAnswer = Box<dyn FnOnce(&HeaderMap) + Send>;

/// What a user does with a session through the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was created, and will live for this time.
    Created(Duration),
    /// A call goes out, and is over after this time at most.
    Begins(Deed, Duration),
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Only asks.
    Ask,
    Change,
    Delete,
}

/// Reports the outcome of a call, unless the server may still be carrying it out. `found` tells what a success says of
/// the session.
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
