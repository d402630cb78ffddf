//! What a path of the API asks for.

use std::borrow::Cow;

use super::Scope;
use crate::api::SessionId;

/// Paths that the server answers without authentication, and so without a session.
const PUBLIC: [&str; 8] = [
    "/skill.md",
    "/demo",
    "/v1/health",
    "/v1/ready",
    "/v1/errors",
    "/v1/openapi.json",
    "/v1/billing/webhook",
    "/v1/demo",
];
/// The same, with everything below them.
const PUBLIC_PREFIX: &str = "/docs";
const SESSIONS: &str = "/v1/sessions";

/// The server matches paths whatever their letter case, with or without a slash at the end.
pub(super) fn classify(path: &str) -> Scope {
    // What somebody on the way may rewrite is not certain to do without a session.
    if path.contains('%') || has_dot_segment(path) {
        return Scope::Sipher;
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_public = |known: &&str| path.eq_ignore_ascii_case(known);
    if path.is_empty() || PUBLIC.iter().any(is_public) || is_below(path, PUBLIC_PREFIX) {
        Scope::Public
    } else if is_below(path, SESSIONS) {
        Scope::SessionCall
    } else {
        Scope::Sipher
    }
}

/// The session that a path is about: its segment that is an id, whatever stands around it and however it is encoded.
///
/// More than the server's own reading, in which only `/v1/sessions/{id}` names one: what somebody on the way makes of a path
/// is not known here, and to stop using a session for nothing costs a call.
pub(crate) fn session_id_in(path: &str) -> Option<SessionId> {
    if path.len() < SessionId::LEN {
        return None;
    }
    let path = if path.contains('%') {
        Cow::from(String::from_utf8_lossy(&decoded(path).collect::<Vec<_>>()).into_owned())
    } else {
        Cow::from(path)
    };
    let mut segments = path.split(['/', '\\', ';']);
    segments.find_map(|segment| SessionId::parse(segment.trim()))
}

/// What stands before a last segment `v1`, in any letter case and however it is encoded.
pub(super) fn without_version(prefix: &str) -> Option<&str> {
    let (before, last) = prefix.rsplit_once('/')?;
    let is_version = decoded(last)
        .map(|byte| byte.to_ascii_lowercase())
        .eq(*b"v1");
    is_version.then(|| before.trim_end_matches('/'))
}

/// Below `/v1/`, and by its next two letters neither public nor a session call.
#[allow(clippy::inline_always)] // on the way of every request
#[inline(always)]
pub(super) fn is_plain(path: &str) -> bool {
    let below = path.strip_prefix("/v1/").map(str::as_bytes);
    let Some(next) = below.and_then(|below| below.first_chunk::<2>()) else {
        return false;
    };
    // In lower case, or no letters at all.
    let next = [next[0] | 0x20, next[1] | 0x20];
    !matches!(&next, b"bi" | b"de" | b"er" | b"he" | b"op" | b"re" | b"se")
}

/// Whether somebody on the way may make another path of it.
#[inline]
pub(super) fn may_climb(path: &str) -> bool {
    path.bytes().any(|byte| matches!(byte, b'.' | b'%' | b'\\'))
}

fn is_below(path: &str, parent: &str) -> bool {
    let Some((start, rest)) = path.split_at_checked(parent.len()) else {
        return false;
    };
    start.eq_ignore_ascii_case(parent) && (rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path without an origin stays one when it is joined with an address: `//host/path` does not, nor does `*`.
pub(super) fn is_of_no_origin(path: &str) -> bool {
    let mut bytes = path.bytes();
    bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'))
}

/// Whether there may be a `.` or `..` segment to somebody on the way: percent-encoded, between slashes of either kind
/// that are percent-encoded too, or with parameters (`..;a`).
pub(super) fn has_dot_segment(path: &str) -> bool {
    // Nearly all have neither.
    if !path.bytes().any(|byte| matches!(byte, b'.' | b'%')) {
        return false;
    }
    let (mut dots, mut others) = (0, false);
    for byte in decoded(path).chain([b'/']) {
        match byte {
            b'/' | b'\\' | b';' => {
                if !others && (1..=2).contains(&dots) {
                    return true;
                }
                (dots, others) = (0, false);
            }
            b'.' => dots += 1,
            _ => others = true,
        }
    }
    false
}

/// The bytes that a path stands for once its percent-encodings are resolved.
fn decoded(path: &str) -> impl Iterator<Item = u8> {
    let mut bytes = path.bytes();
    std::iter::from_fn(move || {
        let byte = bytes.next()?;
        if byte == b'%' {
            let mut ahead = bytes.clone();
            let mut digit = || char::from(ahead.next()?).to_digit(16);
            if let (Some(high), Some(low)) = (digit(), digit()) {
                bytes = ahead;
                return u8::try_from(high << 4 | low).ok();
            }
        }
        Some(byte)
    })
}
