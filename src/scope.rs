//! Which requests are Sipher's, and which of those need a session.
//!
//! Whatever is not certain to be Sipher's is treated as somebody else's: it passes untouched, with no session id and
//! no API key.

use std::{fmt, str::FromStr};

use http::{Uri, uri::Scheme};

use crate::error::Error;

/// The server's production address.
pub(crate) const DEFAULT_BASE_URL: &str = "https://sipher.sip-protocol.org";

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

/// What a request is to this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Not certain to be for Sipher.
    Elsewhere,
    /// For Sipher, on a path that needs no authentication.
    Public,
    /// For Sipher's own session calls.
    SessionCall,
    /// For Sipher, and to be sent with a session.
    Sipher,
}

/// Where a request goes, taken from whichever URL type it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
    pub(crate) path: &'a str,
}

impl<'a> Target<'a> {
    /// `None` for a URI that does not say where it goes.
    pub(crate) fn of_uri(uri: &'a Uri) -> Option<Self> {
        let authority = uri.authority()?;
        let scheme = uri.scheme_str()?;
        let port = authority.port_u16();
        Some(Self {
            scheme,
            host: authority.host(),
            port,
            path: uri.path(),
        })
    }
}

/// Where a request goes, as its URL spells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) is_https: bool,
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
}

impl<'a> Place<'a> {
    #[inline]
    pub(crate) fn of_uri(uri: &'a Uri) -> Option<Self> {
        Some(Self {
            is_https: is_https(uri.scheme()?)?,
            authority: uri.authority()?.as_str(),
            path: uri.path(),
        })
    }
}

/// The server's base URL: an origin and a path prefix.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    scheme: Scheme,
    is_https: bool,
    host: String,
    port: u16,
    /// Host and port as they are usually spelt.
    authority: String,
    /// Without a slash at the end.
    prefix: String,
}

impl BaseUrl {
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) saying what is wrong with it.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::config(format!(
                "base_url: `{}` {what}; expected a URL such as `{DEFAULT_BASE_URL}`",
                presentable(url)
            ))
        };
        if url.is_empty() {
            return Err(wrong("is empty"));
        }
        if url
            .split_once("://")
            .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('/'))
        {
            return Err(wrong("has no host"));
        }
        if url.contains('#') {
            return Err(wrong("has a fragment"));
        }
        let uri = Uri::from_str(url).map_err(|_| wrong("is not a URL"))?;
        let scheme = match uri.scheme() {
            None => return Err(wrong("has no scheme")),
            Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => scheme.clone(),
            Some(_) => return Err(wrong("has a scheme other than http and https")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("has user info"));
        }
        let host = host(authority.host());
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        if authority.as_str().len() > authority.host().len()
            && authority.port_u16().is_none_or(|port| port == 0)
        {
            return Err(wrong("has a port that is not a number from 1 to 65535"));
        }
        if uri.query().is_some() {
            return Err(wrong("has a query"));
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        if has_dot_segment(&prefix) {
            return Err(wrong("has a path with `.` or `..` segments"));
        }
        let port = authority
            .port_u16()
            .unwrap_or(default_port(scheme.as_str()));
        let host = host.to_ascii_lowercase();
        let authority = if port == default_port(scheme.as_str()) {
            host.clone()
        } else {
            format!("{host}:{port}")
        };
        Ok(Self {
            is_https: scheme == Scheme::HTTPS,
            scheme,
            host,
            port,
            authority,
            prefix,
        })
    }

    /// Returns the URI of a path of the API.
    pub(crate) fn join(&self, path: &str) -> Result<Uri, Error> {
        let url = format!("{self}{path}");
        Uri::from_str(&url).map_err(|_| Error::config("base_url: cannot be joined with a path"))
    }

    /// Whether a place is [`Scope::Sipher`] at first sight: spelt as usual, and on a path that is like no other kind's. Where
    /// it says no, [`scope`](Self::scope) decides.
    #[inline]
    pub(crate) fn is_plainly_ours(&self, place: Place<'_>) -> bool {
        let may_climb = |path: &str| path.bytes().any(|byte| matches!(byte, b'.' | b'%' | b'\\'));
        let is_plain_below = |prefix: &str| {
            let path = place.path.strip_prefix(prefix);
            path.is_some_and(|path| is_plain(path) && !may_climb(path))
        };
        place.is_https == self.is_https
            && place.authority == self.authority
            && if self.prefix.is_empty() {
                is_plain(place.path)
            } else {
                is_plain_below(&self.prefix)
            }
    }

    /// Decides what a request is. Total: every target has one answer.
    pub(crate) fn scope(&self, target: Option<Target<'_>>) -> Scope {
        let Some(target) = target else {
            return Scope::Elsewhere;
        };
        match self.path_within(&target) {
            Some(path) => classify(path),
            None => Scope::Elsewhere,
        }
    }

    /// The path below the base URL, if the target is there.
    fn path_within<'a>(&self, target: &Target<'a>) -> Option<&'a str> {
        let same_origin = self.scheme.as_str().eq_ignore_ascii_case(target.scheme)
            && host(target.host).eq_ignore_ascii_case(&self.host)
            && target.port.unwrap_or(default_port(target.scheme)) == self.port;
        if !same_origin {
            return None;
        }
        if self.prefix.is_empty() {
            return Some(target.path);
        }
        let path = target.path.strip_prefix(&self.prefix)?;
        let on_a_border = path.is_empty() || path.starts_with('/');
        (on_a_border && !has_dot_segment(path)).then_some(path)
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

