//! The base URL of Sipher.

use std::{fmt, str::FromStr};

use http::{Uri, uri::Scheme};

use super::{
    host::Host,
    path::{self, has_dot_segment},
    target::{self, Origin, Place, default_port},
    vendor::DEFAULT_BASE_URL,
};
use crate::{api::scrub, error::Error};

/// The characters that a path may contain unencoded, besides letters and digits. Clients encode all others, so no
/// request would be below a prefix that contains them.
const IN_PATHS: &[u8] = b"/-._~!$&'()*+,;=:@%";

/// Where http without TLS is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    #[default]
    OnLoopback,
    Anywhere,
}

/// The longest URL that is accepted: longer than servers accept, and short enough for a log.
pub(crate) const MAX_URL: usize = 2048;

/// The URL that the server's API is below: an origin and a path prefix.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    scheme: Scheme,
    is_https: bool,
    is_loopback: bool,
    pub(super) host: Host,
    pub(super) port: u16,
    /// Host and port in their usual spelling.
    authority: String,
    /// Without a slash at the end.
    prefix: String,
}

impl BaseUrl {
    /// Parses the base URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config). Its message says what is wrong with the URL.
    pub(crate) fn parse(url: &str, plain_http: PlainHttp) -> Result<Self, Error> {
        Self::parse_setting("base_url", url, plain_http)
    }

    /// Parses the URL of the setting with this name.
    pub(crate) fn parse_setting(
        setting: &str,
        url: &str,
        plain_http: PlainHttp,
    ) -> Result<Self, Error> {
        let base = Self::read(url).map_err(|what| {
            Error::config(format!(
                "{setting}: `{}` {what}; expected a URL such as `{DEFAULT_BASE_URL}`",
                presentable(url)
            ))
        })?;
        if let Some(expected) = base.without_version() {
            return Err(Error::config(format!(
                "{setting}: `{}` ends in `/v1`, with which every path of the API begins; expected `{}`",
                presentable(url),
                presentable(&expected.to_string())
            )));
        }
        let is_safe = base.is_https || base.is_loopback;
        if !is_safe && plain_http == PlainHttp::OnLoopback {
            return Err(Error::config(format!(
                "{setting}: `{}` would show the API key and the session id to everybody on the way; expected https, \
                 or a manager with `allow_plain_http` if the way is known to be safe",
                presentable(url)
            )));
        }
        Ok(base)
    }

    fn read(url: &str) -> Result<Self, &'static str> {
        if url.is_empty() {
            return Err("is empty");
        }
        if url.len() > MAX_URL {
            return Err("is longer than 2048 characters");
        }
        if !url.is_ascii() {
            return Err("has letters that are not ASCII, which a host has as punycode (`xn--…`)");
        }
        if url
            .split_once("://")
            .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('/'))
        {
            return Err("has no host");
        }
        if url.contains('#') {
            return Err("has a fragment");
        }
        let uri = Uri::from_str(url).map_err(|_| "is not a URL")?;
        let scheme = match uri.scheme() {
            None => return Err("has no scheme"),
            Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => scheme.clone(),
            Some(_) => return Err("has a scheme other than http and https"),
        };
        let authority = uri.authority().ok_or("has no host")?.as_str();
        if authority.contains('@') {
            return Err("has user info");
        }
        let no_port = "has a port that is not a number from 1 to 65535";
        let (host, port) = target::split(authority).ok_or(no_port)?;
        let host = Host::parse(host)?;
        if port == Some(0) || authority.ends_with(':') {
            return Err(no_port);
        }
        if uri.query().is_some() {
            return Err("has a query");
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        if has_dot_segment(&prefix) {
            return Err("has a path with `.` or `..` segments");
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || IN_PATHS.contains(&byte);
        if !prefix.bytes().all(is_plain) {
            return Err("has a path with characters that have to be percent-encoded");
        }
        let default_port = default_port(scheme.as_str());
        let port = port.unwrap_or(default_port);
        let authority = if port == default_port {
            host.to_string()
        } else {
            format!("{host}:{port}")
        };
        Ok(Self {
            is_https: scheme == Scheme::HTTPS,
            is_loopback: host.is_loopback(),
            scheme,
            host,
            port,
            authority,
            prefix,
        })
    }

    /// Returns the URL that the user probably meant, if this one ends in `/v1`. The paths of the API begin with `/v1`
    /// already.
    fn without_version(&self) -> Option<Self> {
        let mut prefix = self.prefix.as_str();
        while let Some(before) = path::without_version(prefix) {
            prefix = before;
        }
        let prefix = (prefix != self.prefix).then(|| prefix.to_owned())?;
        Some(Self {
            prefix,
            ..self.clone()
        })
    }

    #[cfg(feature = "reqwest")]
    pub(crate) fn is_https(&self) -> bool {
        self.is_https
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Returns the URI of a path of the API.
    pub(crate) fn join(&self, path: &str) -> Result<Uri, Error> {
        let url = format!("{self}{path}");
        Uri::from_str(&url).map_err(|_| Error::config("base_url: cannot be joined with a path"))
    }

    /// Returns whether the origin has this scheme, host and port.
    pub(super) fn is_at(&self, origin: &Origin<'_>) -> bool {
        origin.scheme.eq_ignore_ascii_case(self.scheme.as_str())
            && self.host.is(origin.host)
            && origin.port.unwrap_or(default_port(origin.scheme)) == self.port
    }

    /// Returns `true` only if a place has this scheme, host and port in the usual spelling. Another spelling may name
    /// the same origin.
    #[inline]
    pub(super) fn is_plainly_at(&self, place: Place<'_>) -> bool {
        place.is_https == self.is_https && place.authority == self.authority
    }

    /// Returns `true` only if an authority certainly names another host: its host does not end with this URL's host, in
    /// any letter case.
    #[inline]
    pub(super) fn is_plainly_another(&self, authority: &str) -> bool {
        let Host::Name(name) = &self.host else {
            return false;
        };
        let authority = target::without_port(authority.as_bytes());
        // A host may end with a dot. Then the comparison is not certain.
        let is_clear = authority.last().is_some_and(|last| *last != b'.');
        let mut ends = authority.iter().rev();
        let mut is_same = |byte: &u8| {
            ends.next()
                .is_some_and(|end| end.eq_ignore_ascii_case(byte))
        };
        is_clear && !name.as_bytes().iter().rev().all(&mut is_same)
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns a URL for messages. The part before an `@` may be a password and the part after a `?` a key, so both are
/// hidden.
pub(crate) fn presentable(url: &str) -> String {
    let (url, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| url.starts_with(scheme));
    let mut shown = match url.rfind('@') {
        Some(at) => format!("{}…{}", scheme.unwrap_or_default(), &url[at..]),
        None => url.to_owned(),
    };
    if query.len() > 1 {
        // If the query contains an `@`, it may be part of a password instead. Then hide everything.
        shown = if query.contains('@') {
            "…".to_owned()
        } else {
            shown + "?…"
        };
    } else {
        shown.push_str(query);
    }
    // Also hide a key that was put into the wrong setting, and shorten text that is very long.
    scrub::text(&shown.escape_debug().to_string(), &[])
}
