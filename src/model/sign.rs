//! Which failures speak against the server: all that are not known to be harmless.
//!
//! A list of known outages would fail both ways. An outage that is not on it would count as health, such as
//! Cloudflare's 521 or an error that hides its cause. A listed failure that is no outage would cost a call each time,
//! such as the 503 that the application itself writes when Solana is away.

use http::{HeaderMap, StatusCode};

use super::evidence::Cause;
use crate::{
    api::is_by_application,
    error::{Error, ErrorKind},
};

/// Returns how strongly the status of a wrapped call speaks against the server. `headers` is `None` if they are not
/// known.
pub(crate) fn in_status(status: StatusCode, headers: Option<&HeaderMap>) -> Option<Cause> {
    match (status.as_u16(), headers.map(is_by_application)) {
        // Today's server does not send 410, but its catalogue gives it the meaning that a session has expired. Without
        // headers, the other numbers are those that gateways and Cloudflare use if they cannot reach the server.
        (410, _) | (500..=599, Some(false)) | (502..=504 | 520..=527 | 530, None) => {
            Some(Cause::Sign)
        }
        (503, Some(true)) => Some(Cause::Hint),
        _ => None,
    }
}

/// Returns whether a gateway says that it cannot reach the server, or the server says that a session has expired.
pub(crate) fn is_gateways(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_gateways = !is_by_application(headers) || status == StatusCode::GONE;
    is_gateways && in_status(status, None) == Some(Cause::Sign)
}

/// Returns how strongly a failed session call speaks against the server.
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
