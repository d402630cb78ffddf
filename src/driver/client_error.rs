//! Judges the errors of a wrapped HTTP client. As in [`sign`](crate::model::sign), an error is a sign of a restart
//! unless it is known to be harmless.

use std::{error::Error as StdError, io};

use crate::{error::Error, model::evidence::Cause};

/// Returns what the error of a client is evidence for. `None` if it says nothing about the server.
pub(crate) fn in_error(error: &(dyn StdError + 'static)) -> Option<Cause> {
    // An error of this crate: the request was not sent, or its answer is withheld.
    if Error::find(error).is_some() {
        return None;
    }
    let mut worst = Some(Cause::Sign);
    let mut next = Some(error);
    while let Some(error) = next {
        match of_one(error) {
            #[cfg(any(feature = "hyper", feature = "reqwest"))]
            Some(Failure::Own) => return None,
            Some(Failure::Slow) if worst != Some(Cause::Broken) => worst = Some(Cause::Hint),
            Some(Failure::Broken) => worst = Some(Cause::Broken),
            Some(Failure::Slow) | None => {}
        }
        next = error.source();
    }
    worst
}

/// What one error in the chain of sources says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The caller's own fault: the request could not be built, or its body could not be read.
    #[cfg(any(feature = "hyper", feature = "reqwest"))]
    Own,
    /// There was no answer in time.
    Slow,
    /// The connection could not be made, or broke.
    Broken,
}

fn of_one(error: &(dyn StdError + 'static)) -> Option<Failure> {
    if error.is::<tokio::time::error::Elapsed>() || says_slow(error) {
        return Some(Failure::Slow);
    }
    let io = error.downcast_ref::<io::Error>();
    io.and_then(of_io)
        .or_else(|| of_reqwest(error))
        .or_else(|| of_hyper(error))
}

/// Recognises the timeouts of tower and tokio by their text. Transparent errors hide their types, and tower is not a
/// dependency.
fn says_slow(error: &(dyn StdError + 'static)) -> bool {
    ["request timed out", "deadline has elapsed"].contains(&error.to_string().as_str())
}

fn of_io(error: &io::Error) -> Option<Failure> {
    use io::ErrorKind::{
        AddrNotAvailable, BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset,
        HostUnreachable, NetworkDown, NetworkUnreachable, NotConnected, UnexpectedEof,
    };
    let is_broken = matches!(
        error.kind(),
        AddrNotAvailable
            | BrokenPipe
            | ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | UnexpectedEof
    );
    is_broken.then_some(Failure::Broken)
}

#[cfg(feature = "reqwest")]
fn of_reqwest(error: &(dyn StdError + 'static)) -> Option<Failure> {
    let error = error.downcast_ref::<::reqwest::Error>()?;
    // A redirect that was not followed was an answer of the server.
    if error.is_builder() || error.is_redirect() || error.is_body() {
        Some(Failure::Own)
    } else if error.is_connect() {
        Some(Failure::Broken)
    } else if error.is_timeout() {
        Some(Failure::Slow)
    } else {
        // The error below this one says whose fault it is.
        None
    }
}

#[cfg(not(feature = "reqwest"))]
fn of_reqwest(_: &(dyn StdError + 'static)) -> Option<Failure> {
    None
}

#[cfg(feature = "hyper")]
fn of_hyper(error: &(dyn StdError + 'static)) -> Option<Failure> {
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_user() {
        Some(Failure::Own)
    } else if error.is_timeout() {
        Some(Failure::Slow)
    } else {
        // If the server closed the connection instead of answering, there is no `io::Error` below.
        (!error.is_parse()).then_some(Failure::Broken)
    }
}

#[cfg(not(feature = "hyper"))]
fn of_hyper(_: &(dyn StdError + 'static)) -> Option<Failure> {
    None
}
