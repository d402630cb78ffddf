//! Which failures speak against the server, by exclusion: whatever is not known to be harmless.
//!
//! A list of known outages fails both ways. What is not on it counts as health, such as the 521 of a CDN or an error that
//! hides its cause; and what is on it without being one costs a call each time, such as the 503 that the application itself
//! writes when Solana is away.

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
