//! What an attempt may receive in each of its steps.

use std::time::Duration;

use http::StatusCode;

use super::{Checked, *};
use crate::{
    engine::evidence::Fate,
    error::{Answer, ErrorKind},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Due,
    Woken,
    Closed,
    /// Answers of the fleet, in this order: create a session; check this session; check this session with
    /// `GET /v1/sessions/{id}`; use this session; the store fails; another create has taken the attempt's place.
    Create,
    AskAbout,
    AskFor,
    Take,
    StoreFails,
    Overtaken,
    /// Results of `GET /v1/health`.
    Alive,
    Gone,
    Unclear,
    /// Like `Unclear`, and this attempt has to make a session call in place of `GET /v1/health`.
    UnclearInPlace,
    Unanswered,
    /// The answer about the oldest session says something about all sessions, or about none.
    AllKnown,
    NothingKnown,
    /// Results of `GET /v1/sessions/{id}`.
    Known,
    NotFound,
    OtherThan,
    RetiredAndNotFound,
    Told,
    Made,
    Accepted,
    Refused,
    /// Failures of calls.
    Unreachable,
    Gateway,
    Broken,
    RateLimited,
    Credentials,
    Rejected,
    Quota,
}

use Came::*;

const FLEET: [Came; 6] = [Create, AskAbout, AskFor, Take, StoreFails, Overtaken];
const WAIT: [Came; 3] = [Due, Woken, Closed];
const QUESTION: [Came; 5] = [Alive, Gone, Unclear, UnclearInPlace, Unanswered];
const OLDEST: [Came; 3] = [AllKnown, NothingKnown, Unanswered];
const CHECK: [Came; 10] = [
    Known,
    NotFound,
    OtherThan,
    RetiredAndNotFound,
    Unreachable,
    Gateway,
    Broken,
    RateLimited,
    Credentials,
    Rejected,
];
const CALL: [Came; 8] = [
    Made,
    Unreachable,
    Gateway,
    Broken,
    RateLimited,
    Credentials,
    Rejected,
    Quota,
];

impl Came {
    pub(super) fn to<S>(step: &Step<S>) -> &'static [Came] {
        match step {
            Step::Begun | Step::Ended(_) => &[],
            Step::Sharing => &FLEET,
            Step::Queued(_) | Step::Pausing(_) => &WAIT,
            Step::Asking(_) => &QUESTION,
            Step::AskingOldest(_) => &OLDEST,
            Step::Checking(_) => &CHECK,
            Step::Telling(..) => &[Told],
            Step::Calling => &CALL,
            Step::Publishing(_) => &[Accepted, Refused],
        }
    }

    /// Returns whether the server itself has answered.
    pub(super) fn is_answer(self) -> bool {
        matches!(
            self,
            Alive
                | Gone
                | AllKnown
                | Known
                | NotFound
                | OtherThan
                | RetiredAndNotFound
                | Made
                | RateLimited
                | Credentials
                | Rejected
                | Quota
        )
    }

    pub(super) fn is_unreachable(self) -> bool {
        matches!(self, Unreachable | Gateway)
    }

    /// Returns whether the answer says that the session is lost or otherwise of no use.
    pub(super) fn is_loss(self) -> bool {
        matches!(self, Gone | NotFound | OtherThan | RetiredAndNotFound)
    }

    /// Returns the input that it stands for. `fresh` is a session that the attempt has not seen before.
    pub(super) fn input(self, fresh: u64) -> Input<u64> {
        match self {
            Due => Input::Due,
            Woken => Input::Woken,
            Closed => Input::Closed,
            Create => Input::Shared(Share::Create),
            AskAbout | AskFor => Input::Shared(Share::Ask {
                session: fresh,
                by_itself: self == AskFor,
            }),
            Take => Input::Shared(Share::Done(Ok(fresh))),
            StoreFails => Input::Shared(Share::Done(Err(Error::new(ErrorKind::Store, "")))),
            Overtaken => Input::Shared(Share::Fenced),
            Alive | Gone | Unclear | UnclearInPlace => Input::Said(Ok(super::Known {
                fate: match self {
                    Alive => Fate::Alive,
                    Gone => Fate::Gone,
                    _ => Fate::Unclear,
                },
                stands_in: self == UnclearInPlace,
            })),
            Unanswered => Input::Said(Err(self.error())),
            AllKnown | NothingKnown => Input::SaidOfOldest(Ok(self == AllKnown)),
            Told => Input::Told,
            Made => Input::Called(Ok(fresh)),
            Accepted => Input::Published(Ok(())),
            Refused => Input::Published(Err(Error::new(ErrorKind::Store, ""))),
            Known => checked(Ok(()), false),
            _ => checked(Err(self.error()), self == RetiredAndNotFound),
        }
    }

    /// Like `input`, for any step: a failure becomes the failure of what the step waits for.
    pub(super) fn input_to(self, step: &Step<u64>, fresh: u64) -> Input<u64> {
        match step {
            Step::Calling if self != Made => Input::Called(Err(self.error())),
            Step::AskingOldest(_) if self == Unanswered => Input::SaidOfOldest(Err(self.error())),
            _ => self.input(fresh),
        }
    }

    fn error(self) -> Error {
        let kind = match self {
            NotFound | RetiredAndNotFound => ErrorKind::NotFound,
            OtherThan => ErrorKind::WrongAnswer,
            Broken => ErrorKind::Timeout,
            RateLimited => ErrorKind::RateLimited,
            Credentials => ErrorKind::Credentials,
            Rejected => ErrorKind::Rejected,
            Quota => ErrorKind::Quota,
            _ => ErrorKind::Unavailable,
        };
        let error = Error::new(kind, "");
        match self {
            Gateway => error.with_answer(Answer {
                status: StatusCode::BAD_GATEWAY,
                code: None,
                details: None,
                request_id: None,
                is_by_application: false,
                window: None,
            }),
            Broken => error.with_unknown_outcome(),
            RateLimited => error.with_retry_after(Duration::from_secs(2)),
            _ => error,
        }
    }
}

fn checked(result: Result<(), Error>, is_retired: bool) -> Input<u64> {
    Input::Checked(Checked { result, is_retired })
}
