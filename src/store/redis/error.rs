//! What this store's own errors are; those of the server and of the network are the client's.

use std::{fmt, time::Duration};

#[derive(Debug)]
pub(super) enum Trouble {
    /// The call, with connecting and waiting for those that connect, took longer than is allowed.
    TimedOut(Duration),
    /// The server answered with something that no step of this store returns.
    Malformed,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(after) => write!(f, "the store did not answer within {after:?}"),
            Self::Malformed => {
                f.write_str("the store answered with what is no answer to the question")
            }
        }
    }
}

impl std::error::Error for Trouble {}
