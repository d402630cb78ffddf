//! The errors that a caller gets when there is no answer.

use std::{error, fmt, io, sync::LazyLock};

/// A call that ended without a complete answer, as a network would end it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FakeError {
    /// The connection was refused. The server received nothing of the request.
    Refused,
    /// The connection was lost on the way. The log says what the server did with the request.
    Reset,
    /// The timeout of the request itself, a `reqwest::Request`, ended first.
    TimedOut,
    /// The request's own body failed before its end.
    BrokenRequest,
    /// [`FakeSipher::refuse_dead_ids`] is on, and the request carried the id of no live session.
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
    /// Returns the I/O error that a real client has at the end of its chain when a connection fails or breaks.
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
