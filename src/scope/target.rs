//! The target of a request: its origin and path.

use std::fmt;

use http::{Uri, uri::Scheme};

use super::host::Host;

/// The target of a request, read from any type of URL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// `None` if the URI has no origin, as in `GET /v1/scan`. The `Host` header does not count: it names what the
    /// server should believe, not where the connection goes.
    pub(crate) origin: Option<Origin<'a>>,
    pub(crate) path: &'a str,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) scheme: &'a str,
    /// With brackets, if it is an IPv6 address.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// Splits an authority. Returns `None` if the text after the host is not a port.
    pub(crate) fn of_authority(scheme: &'a str, authority: &'a str) -> Option<Self> {
        let (host, port) = split(authority)?;
        Some(Self { scheme, host, port })
    }
}

impl<'a> Target<'a> {
    /// Returns the target of a URI. Returns `None` if the URI has a host and no scheme, as for `CONNECT`, or if its
    /// port is not a number.
    pub(crate) fn of_uri(uri: &'a Uri) -> Option<Self> {
        let origin = match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => {
                Some(Origin::of_authority(scheme, authority.as_str())?)
            }
            (None, None) => None,
            _ => return None,
        };
        Some(Self {
            origin,
            path: uri.path(),
        })
    }
}

/// The target of a request, as its URL spells it, not normalised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) is_https: bool,
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
}

impl<'a> Place<'a> {
    #[allow(clippy::inline_always)] // on the way of every request
    #[inline(always)]
    pub(crate) fn of_uri(uri: &'a Uri) -> Option<Self> {
        Some(Self {
            is_https: is_https(uri.scheme()?)?,
            authority: uri.authority()?.as_str(),
            path: uri.path(),
        })
    }
}

impl Target<'_> {
    /// Returns whether both are the same target, in any spelling.
    pub(crate) fn is(&self, other: &Target<'_>) -> bool {
        let parsed = |target: &Target<'_>| {
            let origin = target.origin?;
            let port = origin.port.unwrap_or(default_port(origin.scheme));
            let scheme = origin.scheme.to_ascii_lowercase();
            Some((scheme, Host::parse(origin.host).ok()?, port))
        };
        self.path == other.path && parsed(self) == parsed(other)
    }
}

/// Splits an authority into host and port. The part before the last `@` is ignored, because it does not change where
/// the request goes.
///
/// Returns `None` if the text after the host is not a port: clients handle that differently.
pub(super) fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_and_port = match authority.rsplit_once('@') {
        Some((_, host_and_port)) => host_and_port,
        None => authority,
    };
    let end = if host_and_port.starts_with('[') {
        host_and_port.find(']')? + 1
    } else {
        host_and_port.find(':').unwrap_or(host_and_port.len())
    };
    let (host, port) = host_and_port.split_at(end);
    let port = match port {
        "" | ":" => None,
        port => {
            let digits = port.strip_prefix(':')?;
            // `u16::from_str` would also accept a sign.
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            Some(digits.parse().ok().filter(|_| is_number)?)
        }
    };
    Some((host, port))
}

/// Returns an authority without its port, if it has one.
#[inline]
pub(super) fn without_port(authority: &[u8]) -> &[u8] {
    let mut rest = authority;
    while let [before @ .., b'0'..=b'9'] = rest {
        rest = before;
    }
    match rest {
        [before @ .., b':'] => before,
        _ => authority,
    }
}

/// Displays only the origin: the path and the query of a foreign URL may repeat ids and keys.
impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Returns whether the scheme is https. Returns `None` if it is neither https nor http.
#[inline]
fn is_https(scheme: &Scheme) -> Option<bool> {
    match scheme.as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

pub(super) fn default_port(scheme: &str) -> u16 {
    if scheme.eq_ignore_ascii_case("http") {
        80
    } else {
        443
    }
}
