//! Decides which failures may mean that the server has restarted and lost its sessions. A *sign* stops the use of
//! sessions until the server was asked. A *hint* only makes the crate ask the server.
//!
//! Every failure counts that is not known to be harmless.
//!
//! A list of known outages would fail in two ways. It would miss outages, such as Cloudflare's 521 or an error that
//! hides its cause. And it would contain failures that are no outage, such as the 503 that the application itself
//! writes when Solana is away. Each of those would cost a call.

use http::{HeaderMap, StatusCode};

use super::evidence::Cause;
use crate::{
    api::is_by_application,
    error::{Error, ErrorKind},
};

/// Returns whether this status, as the answer to a user's request, is a sign or a hint that the server has lost its
/// sessions. `headers` is `None` if they are not known.
pub(crate) fn in_status(status: StatusCode, headers: Option<&HeaderMap>) -> Option<Cause> {
    match (status.as_u16(), headers.map(is_by_application)) {
        // 410: today's server does not send it, but its error catalogue says that 410 means an expired session. If the
        // headers are not known, only the statuses count that gateways and Cloudflare send if they cannot reach the
        // server.
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

/// Returns whether a failed session call is a sign or a hint that the server has lost its sessions.
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
