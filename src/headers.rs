//! The headers that matter to Sipher, read in the same way as the server reads them.

use std::time::{Duration, UNIX_EPOCH};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, DATE},
};

use crate::{
    api::SessionId,
    error::{Error, ErrorKind},
};

pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");

/// Returns the API key that a request carries. The order is the server's: `X-API-Key` unless it is empty, then
/// `Authorization: Bearer`.
///
/// # Errors
///
/// [`ErrorKind::InvalidRequest`] if it is not clear which key the server would use. Example: two `X-API-Key` headers.
pub(crate) fn api_key(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    match single(headers, &API_KEY)? {
        Some("") | None => bearer(headers),
        key => Ok(key),
    }
}

/// Returns the `Date` of an answer, since 1970. A gateway may have written it.
pub(crate) fn date(headers: &HeaderMap) -> Option<Duration> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    date.duration_since(UNIX_EPOCH).ok()
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(credentials) = single(headers, &AUTHORIZATION)? else {
        return Ok(None);
    };
    let (scheme, key) = credentials.split_once(' ').unwrap_or((credentials, ""));
    if scheme == "Bearer" {
        return Ok(Some(key.trim()).filter(|key| !key.is_empty()));
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return Err(invalid(
            "authorization: is not read by the server; expected `Bearer`, with a capital B",
        ));
    }
    Ok(None)
}

/// Returns whether a request has a header in which the server would look for an API key.
#[inline]
pub(crate) fn may_bear_a_key(headers: &HeaderMap) -> bool {
    // A static, because a constant would be created and dropped for each comparison.
    static NAMES: [HeaderName; 2] = [AUTHORIZATION, API_KEY];
    headers.keys().any(|name| NAMES.contains(name))
}

/// The header of a request that carries the API key, and the header's unchanged value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credentials<'a> {
    pub(crate) header: KeyHeader,
    /// Empty if the request carries no key.
    pub(crate) value: &'a HeaderValue,
}

/// The header that carries an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyHeader {
    None,
    ApiKey,
    Authorization,
}

static NOTHING: HeaderValue = HeaderValue::from_static("");

impl Credentials<'_> {
    pub(crate) const NONE: Credentials<'static> = Credentials {
        header: KeyHeader::None,
        value: &NOTHING,
    };
}

/// Returns the credentials of a request. Returns `None` if the request carries a session id, or more than one of the
/// two key headers: then the caller must look closer.
#[allow(clippy::inline_always)] // loops over a few names, on every request
#[inline(always)]
pub(crate) fn credentials(headers: &HeaderMap) -> Option<Credentials<'_>> {
    let mut found = Credentials::NONE;
    for (name, value) in headers {
        let header = if *name == AUTHORIZATION {
            KeyHeader::Authorization
        } else if *name == API_KEY {
            KeyHeader::ApiKey
        } else if *name == SESSION_ID {
            return None;
        } else {
            continue;
        };
        if found.header != KeyHeader::None {
            // The slow path decides which of them counts.
            return None;
        }
        found = Credentials { header, value };
    }
    Some(found)
}

/// Returns the session id that the caller has put on a request.
///
/// # Errors
///
/// [`ErrorKind::InvalidRequest`] if the server would ignore the id.
pub(crate) fn session_id(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    match single(headers, &SESSION_ID)? {
        None => Ok(None),
        Some(id) if SessionId::is_one(id) => Ok(Some(id)),
        Some(_) => Err(invalid(
            "x-session-id: is malformed, and the server would ignore it; \
             expected `sess_` and 64 lower-case hexadecimal digits, or no such header",
        )),
    }
}

/// Returns the value of a header, without blanks around it. More than one such header is an error.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid(format!(
            "{name}: is there more than once; expected it once at most"
        )));
    }
    let text = |value: &'a HeaderValue| value.to_str().map(str::trim);
    text(value)
        .map(Some)
        .map_err(|_| invalid(format!("{name}: is not visible ASCII")))
}

/// Inserts a header. Replaces any other of the same name.
///
/// # Errors
///
/// [`ErrorKind::InvalidRequest`] if the map is full: it takes 24,576 headers, or fewer if the hashes of their names
/// collide.
#[inline]
pub(crate) fn put(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: HeaderValue,
) -> Result<(), Error> {
    match headers.try_insert(name, value) {
        Ok(_) => Ok(()),
        Err(_) => Err(full(headers)),
    }
}

