//! What a request's headers say about its body, as the server reads them.

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRAILER, TRANSFER_ENCODING},
};

use crate::{error::Error, headers, model::inlining::NotInlined};

/// How a body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The server reads the body as plain JSON in UTF-8.
    Json,
    /// The server does not read the body, or this crate cannot.
    Not(NotInlined),
}

/// Headers that hold a digest or a signature of the body, or belong to one.
const SIGNED: [&str; 7] = [
    "digest",
    "content-digest",
    "repr-digest",
    "content-md5",
    "signature",
    "signature-input",
    "x-amz-content-sha256",
];

/// Returns how the server reads a body with these headers, and whether this crate can read it too.
pub(crate) fn reading(headers: &HeaderMap) -> Reading {
    // If there are several lines, Node keeps the first.
    let content_type = headers.get(CONTENT_TYPE).map_or(&[][..], trimmed);
    let (media_type, parameters) = cut(content_type, b';');
    if !media_type.eq_ignore_ascii_case(b"application/json") {
        Reading::Not(NotInlined::NotJson)
    } else if !is_utf8(parameters) {
        Reading::Not(NotInlined::Charset)
    } else if !is_plain(headers) {
        Reading::Not(NotInlined::Encoded)
    } else {
        Reading::Json
    }
}

/// Returns whether the server reads an empty body as `{}`. Otherwise the request has no body.
pub(crate) fn empty_is_object(headers: &HeaderMap) -> bool {
    let is_zero = |length: &HeaderValue| {
        let digits = trimmed(length);
        !digits.is_empty() && digits.iter().all(|&digit| digit == b'0')
    };
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(is_zero)
}

/// Adds `Content-Length: 0` to a stream that turned out to be empty. So the server reads the body as `{}`, as it would
/// if the stream were sent in chunks.
///
/// # Errors
///
/// Returns [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) if the header map has no room for it.
pub(crate) fn say_empty(headers: &mut HeaderMap) -> Result<(), Error> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    headers::put(headers, CONTENT_LENGTH, HeaderValue::from_static("0"))
}

/// Returns the header, or the announced trailer, that would be wrong if the body changed.
pub(crate) fn signed_by(headers: &HeaderMap) -> Option<&'static str> {
    let is_announced = |name: &str| {
        let lines = headers.get_all(TRAILER).iter();
        let mut names = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
        names.any(|trailer| trailer.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    };
    let is_there = |name: &&str| headers.contains_key(*name) || is_announced(name);
    SIGNED.into_iter().find(is_there)
}

/// Returns whether the body is not compressed. Several lines count as compressed: Node joins them with a comma, and
/// the server accepts no list.
fn is_plain(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_ENCODING).iter();
    match (lines.next().map(trimmed), lines.next()) {
        (None, _) => true,
        (Some(one), None) => one.is_empty() || one.eq_ignore_ascii_case(b"identity"),
        (Some(_), Some(_)) => false,
    }
}

/// Returns whether every charset among the parameters is UTF-8. The server uses the first charset, but not in all
/// versions of its parser.
fn is_utf8(mut parameters: &[u8]) -> bool {
    while !parameters.is_empty() {
        let (name, after) = until(parameters, |&byte| byte == b'=' || byte == b';');
        let Some(value) = after.strip_prefix(b"=") else {
            parameters = skip(after);
            continue;
        };
        let (value, rest) = value_of(value);
        let is_charset = name.trim_ascii().eq_ignore_ascii_case(b"charset");
        if is_charset && !value.is_empty() && !value.eq_ignore_ascii_case(b"utf-8") {
            return false;
        }
        parameters = rest;
    }
    true
}

/// Returns the value at the start, and the parameters after it. Escapes in a quoted value are not resolved, so such a
/// value is an unknown charset.
fn value_of(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(quoted) = text.trim_ascii_start().strip_prefix(b"\"") else {
        let (value, rest) = cut(text, b';');
        return (value, rest);
    };
    let mut escaped = false;
    let (value, rest) = until(quoted, |&byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    });
    (value, cut(rest, b';').1)
}

/// Returns the text before the first such byte, without blanks around it, and the text after it.
fn cut(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    let (before, rest) = until(text, |&byte| byte == at);
    (before.trim_ascii(), skip(rest))
}

