//! The steps of an attempt, its inputs and its effects. Each step is named for what the attempt waits for in it.

use std::time::Duration;

use super::{Pause, Share};
use crate::{clock::Reading, engine::evidence::Fate, error::Error, model::reason::RetireReason};

/// How an attempt ended, for all requests that waited for it.
pub(crate) type Outcome<S> = Result<S, Error>;

/// Another create has taken the place of this attempt. The requests that wait for it look for the session again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fenced;

/// What an attempt waits for.
#[derive(Clone, Debug)]
pub(crate) enum Step<S> {
    /// Nothing yet: the attempt has not begun.
    Begun,
    /// The fleet's answer to which process creates the session: this one, or another one.
    Sharing,
    /// Its turn for the first call.
    Queued(Queued<S>),
    /// What `GET /v1/health` says of the session.
    Asking(S),
    /// The answer about the oldest session of the manager. It is asked for in place of `GET /v1/health`, because its
    /// answer says something about all sessions.
    AskingOldest(S),
    /// Whether the server knows the session, by `GET /v1/sessions/{id}`.
    Checking(S),
    /// That the driver has passed on the result of a check made in place of `GET /v1/health`, to other attempts and to
    /// the fleet.
    Telling(S, Outcome<S>),
    /// The answer to its create.
    Calling,
    /// That the fleet accepts the new session, which is written to its store.
    Publishing(S),
    /// The time of the next call.
    Pausing(Pause<S>),
    /// Nothing any more: the attempt has ended.
    Ended(Result<Outcome<S>, Fenced>),
}

/// A wait for the first call.
#[derive(Clone, Debug)]
pub(crate) struct Queued<S> {
    pub(super) since: Reading,
    /// When to ask for a turn again, in monotonic time.
    pub(crate) until: Duration,
    /// The session to check with the first call, if `GET /v1/health` was already asked and only `GET /v1/sessions/{id}`
    /// is left.
    pub(super) check: Option<S>,
}

/// What an attempt can receive.
#[derive(Clone, Debug)]
pub(crate) enum Input<S> {
    /// The attempt begins. The number is the seed of its random pauses.
    Begun(u64),
    Shared(Share<S>),
    /// The time until which the step waits has come.
    Due,
    /// Another attempt has found out that nobody can connect to the server, or the server has answered another request.
    Woken,
    /// The manager shuts down.
    Closed,
    Said(Result<Known, Error>),
    /// Whether the answer about the oldest session says something about all sessions.
    SaidOfOldest(Result<bool, Error>),
    Checked(Checked),
    Told,
    Called(Outcome<S>),
    Published(Result<(), Error>),
}

/// What `GET /v1/health` says of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) fate: Fate,
    /// Whether `GET /v1/health` got no useful answer, so that this attempt makes a session call in its place.
    pub(crate) stands_in: bool,
}

/// The outcome of `GET /v1/sessions/{id}`.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) result: Result<(), Error>,
    /// Whether the session was retired during the check. If so, this process may have deleted it, and a 404 says
    /// nothing.
    pub(crate) is_retired: bool,
}

/// What the task that drives the attempt has to carry out at once.
#[derive(Clone, Debug)]
pub(crate) enum Effect<S> {
    /// Gives up the session for this reason. Requests that carried it were answered without their defaults. `metered`
    /// says whether a session call found that out, and not `GET /v1/health`.
    GiveUp {
        session: S,
        reason: RetireReason,
        metered: bool,
    },
    /// Lets go of an adopted session that is not used after all.
    LetGo(S),
    /// This attempt did not make the check in place of `GET /v1/health`, or got no answer. So another attempt may make
    /// it at once.
    NotMetered,
    /// The check in place of `GET /v1/health` did not tell what became of the session, and no further one is due for a
    /// while. Carries how many signs of trouble had been seen when the check began, and when that was.
    MeteredInVain((u64, Reading)),
    CheckFailed {
        session: S,
        error: Error,
    },
    RenewalFailed {
        session: S,
        error: Error,
    },
}
