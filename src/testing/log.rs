//! The request log, and what it says about the session of each request.

use std::{fmt, net::IpAddr, time::Duration};

use serde_json::Value;

/// One request that reached the server, or was refused by a fault.
#[derive(Clone)]
#[non_exhaustive]
pub struct Exchange {
    /// When it came, on the server's wall clock, since 1970.
    pub at: Duration,
    /// The method.
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// Its `X-Request-ID`: tells a request from others of its kind.
    pub request_id: Option<String>,
    /// A label for its API key, such as `pro 1`; `unknown` for a key that this server never had.
    pub key: Option<String>,
    /// Which of the session calls it is, if any.
    pub operation: Operation,
    /// What its `X-Session-Id` stood for when the server looked it up (when it came, if that never happened).
    pub session: SessionUse,
    /// The status that the server answered with, seen by the caller or not; 0 if there was none.
    pub status: u16,
    /// The chain that a stealth call used.
    pub chain: Option<String>,
    /// Which replica took it, counted from 0.
    pub replica: usize,
    /// The address that the server saw it come from.
    pub caller: IpAddr,
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
            .finish_non_exhaustive()
    }
}

/// One line: the key, the call, its session and the status.
impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_deref().unwrap_or("no key");
        let path = fingerprint_path(&self.path);
        write!(f, "{key}: {} {path}, {:?}", self.method, self.session)?;
        write!(f, ", answered {}", self.status)
    }
}

/// What a request asks of the session store.
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
    /// Anything else.
    Other,
}

/// What the `X-Session-Id` of a request stood for.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum SessionUse {
    /// There was none, or an empty one.
    None,
    /// A session of the request's own key.
    Live {
        /// The whole id.
        id: String,
        /// What the server that took the request had stored for it.
        defaults: Value,
    },
    /// Nothing: the server went on with its own defaults and said no word about it.
    Dead {
        /// The id as sent; of several, the first.
        id: String,
        /// Why it stood for nothing.
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

/// Why a session id stood for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadReason {
    /// Not `sess_` and 64 lower-case hex digits.
    Malformed,
    /// More than one `X-Session-Id` line.
    Doubled,
    /// This server never had it.
    Unknown,
    /// Its time was over.
    Expired,
    /// It was deleted, whether or not a stale replica still honours it.
    Deleted,
    /// It belongs to another key than the request's.
    ForeignKey,
    /// The server was restarted since.
    Forgotten,
    /// It was dropped to make room for others.
    Evicted,
    /// Another replica has it, and there is no [common store](super::FakeSipher::set_common_store).
    Elsewhere,
}

/// The requests so far.
#[derive(Default)]
pub(super) struct Log {
    exchanges: Vec<Exchange>,
    numbers: u64,
}

impl Log {
    /// Adds a request that has come; returns the number under which its outcome can be told.
    pub(super) fn add(&mut self, mut exchange: Exchange) -> u64 {
        self.numbers += 1;
        exchange.number = self.numbers;
        self.exchanges.push(exchange);
        self.numbers
    }

    /// The entry of a request, unless the log was cleared since.
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

/// Enough of an id to tell it from others, too little to use it.
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
