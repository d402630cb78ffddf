//! The steps of an attempt, named for what they wait for; what comes in, and what is to be done.

use std::time::Duration;

use super::{Pause, Share};
use crate::{clock::Reading, engine::evidence::Fate, error::Error, model::reason::RetireReason};

/// How an attempt ended, for everybody who waited for it.
pub(crate) type Outcome<S> = Result<S, Error>;

/// Another create has taken the place of this one. Whoever waits looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fenced;

/// What an attempt waits for.
#[derive(Clone, Debug)]
pub(crate) enum Step<S> {
    /// For nothing yet.
    Begun,
    /// Who makes the session: this process, or another of the fleet.
    Sharing,
    /// Its turn for the first call.
    Queued(Queued<S>),
    /// What the free question says of the session.
    Asking(S),
    /// What became of the oldest session, which is asked for in place of the free question.
    AskingOldest(S),
    /// Whether the server knows the session.
    Checking(S),
    /// That others know what was found out in place of the free question.
    Telling(S, Outcome<S>),
    /// What the server makes.
    Calling,
    /// That the fleet takes the session that was made.
    Publishing(S),
    /// The time of the next call.
    Pausing(Pause<S>),
    /// For nothing any more.
    Ended(Result<Outcome<S>, Fenced>),
}

/// A wait for the first call.
#[derive(Clone, Debug)]
pub(crate) struct Queued<S> {
    pub(super) since: Reading,
    /// In monotonic time.
    pub(crate) until: Duration,
    /// The session to ask for, where only that is left to do.
    pub(super) check: Option<S>,
}

/// What comes in.
#[derive(Clone, Debug)]
pub(crate) enum Input<S> {
    /// With a number that nothing else is drawn from.
    Begun(u64),
    Shared(Share<S>),
    /// What was waited for until then is due.
    Due,
    /// Another attempt has given up, or the server has answered somebody again.
    Woken,
    /// The manager shuts down.
    Closed,
    Said(Result<Known, Error>),
    /// Whether something is known of all sessions now.
    SaidOfOldest(Result<bool, Error>),
    Checked(Checked),
    Told,
    Called(Outcome<S>),
    Published(Result<(), Error>),
}

/// What the free question says of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) fate: Fate,
    /// Nobody answers the question: this attempt asks for a session in its place.
    pub(crate) stands_in: bool,
}

/// What came of asking for a session.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) result: Result<(), Error>,
    /// It was retired meanwhile: whoever did that may have deleted it.
    pub(crate) is_retired: bool,
}

/// What is to be done at once.
#[derive(Clone, Debug)]
pub(crate) enum Effect<S> {
    /// The session is of no use, for this reason: requests that bore it went without their defaults.
    GiveUp {
        session: S,
        reason: RetireReason,
        metered: bool,
    },
    /// What was taken up is not used after all.
    LetGo(S),
    /// The call in place of the free question was not made, or not answered: another attempt may make it.
    NotMetered,
    /// It was answered, and not with what became of the session. It had begun after so many signs, at that time.
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
