//! Callbacks for the calls that a user makes through `SessionsApi`. Example: a user deletes a session that a manager
//! holds, and the manager has to stop using it.

use std::time::Duration;

use http::HeaderMap;

use super::SessionId;
use crate::error::{Error, ErrorKind};

/// Called when a user acts on a session through the API.
pub(crate) type OnChange = Box<dyn Fn(&SessionId, Change) -> Option<Ongoing> + Send + Sync>;

/// Follows a user's call that is under way. `answered` is called with the outcome. Dropped when the call is over.
pub(crate) type Ongoing = Box<dyn Answered + Send>;

pub(crate) trait Answered {
    /// Called when the outcome of the call is known.
    fn answered(&mut self, found: Found);
}

/// What the answer to a call says about the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The server has the session, which expires after this time.
    Lives(Duration),
    /// The server has deleted the session.
    Deleted,
    /// The server has no such session for this API key.
    Gone,
    /// The server did not carry out the call.
    Unchanged,
}

/// Called when a call is sent. Returns a function that examines the head of the answer.
pub(crate) type OnSend = Box<dyn Fn() -> Option<OnAnswer> + Send + Sync>;

/// Examines the head of an answer, also of a failure.
pub(crate) type OnAnswer = Box<dyn FnOnce(&HeaderMap) + Send>;

/// What a user does with a session through the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The session was created, and expires after this time.
    Created(Duration),
    /// A call is sent. It ends after this time at the latest.
    Begins(Deed, Duration),
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Fetches the session.
    Ask,
    Change,
    Delete,
}

/// Reports the outcome of a call, unless the server may still be carrying it out. `found` reads from a success what it
/// says about the session.
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