/// The server matches paths whatever their letter case, with or without a slash at the end.
fn classify(path: &str) -> Scope {
    let path = path.strip_suffix('/').unwrap_or(path);
    // A path that somebody on the way may rewrite is not certain to be public.
    if !path.contains('%') && !has_dot_segment(path) {
        let public = |known: &&str| path.eq_ignore_ascii_case(known);
        if path.is_empty() || PUBLIC.iter().any(public) || is_below(path, PUBLIC_PREFIX) {
            return Scope::Public;
        }
    }
    if is_below(path, SESSIONS) {
        Scope::SessionCall
    } else {
        Scope::Sipher
    }
}

/// `None` if it is neither that nor http.
#[inline]
fn is_https(scheme: &Scheme) -> Option<bool> {
    match scheme.as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

/// Below `/v1/`, and by its next two letters neither public nor a session call.
#[inline]
fn is_plain(path: &str) -> bool {
    match path.as_bytes() {
        [b'/', b'v', b'1', b'/', one, two, ..] => !matches!(
            &[one.to_ascii_lowercase(), two.to_ascii_lowercase()],
            b"bi" | b"de" | b"er" | b"he" | b"op" | b"re" | b"se"
        ),
        _ => false,
    }
}

fn is_below(path: &str, parent: &str) -> bool {
    let Some((start, rest)) = path.split_at_checked(parent.len()) else {
        return false;
    };
    start.eq_ignore_ascii_case(parent) && (rest.is_empty() || rest.starts_with('/'))
}

/// Whether there is a `.` or `..` segment, however it is written.
fn has_dot_segment(path: &str) -> bool {
    let dot = |segment: &str| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == ".." || plain == "."
    };
    path.split(['/', '\\']).any(dot)
}

/// `host.` and `host` are one.
fn host(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

fn default_port(scheme: &str) -> u16 {
    if scheme.eq_ignore_ascii_case("http") {
        80
    } else {
        443
    }
}

/// For messages: what stands before an `@` may be a password, and what follows a `?` a key.
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
        // An `@` in there would mean that it was no query after all.
        shown = if query.contains('@') {
            "…".to_owned()
        } else {
            shown + "?…"
        };
    } else {
        shown.push_str(query);
    }
    shown.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(base: &str, uri: &str) -> Scope {
        let uri = Uri::from_str(uri).unwrap();
        BaseUrl::parse(base).unwrap().scope(Target::of_uri(&uri))
    }

    #[test]
    fn only_the_origin_of_the_base_url_is_sipher() {
        let base = "https://sipher.sip-protocol.org";
        for ours in [
            "https://sipher.sip-protocol.org/v1/transfer/shield",
            "https://sipher.sip-protocol.org:443/v1/scan",
            "HTTPS://SIPHER.sip-protocol.ORG/v1/scan",
            "https://sipher.sip-protocol.org./v1/scan",
            "https://sipher.sip-protocol.org//v1/scan",
        ] {
            assert_eq!(scope(base, ours), Scope::Sipher, "{ours}");
        }
        for foreign in [
            "http://sipher.sip-protocol.org/v1/scan",
            "https://sipher.sip-protocol.org:8443/v1/scan",
            "https://sipher.sip-protocol.org.evil.com/v1/scan",
            "https://evil.com/sipher.sip-protocol.org/v1/scan",
            "https://sipher.sip-protocol.org@evil.com/v1/scan",
            "https://sip-protocol.org/v1/scan",
            "/v1/scan",
        ] {
            assert_eq!(scope(base, foreign), Scope::Elsewhere, "{foreign}");
        }
    }

    #[test]
    fn a_path_prefix_ends_on_a_border() {
        let base = "https://gateway.example/sipher/";
        assert_eq!(
            scope(base, "https://gateway.example/sipher/v1/scan"),
            Scope::Sipher
        );
        assert_eq!(
            scope(base, "https://gateway.example/sipher/v1/sessions"),
            Scope::SessionCall
        );
        assert_eq!(scope(base, "https://gateway.example/sipher"), Scope::Public);
        for foreign in [
            "/",
            "/siphers/v1/scan",
            "/v1/scan",
            "/sipher/../v1/scan",
            "/sipher/%2e%2E/x",
        ] {
            let url = format!("https://gateway.example{foreign}");
            assert_eq!(scope(base, &url), Scope::Elsewhere, "{url}");
        }
    }

    #[test]
    fn public_paths_and_session_calls_need_no_session() {
        let scope = |path: &str| {
            scope(
                "http://127.0.0.1:5006",
                &format!("http://127.0.0.1:5006{path}"),
            )
        };
        for public in [
            "/",
            "/docs",
            "/docs/",
            "/docs/swagger-ui.css",
            "/V1/Health",
            "/v1/health/",
            "/v1/ready?x=1",
        ] {
            assert_eq!(scope(public), Scope::Public, "{public}");
        }
        for call in ["/v1/sessions", "/V1/Sessions/", "/v1/sessions/sess_1"] {
            assert_eq!(scope(call), Scope::SessionCall, "{call}");
        }
        for other in [
            "/v1/healthy",
            "/v1/sessionsx",
            "/docs/../v1/scan",
            "/docs/%2e%2e/v1/scan",
            "/docsx",
            "/v1/demos",
        ] {
            assert_eq!(scope(other), Scope::Sipher, "{other}");
        }
    }

    #[test]
    fn a_base_url_is_written_as_it_is_joined() {
        for (url, shown) in [
            ("https://Sipher.Example:443/", "https://sipher.example"),
            ("http://127.0.0.1:5006", "http://127.0.0.1:5006"),
            ("http://[::1]:80/a/b/", "http://[::1]/a/b"),
        ] {
            let base = BaseUrl::parse(url).unwrap();
            assert_eq!(base.to_string(), shown);
            assert_eq!(
                base.join("/v1").unwrap(),
                format!("{shown}/v1").parse::<Uri>().unwrap()
            );
        }
    }
}
