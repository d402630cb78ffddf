//! Which failures speak against the server, by exclusion: whatever is not known to be harmless.
//!
//! A list of known outages fails both ways. What is not on it counts as health, such as the 521 of a CDN or an error that
//! hides its cause; and what is on it without being one costs a call each time, such as the 503 that the application itself
//! writes when Solana is away.

use std::{error::Error as StdError, io};

use http::{HeaderMap, StatusCode};

use super::evidence::Cause;
use crate::{
    api::is_by_application,
    error::{Error, ErrorKind},
};

/// What the status of a wrapped call speaks for; `headers` where they are known.
pub(crate) fn in_status(status: StatusCode, headers: Option<&HeaderMap>) -> Option<Cause> {
    match (status.as_u16(), headers.map(is_by_application)) {
        // Today's server does not send 410; its catalogue says that a session has expired. The others without headers are what
        // gateways say of a server that they do not reach, and Cloudflare's own numbers for that.
        (410, _) | (500..=599, Some(false)) | (502..=504 | 520..=527 | 530, None) => {
            Some(Cause::Sign)
        }
        (503, Some(true)) => Some(Cause::Hint),
        _ => None,
    }
}

/// Whether a gateway says that it does not reach the server, or the server that a session has expired.
pub(crate) fn is_gateways(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_gateways = !is_by_application(headers) || status == StatusCode::GONE;
    is_gateways && in_status(status, None) == Some(Cause::Sign)
}

/// Whether a gateway says with this status that the server does not answer it: 503 may be the server's own.
pub(crate) fn is_unreached(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502 | 504 | 520..=527 | 530)
}

/// What a failed session call speaks for.
pub(crate) fn in_session_call(error: &Error) -> Option<Cause> {
    match error.kind() {
        ErrorKind::Unavailable => {}
        // Nobody answered, which may have many reasons.
        ErrorKind::Timeout => return Some(Cause::Hint),
        _ => return None,
    }
    match error.status() {
        None => Some(Cause::Broken),
        Some(_) if error.is_by_application() => Some(Cause::Hint),
        Some(status) => in_status(status, None),
    }
}

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
