//! What a caller gets when there is no answer.

use std::{error, fmt, io, sync::LazyLock};

/// A call that ended without a whole answer, as the network would end it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FakeError {
    /// Nobody listened: the server saw nothing of the request.
    Refused,
    /// The connection was lost on the way; what the server did with the request is in the log.
    Reset,
    /// The request's own timeout, that of a `reqwest::Request`, passed first.
    TimedOut,
    /// The request's own body failed before its end.
    BrokenRequest,
    /// [`FakeSipher::refuse_dead_ids`] is on, and the request bore an id that stands for no session.
    ///
    /// [`FakeSipher::refuse_dead_ids`]: super::FakeSipher::refuse_dead_ids
    DeadId(String),
}

impl fmt::Display for FakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused by the fake Sipher"),
            Self::Reset => f.write_str("connection reset by the fake Sipher"),
            Self::TimedOut => {
                f.write_str("the fake Sipher did not answer within the request's timeout")
            }
            Self::BrokenRequest => f.write_str("the request body broke off"),
            Self::DeadId(what) => write!(f, "the fake Sipher got a dead session id: {what}"),
        }
    }
}

impl error::Error for FakeError {
    /// What a real client's error has at the bottom when there is no connection, or none any more.
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        static REFUSED: LazyLock<io::Error> =
            LazyLock::new(|| io::ErrorKind::ConnectionRefused.into());
        static RESET: LazyLock<io::Error> = LazyLock::new(|| io::ErrorKind::ConnectionReset.into());
        static SLOW: LazyLock<io::Error> =
            LazyLock::new(|| io::Error::new(io::ErrorKind::TimedOut, "deadline has elapsed"));
        match self {
            Self::TimedOut => Some(&*SLOW),
            Self::Refused => Some(&*REFUSED),
            Self::Reset => Some(&*RESET),
            Self::BrokenRequest | Self::DeadId(_) => None,
        }
    }
}
