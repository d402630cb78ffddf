//! Classifies the paths of the API.

use std::borrow::Cow;

use super::Scope;
use crate::api::SessionId;

/// Paths that the server answers without authentication. Requests to them need no session.
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
/// A public path with everything below it.
const PUBLIC_PREFIX: &str = "/docs";
const SESSIONS: &str = "/v1/sessions";

/// Returns the kind of a path. Like the server, it ignores letter case and one slash at the end.
pub(super) fn classify(path: &str) -> Scope {
    // A proxy may rewrite such a path. So it is not certain that the request needs no session.
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

/// Returns the session that a path names: the first segment that is a session id, at any position and in any encoding.
///
/// The server itself accepts an id only in `/v1/sessions/{id}`, but a proxy may rewrite a path on the way. If the path
/// does not mean that session after all, we stop using the session for nothing. That costs only a call.
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

/// Returns the prefix without its last segment, if that segment is `v1` in any letter case and encoding.
pub(super) fn without_version(prefix: &str) -> Option<&str> {
    let (before, last) = prefix.rsplit_once('/')?;
    let is_version = decoded(last)
        .map(|byte| byte.to_ascii_lowercase())
        .eq(*b"v1");
    is_version.then(|| before.trim_end_matches('/'))
}

/// Returns whether a path is below `/v1/` and certainly neither public nor a session call. Looks only at the two
/// letters after `/v1/`.
#[allow(clippy::inline_always)] // on the way of every request
#[inline(always)]
pub(super) fn is_plain(path: &str) -> bool {
    let below = path.strip_prefix("/v1/").map(str::as_bytes);
    let Some(next) = below.and_then(|below| below.first_chunk::<2>()) else {
        return false;
    };
    // Converts letters to lower case. Other bytes may change too, but never to one of these pairs.
    let next = [next[0] | 0x20, next[1] | 0x20];
    !matches!(&next, b"bi" | b"de" | b"er" | b"he" | b"op" | b"re" | b"se")
}

/// Returns whether a proxy may turn the path into another one.
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

/// Returns whether a path stays a path when a lower layer joins it with an address. `//host/path` does not, and neither
/// does `*`.
pub(super) fn is_of_no_origin(path: &str) -> bool {
    let mut bytes = path.bytes();
    bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'))
}

/// Returns whether a proxy may see a `.` or `..` segment in the path. It may be percent-encoded. It may stand between
/// slashes of either kind, which may be encoded too. It may have parameters (`..;a`).
pub(super) fn has_dot_segment(path: &str) -> bool {
    // Nearly all paths contain neither.
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

/// Returns the bytes of a path with its percent-encodings decoded.
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
