//! Signs that the server may have lost its sessions.
//!
//! A restarted server has forgotten every session and ignores their ids without a word, so what tells of a restart is
//! all there is: a connection that was refused or broke, a gateway's 502, 503 or 504, a 410. After such a sign no
//! request is given a session before the server has said that it is alive, or a successor has been made. Signs are
//! numbered; a session is as good as the last sign before the call that proved it alive.
//!
//! What no call meets leaves no sign: a restart while nothing is sent is found by `verify_every`, or not at all.

use std::{
    error::Error as StdError,
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use http::StatusCode;

#[cfg(feature = "store")]
use std::time::Duration;

use crate::{
    clock::Reading,
    error::{Error, ErrorKind},
};

#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    signs: AtomicU64,
    /// When the last one was, in milliseconds of monotonic time.
    last_at: AtomicU64,
    /// Whether this suspicion has been told of.
    told: AtomicBool,
}

impl Suspicion {
    /// How many signs there have been.
    pub(crate) fn signs(&self) -> u64 {
        self.signs.load(Ordering::SeqCst)
    }

    /// There is one more; returns whether it is the first since a session was last proved alive.
    pub(crate) fn raise(&self, now: Reading) -> bool {
        let now = u64::try_from(now.monotonic.as_millis()).unwrap_or(u64::MAX);
        self.last_at.fetch_max(now, Ordering::SeqCst);
        self.signs.fetch_add(1, Ordering::SeqCst);
        !self.told.swap(true, Ordering::AcqRel)
    }

    /// How many of them certainly came before `then`: all or none.
    #[cfg(feature = "store")]
    pub(crate) fn signs_before(&self, then: Reading) -> u64 {
        let signs = self.signs();
        let last_at = Duration::from_millis(self.last_at.load(Ordering::SeqCst));
        if then.monotonic > last_at { signs } else { 0 }
    }

    /// A session has been proved alive.
    pub(crate) fn calm(&self) {
        self.told.store(false, Ordering::Release);
    }
}

/// Whether an answer to a request is a sign.
pub(crate) fn in_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 410 | 502 | 503 | 504)
}

/// Whether a failed session call is one.
pub(crate) fn in_session_call(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.status().is_none_or(in_status)
}

/// Whether the error of a client is one: its connection could not be made, or broke.
pub(crate) fn in_error(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected,
        UnexpectedEof,
    };
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        let broken = matches!(
            kind,
            Some(
                BrokenPipe
                    | ConnectionAborted
                    | ConnectionRefused
                    | ConnectionReset
                    | NotConnected
                    | UnexpectedEof
            )
        );
        if broken || is_connect(error) || is_broken(error) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(feature = "reqwest")]
fn is_connect(error: &(dyn StdError + 'static)) -> bool {
    let error = error.downcast_ref::<::reqwest::Error>();
    // A request that failed without an answer, and not because it took too long.
    error.is_some_and(|error| error.is_connect() || (error.is_request() && !error.is_timeout()))
}

#[cfg(not(feature = "reqwest"))]
fn is_connect(_: &(dyn StdError + 'static)) -> bool {
    false
}

/// hyper has no `io::Error` below it where a server closed the connection instead of answering.
#[cfg(feature = "hyper")]
fn is_broken(error: &(dyn StdError + 'static)) -> bool {
    let error = error.downcast_ref::<hyper::Error>();
    // Whatever is not the caller's own fault, and not an answer that makes no sense.
    error.is_some_and(|error| !error.is_user() && !error.is_parse() && !error.is_timeout())
}

#[cfg(not(feature = "hyper"))]
fn is_broken(_: &(dyn StdError + 'static)) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Reading {
        let time = std::time::Duration::from_secs(seconds);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn the_first_sign_after_each_proof_of_life_is_told_of() {
        let suspicion = Suspicion::default();
        for _ in 0..2 {
            assert!(suspicion.raise(at(1)));
            assert!(!suspicion.raise(at(2)));
            suspicion.calm();
        }
    }

    #[test]
    #[cfg(feature = "store")]
    fn signs_came_before_a_moment_if_the_last_of_them_did() {
        let suspicion = Suspicion::default();
        suspicion.raise(at(1));
        suspicion.raise(at(5));
        let before = |seconds| suspicion.signs_before(at(seconds));
        assert_eq!([before(1), before(5), before(6)], [0, 0, 2]);
    }

    #[test]
    fn gateways_and_broken_connections_are_signs_and_plain_failures_are_not() {
        let signs = [410, 502, 503, 504];
        for status in [200, 400, 401, 404, 408, 410, 429, 500, 501, 502, 503, 504] {
            let answer = StatusCode::from_u16(status).unwrap();
            assert_eq!(in_status(answer), signs.contains(&status), "{status}");
        }
        assert!(in_error(&io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert!(!in_error(&io::Error::from(io::ErrorKind::TimedOut)));
        assert!(in_session_call(&Error::new(ErrorKind::Unavailable, "")));
        assert!(!in_session_call(&Error::new(ErrorKind::Quota, "")));
    }
}