#[cold]
fn full(headers: &HeaderMap) -> Error {
    let count = headers.len();
    invalid(format!(
        "the request has {count} headers, and there is no room for another; expected fewer"
    ))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_takes_the_place_of_any_other() {
        let mut headers = HeaderMap::new();
        for id in ["one", "two"] {
            put(&mut headers, SESSION_ID, HeaderValue::from_static(id)).unwrap();
        }
        assert!(headers.get_all(SESSION_ID).iter().eq(["two"]));
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        };
        let mut headers = HeaderMap::new();
        pairs.iter().map(pair).for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn the_key_is_found_where_the_server_finds_it() {
        for (pairs, key) in [
            (&[][..], None),
            (&[("x-api-key", "k1")], Some("k1")),
            (&[("x-api-key", " k1 ")], Some("k1")),
            (&[("authorization", "Bearer k2")], Some("k2")),
            (
                &[("x-api-key", "k1"), ("authorization", "Bearer k2")],
                Some("k1"),
            ),
            (
                &[("x-api-key", "k1"), ("authorization", "bearer k2")],
                Some("k1"),
            ),
            (
                &[("x-api-key", ""), ("authorization", "Bearer k2")],
                Some("k2"),
            ),
            (&[("x-api-key", "")], None),
            (&[("authorization", "Bearer ")], None),
            (&[("authorization", "Basic dXNlcg==")], None),
        ] {
            assert_eq!(api_key(&headers(pairs)).unwrap(), key, "{pairs:?}");
        }
    }

    #[test]
    fn credentials_are_those_of_the_only_header_that_bears_any() {
        use fastrand::Rng;
        const NAMES: [&str; 5] = ["accept", "cookie", "x-other", "x-api-key", "authorization"];
        for seed in 0..2_000 {
            let mut rng = Rng::with_seed(seed);
            let drawn: Vec<(&str, HeaderValue)> = (0..rng.usize(0..7))
                .map(|_| (NAMES[rng.usize(..NAMES.len())], rng.u16(0..9).into()))
                .collect();
            let mut headers = HeaderMap::new();
            for (name, value) in &drawn {
                headers.append(*name, value.clone());
            }
            let mut all = drawn.iter().filter_map(|(name, value)| {
                let header = match *name {
                    "x-api-key" => KeyHeader::ApiKey,
                    "authorization" => KeyHeader::Authorization,
                    _ => return None,
                };
                Some(Credentials { header, value })
            });
            let expected = match (all.next(), all.next()) {
                (None, _) => Some(Credentials::NONE),
                (one, None) => one,
                (Some(_), Some(_)) => None,
            };
            assert_eq!(credentials(&headers), expected, "seed {seed}: {drawn:?}");
            headers.insert(SESSION_ID, 1_u16.into());
            assert_eq!(credentials(&headers), None, "seed {seed}: {drawn:?}");
        }
    }

    #[test]
    fn a_key_that_the_server_would_misread_is_refused() {
        for (pairs, message) in [
            (
                &[("x-api-key", "k1"), ("x-api-key", "k1")][..],
                "x-api-key: is there more than once; expected it once at most",
            ),
            (
                &[
                    ("authorization", "Bearer k1"),
                    ("authorization", "Bearer k2"),
                ],
                "authorization: is there more than once; expected it once at most",
            ),
            (
                &[("authorization", "bearer k2")],
                "authorization: is not read by the server; expected `Bearer`, with a capital B",
            ),
            (&[("x-api-key", "ké")], "x-api-key: is not visible ASCII"),
        ] {
            let error = api_key(&headers(pairs)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_session_id_of_the_requests_own_is_right_or_refused() {
        const GOOD: &str = "sess_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        assert_eq!(session_id(&headers(&[])).unwrap(), None);
        let good = headers(&[("x-session-id", GOOD)]);
        assert_eq!(session_id(&good).unwrap(), Some(GOOD));
        for bad in [
            &[("x-session-id", "")][..],
            &[("x-session-id", "sess_1")],
            &[("x-session-id", GOOD); 2],
        ] {
            let error = session_id(&headers(bad)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        }
    }
}
