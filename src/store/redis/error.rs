//! The errors of this store. Errors of the server and of the network are the client's.

use std::{error::Error as StdError, fmt, time::Duration};

use redis::RedisError;

use crate::error::BoxError;

#[derive(Debug)]
pub(super) enum Trouble {
    /// The call took too long, including connecting and waiting for another call to connect.
    TimedOut(Duration),
    /// The server's answer is none that a script of this store returns.
    Malformed,
    /// The server does not accept version 3 of the protocol.
    NoVersion3(RedisError),
}

impl Trouble {
    /// Returns the server's error, with advice if the cause is known.
    pub(super) fn explained(error: RedisError) -> BoxError {
        let said = error.to_string();
        if said.contains("HELLO") || said.contains("NOPROTO") {
            return Self::NoVersion3(error).into();
        }
        error.into()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(after) => write!(f, "the store did not answer within {after:?}"),
            Self::Malformed => {
                f.write_str("the store sent an answer that does not fit the question")
            }
            Self::NoVersion3(_) => f.write_str(
                "the store does not speak version 3 of the Redis protocol; expected one that does, or `?protocol=resp2` in its URL",
            ),
        }
    }
}

impl StdError for Trouble {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NoVersion3(error) => Some(error),
            Self::TimedOut(_) | Self::Malformed => None,
        }
    }
}
