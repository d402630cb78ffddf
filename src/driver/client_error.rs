//! What the error of a wrapped client speaks for, by exclusion as [`sign`](crate::model::sign) judges answers.

use std::{error::Error as StdError, io};

use crate::{error::Error, model::evidence::Cause};

/// What the error of a client speaks for.
pub(crate) fn in_error(error: &(dyn StdError + 'static)) -> Option<Cause> {
    // Of this crate: the request was not sent, or its answer is withheld.
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

/// What is known of one error in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The caller's: what it wanted to send could not be made, or read.
    #[cfg(any(feature = "hyper", feature = "reqwest"))]
    Own,
    /// No answer in time.
    Slow,
    /// A connection that could not be made, or broke.
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

/// What tower's and tokio's time limits say. Their types are hidden by errors that are transparent, and tower is no dependency.
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
    // A redirect that was not followed was an answer.
    if error.is_builder() || error.is_redirect() || error.is_body() {
        Some(Failure::Own)
    } else if error.is_connect() {
        Some(Failure::Broken)
    } else if error.is_timeout() {
        Some(Failure::Slow)
    } else {
        // What stands below it says whose fault it is.
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
        // It has no `io::Error` below it where the server closed the connection instead of answering.
        (!error.is_parse()).then_some(Failure::Broken)
    }
}

#[cfg(not(feature = "hyper"))]
fn of_hyper(_: &(dyn StdError + 'static)) -> Option<Failure> {
    None
}