fn until(text: &[u8], is_end: impl FnMut(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(is_end).unwrap_or(text.len()))
}

fn skip(text: &[u8]) -> &[u8] {
    text.get(1..).unwrap_or_default()
}

fn trimmed(value: &HeaderValue) -> &[u8] {
    value.as_bytes().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn of_type(content_type: &'static str) -> Reading {
        reading(&headers(&[("content-type", content_type)]))
    }

    fn encoded(lines: &[&'static str]) -> Reading {
        let mut headers = headers(&[("content-type", "application/json")]);
        for line in lines {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(line));
        }
        reading(&headers)
    }

    #[test]
    fn json_is_json_with_any_parameters_but_another_charset() {
        for json in [
            "application/json",
            "Application/JSON",
            " application/json\t",
            "application/json ; charset=utf-8",
            "application/json;charset=UTF-8;",
            "application/json; Charset = \"Utf-8\" x; a=b",
            "application/json; profile=x",
            "application/json; profile=\"; charset=utf-16\"",
            "application/json; profile=\"\\\"; charset=utf-16\"",
            "application/json;",
            "application/json;;charset",
            "application/json; charset=",
            "application/json; charset=\"utf-8",
            "application/json; xcharset=utf-16",
        ] {
            assert_eq!(of_type(json), Reading::Json, "{json}");
        }
    }

    #[test]
    fn other_charsets_are_not_read() {
        for charset in [
            "application/json; charset=utf-16",
            "application/json;charset=utf-16le",
            "application/json; charset=\"iso-8859-1\"",
            "application/json; charset=utf8",
            "application/json; charset=us-ascii",
            "application/json; a=b; ;CHARSET=utf-16",
            "application/json; a=\"b\"; charset=utf-16",
            "application/json; charset=utf-8; charset=utf-16",
            "application/json; charset=utf-16; charset=utf-8",
        ] {
            let not = Reading::Not(NotInlined::Charset);
            assert_eq!(of_type(charset), not, "{charset}");
        }
    }

    #[test]
    fn other_types_are_not_json() {
        for other in [
            "",
            "text/json",
            "application/vnd.api+json",
            "application/jsonx",
            "application/json, text/plain",
            "application/json charset=utf-8",
            "*/*",
        ] {
            assert_eq!(of_type(other), Reading::Not(NotInlined::NotJson), "{other}");
        }
        assert_eq!(
            reading(&HeaderMap::new()),
            Reading::Not(NotInlined::NotJson)
        );
    }

    #[test]
    fn of_two_types_the_first_counts() {
        let (json, text) = (
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
        );
        assert_eq!(reading(&headers(&[json, text])), Reading::Json);
        assert_eq!(
            reading(&headers(&[text, json])),
            Reading::Not(NotInlined::NotJson)
        );
    }

    #[test]
    fn only_plain_bodies_are_read() {
        for plain in [&[][..], &[""], &["identity"], &[" IDENTITY "]] {
            assert_eq!(encoded(plain), Reading::Json, "{plain:?}");
        }
        for other in [
            &["gzip"][..],
            &["x-gzip"],
            &["identity, identity"],
            &["identity", "identity"],
            &["", ""],
        ] {
            assert_eq!(
                encoded(other),
                Reading::Not(NotInlined::Encoded),
                "{other:?}"
            );
        }
    }

    #[test]
    fn an_empty_body_is_an_object_only_if_the_request_says_that_there_is_one() {
        for said in [
            ("content-length", "0"),
            ("content-length", " 00 "),
            ("transfer-encoding", "chunked"),
        ] {
            assert!(empty_is_object(&headers(&[said])), "{said:?}");
        }
        for not in [
            ("content-length", "2"),
            ("content-length", ""),
            ("content-type", "application/json"),
        ] {
            assert!(!empty_is_object(&headers(&[not])), "{not:?}");
        }
    }

    #[test]
    fn headers_that_a_changed_body_makes_wrong_are_found() {
        for name in SIGNED {
            assert_eq!(signed_by(&headers(&[(name, "x")])), Some(name));
        }
        assert_eq!(signed_by(&headers(&[("content-type", "x")])), None);
    }
}
