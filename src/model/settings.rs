//! What is decided once, at start-up, and what one request may say otherwise.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{budget::CallBudget, inlining::InlineDefaults, outside::Outside};
use crate::scope::{Aliases, BaseUrl, Target};

/// What was decided once, at start-up.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where the session calls go.
    pub(crate) base: BaseUrl,
    /// Other names of the same server.
    pub(crate) aliases: Aliases,
    pub(crate) ttl: Duration,
    pub(crate) create_timeout: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) linger: Duration,
    pub(crate) verify_after: Duration,
    pub(crate) verify_every: Option<Duration>,
    pub(crate) on_no_session: OnNoSession,
    pub(crate) foreign_ids: ForeignIds,
    pub(crate) on_outside: Outside,
    pub(crate) inline: Inline,
    pub(crate) max_sessions: u64,
    pub(crate) budget: CallBudget,
}

/// What is put into bodies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inline {
    pub(crate) defaults: InlineDefaults,
    /// Whether a request is refused whose body cannot take them.
    pub(crate) strict: bool,
    pub(crate) makes_sessions: bool,
}

impl Default for Inline {
    fn default() -> Self {
        Self {
            defaults: InlineDefaults::Off,
            strict: false,
            makes_sessions: true,
        }
    }
}

impl Settings {
    /// Whether what is sent there is sent to Sipher, by any of its names.
    pub(crate) fn contains(&self, target: Target<'_>) -> bool {
        self.base.contains(target) || self.aliases.contains(target)
    }

    /// Whether the sessions of one are known at the other: they go to the same server, by whichever of its names.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        self.base == other.base || self.aliases.has(&other.base) || other.aliases.has(&self.base)
    }
}

/// Put into a request's extensions, sends it without a session: the server's own defaults apply.
///
/// The API key is still put in.
///
/// ```
/// use sipher_session::NoSession;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(NoSession);
/// ```
#[allow(clippy::exhaustive_structs)] // says all it will ever say
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoSession;

/// What happens to a request for which no session can be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnNoSession {
    /// It is not sent, and fails with the error that says why.
    #[default]
    Fail,
    /// It is sent without a session, so that **the server's own defaults apply**: stealth keys for another chain, on another
    /// curve. Requests whose body was [merged](crate::inline) keep their defaults. [`Stats::sent_without`](crate::Stats) counts these requests, and
    /// [`Event::SendingWithout`](crate::Event) tells of each cause. A manager that shuts down, and a request that is
    /// wrong in itself, fail all the same.
    SendWithout,
}

/// What happens when no session is at hand and the store that a fleet shares cannot be reached. It decides as well for a
/// process that has just started and could not read the defaults that its group has now.
#[cfg_attr(docsrs, doc(cfg(feature = "store")))]
#[cfg_attr(not(feature = "store"), allow(unreachable_pub))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnStoreDown {
    /// The process makes one of its own, within its budget of calls. Once the store is back it becomes the fleet's, or gives way to
    /// the fleet's. A process that has just started uses the defaults that it was built with, and follows its group once the
    /// store is back.
    #[default]
    OwnSession,
    /// It makes none: requests fail with [`ErrorKind::Store`](crate::ErrorKind::Store). Choose this if a session with older defaults, such as another
    /// chain, is worse than none.
    Fail,
}

/// What happens to a request that brings along a session id which is not known here.
///
/// Known are: the ids of this manager's sessions; those of live sessions that were created or fetched with
/// [`SessionManager::api`](crate::SessionManager::api), or that belong to another manager of this process for the same server. All of
/// this only for the API key of the request. In a fleet, the shared session of the request's API key and defaults is known too.
///
/// A request with the id of this manager's session for the same API key and defaults is one of the manager's own: it gets the present
/// session, also if the one that it names has ended, as happens when a request is sent a second time. The id of a session of
/// this manager for
/// another API key or other defaults is treated as one that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ForeignIds {
    /// It fails with [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) and is not sent.
    #[default]
    Refuse,
    /// It gets a session of this manager in place of the id that it has, also if the header is malformed or there more than
    /// once. This is for a proxy that passes on its callers' headers.
    Replace,
    /// It is sent as it is. **If the server does not know the id, its own defaults apply**, and nobody notices. Sessions of this
    /// manager that have ended are refused all the same.
    Keep,
}

/// Put into a request's extensions, sets how long this request waits for a session, in place of the manager's
/// [`max_wait`](crate::SessionManagerBuilder::max_wait).
///
/// It may be shorter or longer. With zero the request does not wait: without a session at hand it fails with
/// [`Timeout`](crate::ErrorKind::Timeout), and the session is created for later requests. A `reqwest` request with a timeout of its own
/// never waits for longer than that.
///
/// A longer wait does not change the create that the request waits for, which others may wait for as well. The create ends after
/// `create_timeout`, and waits no longer than the manager's `max_wait` for the budget of calls and for the server's pace. If budget or
/// pace ended it, the request waits on until the next try can succeed, if that is in time. With any other failure it fails at once.
///
/// Use it where a request has a deadline that the layer cannot see, such as the timeout of a whole `reqwest::Client`. With
/// `reqwest-middleware` it is set by `with_extension`.
///
/// ```
/// use std::time::Duration;
/// use sipher_session::MaxWait;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(MaxWait(Duration::from_secs(2)));
/// ```
#[allow(clippy::exhaustive_structs)] // says all it will ever say
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxWait(pub Duration);
