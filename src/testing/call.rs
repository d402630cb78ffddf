//! A request as the server reads it: which operation, which key, which session.

use std::net::IpAddr;

use http::{HeaderMap, Method, request::Parts};

use super::{idempotency, log::Operation};

/// Paths that need no key, and so no session.
const PUBLIC: [&str; 9] = [
    "/",
    "/skill.md",
    "/demo",
    "/v1/health",
    "/v1/ready",
    "/v1/errors",
    "/v1/openapi.json",
    "/v1/billing/webhook",
    "/v1/demo",
];

/// The head of a request, with its meaning.
pub(super) struct Call {
    pub(super) method: Method,
    /// The path as sent, without the query.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) route: Route,
    /// The address that the server sees the call come from.
    pub(super) caller: IpAddr,
}

/// The route of a path. Letter case and one slash at the end make no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Ready,
    Errors,
    Page,
    Sessions,
    Session(String),
    Generate,
    GenerateBatch,
    Backends,
    Compare,
    Usage,
    /// A route that accepts an `Idempotency-Key`.
    Idempotent(&'static str),
    Nowhere,
}

/// The `X-Session-Id` of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SessionHeader {
    None,
    One(String),
    /// The header occurs several times. The server ignores all of them.
    Doubled(String),
}

impl Call {
    pub(super) fn new(head: Parts, caller: IpAddr) -> Self {
        let path = head.uri.path().to_owned();
        Self {
            route: Route::of(&path),
            method: head.method,
            headers: head.headers,
            path,
            caller,
        }
    }

    /// Returns whether the request needs no key. Unlike for routes, letter case counts here.
    pub(super) fn is_public(&self) -> bool {
        is_public(&self.path)
    }

    /// Returns whether the rate limit does not count the request.
    pub(super) fn is_unlimited(&self) -> bool {
        ["/", "/skill.md", "/v1/health"].contains(&self.path.as_str())
    }

    pub(super) fn operation(&self) -> Operation {
        match (&self.route, self.method.as_str()) {
            (Route::Sessions, "POST") => Operation::Create,
            (Route::Session(_), "GET" | "HEAD") => Operation::Get,
            (Route::Session(_), "PATCH") => Operation::Update,
            (Route::Session(_), "DELETE") => Operation::Delete,
            _ => Operation::Other,
        }
    }

    /// Returns the first value of a header, without blanks around it.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(trimmed)
    }

    /// Returns the API key: `X-API-Key` unless it is empty, else a bearer token.
    pub(super) fn api_key(&self) -> Option<String> {
        let lines: Vec<_> = self.headers.get_all("x-api-key").iter().collect();
        let joined = lines.iter().map(|&line| trimmed(line)).collect::<Vec<_>>();
        let key = joined.join(", ");
        if !key.is_empty() {
            return Some(key);
        }
        let token = self.header("authorization")?;
        let token = token.strip_prefix("Bearer ")?;
        (!token.is_empty()).then(|| token.to_owned())
    }

    pub(super) fn session(&self) -> SessionHeader {
        let mut lines = self.headers.get_all("x-session-id").iter().map(trimmed);
        match (lines.next(), lines.next()) {
            (Some(id), Some(_)) => SessionHeader::Doubled(id),
            (Some(id), None) if !id.is_empty() => SessionHeader::One(id),
            _ => SessionHeader::None,
        }
    }
}

impl Route {
    fn of(path: &str) -> Self {
        let plain = path.strip_suffix('/').unwrap_or(path);
        match plain.to_ascii_lowercase().as_str() {
            "/v1/health" => Self::Health,
            "/v1/ready" => Self::Ready,
            "/v1/errors" => Self::Errors,
            _ if is_public(path) => Self::Page,
            "/v1/sessions" => Self::Sessions,
            "/v1/stealth/generate" => Self::Generate,
            "/v1/stealth/generate/batch" => Self::GenerateBatch,
            "/v1/backends" => Self::Backends,
            "/v1/backends/compare" => Self::Compare,
            "/v1/billing/usage" => Self::Usage,
            lower => match lower.strip_prefix("/v1/sessions/") {
                Some(id) if !id.is_empty() && !id.contains('/') => {
                    Self::Session(plain[plain.len() - id.len()..].to_owned())
                }
                _ => Self::idempotent(lower).unwrap_or(Self::Nowhere),
            },
        }
    }
}

impl Route {
    fn idempotent(path: &str) -> Option<Self> {
        let mut routes = idempotency::ROUTES.iter();
        routes
            .find(|&&route| route == path)
            .copied()
            .map(Self::Idempotent)
    }
}

fn is_public(path: &str) -> bool {
    PUBLIC.contains(&path) || path.starts_with("/docs")
}

pub(super) fn trimmed(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).trim().to_owned()
}

/// Returns whether the id is `sess_` and 64 lower-case hex digits.
pub(super) fn well_formed(id: &str) -> bool {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    id.strip_prefix("sess_")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}
