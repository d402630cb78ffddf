//! The steps of an attempt, each named for what it waits for, with their inputs and effects.

use std::time::Duration;

use super::{Pause, Share};
use crate::{clock::Reading, engine::evidence::Fate, error::Error, model::reason::RetireReason};

/// How an attempt ended, for every request that waited for it.
pub(crate) type Outcome<S> = Result<S, Error>;

/// Another create has taken the place of this attempt. Waiting requests look for the session again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fenced;

/// What an attempt waits for.
#[derive(Clone, Debug)]
pub(crate) enum Step<S> {
    /// Nothing yet.
    Begun,
    /// Which process creates the session: this one, or another of the fleet.
    Sharing,
    /// Its turn for the first call.
    Queued(Queued<S>),
    /// What `GET /v1/health` says of the session.
    Asking(S),
    /// What became of the oldest session, which is asked for in place of `GET /v1/health`.
    AskingOldest(S),
    /// Whether the server knows the session, by `GET /v1/sessions/{id}`.
    Checking(S),
    /// That others learn the result of a check made in place of `GET /v1/health`.
    Telling(S, Outcome<S>),
    /// The answer to its create.
    Calling,
    /// That the fleet accepts the new session.
    Publishing(S),
    /// The time of the next call.
    Pausing(Pause<S>),
    /// Nothing any more.
    Ended(Result<Outcome<S>, Fenced>),
}

/// A wait for the first call.
#[derive(Clone, Debug)]
pub(crate) struct Queued<S> {
    pub(super) since: Reading,
    /// Monotonic time.
    pub(crate) until: Duration,
    /// The session to check with `GET /v1/sessions/{id}`, if that is all that is left to do.
    pub(super) check: Option<S>,
}

/// What an attempt can receive.
#[derive(Clone, Debug)]
pub(crate) enum Input<S> {
    /// The attempt begins. The number seeds its random pauses, and seeds nothing else.
    Begun(u64),
    Shared(Share<S>),
    /// The time that the step waited for has come.
    Due,
    /// Another attempt has given up, or the server has answered some request again.
    Woken,
    /// The manager shuts down.
    Closed,
    Said(Result<Known, Error>),
    /// Whether the oldest session's answer says something about all sessions.
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
    /// Nobody answers `GET /v1/health`, so this attempt asks for a session in its place.
    pub(crate) stands_in: bool,
}

/// The outcome of `GET /v1/sessions/{id}`.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) result: Result<(), Error>,
    /// Whether the session was retired during the check. In that case it may have been deleted by this process.
    pub(crate) is_retired: bool,
}

/// What the driving task has to carry out at once.
#[derive(Clone, Debug)]
pub(crate) enum Effect<S> {
    /// Gives up the session for this reason. Requests that carried it went without their defaults.
    GiveUp {
        session: S,
        reason: RetireReason,
        metered: bool,
    },
    /// Leaves an adopted session that is not used after all.
    LetGo(S),
    /// The check in place of `GET /v1/health` was not made or not answered, so another attempt may make it.
    NotMetered,
    /// The check in place of `GET /v1/health` was answered, but the answer does not tell what became of the session.
    /// Carries how many signs of trouble had been seen when the check began, and when that was.
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
