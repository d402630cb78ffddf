//! The request log. It says for each request which session it had.

use std::{fmt, net::IpAddr, time::Duration};

use serde_json::Value;

/// One request that reached the server, or was refused by a fault.
#[derive(Clone)]
#[non_exhaustive]
pub struct Exchange {
    /// When the request arrived, by the server's wall clock, since 1970.
    pub at: Duration,
    /// The method.
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The `X-Request-ID` of the request, which distinguishes it from similar requests.
    pub request_id: Option<String>,
    /// A label for the API key, such as `pro 1`. `unknown` if this server never had the key.
    pub key: Option<String>,
    /// Which of the session calls it is, if any.
    pub operation: Operation,
    /// What its `X-Session-Id` meant when the server looked the id up. If the server never looked it up: what it meant
    /// on arrival.
    pub session: SessionUse,
    /// The status of the server's answer, even if the caller did not receive the answer. 0 if there was no answer.
    pub status: u16,
    /// The chain that a stealth call used.
    pub chain: Option<String>,
    /// Which replica handled the request, counted from 0.
    pub replica: usize,
    /// The address from which the server saw the request come.
    pub caller: IpAddr,
    /// Whether the request reached the server. A fault may have kept it away, such as a refused connection.
    pub reached: bool,
    pub(super) public: bool,
    pub(super) number: u64,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("at", &self.at)
            .field("method", &self.method)
            .field("path", &fingerprint_path(&self.path))
            .field("request_id", &self.request_id)
            .field("key", &self.key)
            .field("operation", &self.operation)
            .field("session", &self.session)
            .field("status", &self.status)
            .field("chain", &self.chain)
            .field("replica", &self.replica)
            .field("caller", &self.caller)
            .field("reached", &self.reached)
            .finish_non_exhaustive()
    }
}

/// One line: the key, the call, its session, the chain if it used one, and the status.
impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_deref().unwrap_or("no key");
        let path = fingerprint_path(&self.path);
        write!(f, "{key}: {} {path}, {:?}", self.method, self.session)?;
        if let Some(chain) = &self.chain {
            write!(f, ", on {chain}")?;
        }
        write!(f, ", answered {}", self.status)
    }
}

/// The kind of a request: one of the session calls, or another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // the four calls of the API, and the rest
pub enum Operation {
    /// `POST /v1/sessions`.
    Create,
    /// `GET` or `HEAD` of a session.
    Get,
    /// `PATCH` of a session.
    Update,
    /// `DELETE` of a session.
    Delete,
    /// Any other call.
    Other,
}

/// What the `X-Session-Id` of a request meant to the server.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum SessionUse {
    /// There was no id, or an empty one.
    None,
    /// A live session of the request's own key.
    Live {
        /// The whole id.
        id: String,
        /// The defaults that the replica which handled the request had stored for the session.
        defaults: Value,
    },
    /// No live session: the server silently used its own defaults.
    Dead {
        /// The id as sent. If there were several, the first.
        id: String,
        /// Why the id meant no live session.
        why: DeadReason,
    },
}

impl fmt::Debug for SessionUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no session"),
            Self::Live { id, .. } => write!(f, "live session {}", fingerprint(id)),
            Self::Dead { id, why } => write!(f, "dead session {} ({why:?})", fingerprint(id)),
        }
    }
}

/// Why a session id meant no live session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadReason {
    /// The id is not `sess_` and 64 lower-case hex digits.
    Malformed,
    /// There was more than one `X-Session-Id` header.
    Doubled,
    /// This server never had the session.
    Unknown,
    /// The session had expired.
    Expired,
    /// The session was deleted. This also counts if a stale replica still accepts the id.
    Deleted,
    /// The session belongs to another key than the request's.
    ForeignKey,
    /// The server was restarted since the session was created.
    Forgotten,
    /// The session was dropped to make room for others.
    Evicted,
    /// Another replica has the session, and there is no [common store](super::FakeSipher::set_common_store).
    Elsewhere,
}

/// The requests so far.
#[derive(Default)]
pub(super) struct Log {
    exchanges: Vec<Exchange>,
    numbers: u64,
}

impl Log {
    /// Adds a request that has arrived. Returns its number, with which its outcome can be recorded later.
    pub(super) fn add(&mut self, mut exchange: Exchange) -> u64 {
        self.numbers += 1;
        exchange.number = self.numbers;
        self.exchanges.push(exchange);
        self.numbers
    }

    /// Returns the entry of a request, unless the log was cleared since.
    pub(super) fn entry(&mut self, number: u64) -> Option<&mut Exchange> {
        let first = self.exchanges.first()?.number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.exchanges.get_mut(index)
    }

    pub(super) fn clear(&mut self) {
        self.exchanges.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.exchanges.iter()
    }
}

/// Returns enough of an id to distinguish it from others, and too little to use it.
pub(super) fn fingerprint(id: &str) -> String {
    let shown = if id.starts_with("sess_") { 13 } else { 4 };
    let start: String = id.chars().take(shown).collect();
    let end = if start.len() < id.len() { "…" } else { "" };
    start + end
}

fn fingerprint_path(path: &str) -> String {
    let id = |part: &str| part.starts_with("sess_").then(|| fingerprint(part));
    let parts = path
        .split('/')
        .map(|part| id(part).unwrap_or_else(|| part.to_owned()));
    parts.collect::<Vec<_>>().join("/")
}
