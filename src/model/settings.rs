//! Settings that are fixed at start-up, and those that one request may override.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{budget::CallBudget, inlining::InlineDefaults, outside::Outside};
use crate::scope::{Aliases, BaseUrl, Target};

/// Settings that are fixed at start-up.
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
    /// Whether a request is refused if its body cannot take the defaults.
    pub(crate) strict: bool,
    pub(crate) makes_sessions: bool,
}

impl Default for Inline {
    fn default() -> Self {
        Self {
            defaults: InlineDefaults::default(),
            strict: false,
            makes_sessions: true,
        }
    }
}

impl Settings {
    /// Returns whether this target is Sipher, by any of its names.
    pub(crate) fn contains(&self, target: Target<'_>) -> bool {
        self.base.contains(target) || self.aliases.contains(target)
    }

    /// Returns whether both settings name the same server, so that the sessions of one are known at the other.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        self.base == other.base || self.aliases.has(&other.base) || other.aliases.has(&self.base)
    }
}

/// Sends a request without a session if put into its extensions. The server's own defaults apply.
///
/// The API key is still put in.
///
/// ```
/// use sipher_session::NoSession;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(NoSession);
/// ```
#[allow(clippy::exhaustive_structs)] // it will never get a field
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoSession;

/// What happens to a request if no session can be had for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnNoSession {
    /// The request is not sent. It fails with the error that says why there is no session.
    #[default]
    Fail,
    /// The request is sent without a session, so **the server's own defaults apply**. For example, it creates stealth
    /// keys for another chain, on another curve. Requests whose body was [merged](crate::inline) keep their defaults.
    /// [`Stats::sent_without`](crate::Stats) counts these requests, and [`Event::SendingWithout`](crate::Event) reports
    /// each cause. During a shutdown, and if the request itself is invalid, the request fails all the same.
    SendWithout,
}

/// What happens to requests if this process has no session for them and cannot reach the fleet's store. This also
/// decides for a process that has just started and could not read the current defaults of its group.
#[cfg_attr(docsrs, doc(cfg(feature = "store")))]
#[cfg_attr(not(feature = "store"), allow(unreachable_pub))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnStoreDown {
    /// The process creates a session of its own, within its call budget. Once the store is back, that session becomes
    /// the fleet's, or is replaced by the fleet's. A process that has just started uses the defaults that it was built
    /// with, and follows its group once the store is back.
    #[default]
    OwnSession,
    /// The process creates no session, and requests fail with [`ErrorKind::Store`](crate::ErrorKind::Store). Choose
    /// this if a session with outdated defaults, such as an old chain, is worse than no session.
    Fail,
}

/// What happens to a request that already carries a session id which is not known here.
///
/// These ids are known, each only for the API key of the request:
///
/// - those of this manager's sessions;
/// - those of live sessions that were created or fetched with [`SessionManager::api`](crate::SessionManager::api);
/// - those of live sessions of another manager in this process for the same server;
/// - in a fleet, the shared session of the request's API key and defaults.
///
/// Example: a retry sends the same request again, with the id that this manager has put in. If that id is of a session
/// for the same API key and defaults, the request gets the current session, even if the earlier one has ended. An id of
/// this manager's session for another API key or other defaults counts as not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ForeignIds {
    /// The request fails with [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) and is not sent.
    #[default]
    Refuse,
    /// The request gets a session of this manager instead, even if its id is malformed or the header occurs more than
    /// once. This is for a proxy that passes on its callers' headers.
    Replace,
    /// The request is sent as it is. **If the server does not know the id, its own defaults apply**, and nobody
    /// notices. Ids of this manager's sessions that have ended are still refused.
    Keep,
}

/// Sets how long one request waits for a session, if put into its extensions. It overrides the manager's
/// [`max_wait`](crate::SessionManagerBuilder::max_wait).
///
/// It may be shorter or longer. With zero the request does not wait: without a session at hand it fails with
/// [`Timeout`](crate::ErrorKind::Timeout), and the session is created for later requests. A `reqwest` request with a
/// timeout of its own never waits longer than that.
///
/// A longer wait does not change the create that the request waits for, since other requests may wait for it too. The
/// create ends after `create_timeout`. For the call budget, and for a server that wants fewer calls (429), it waits at
/// most the manager's `max_wait`. If the create fails for one of these two reasons, the request goes on waiting until
/// the next try can succeed, if its own limit allows that. After any other failure the request fails at once.
///
/// Use it if a request has a deadline that the layer cannot see, such as the timeout of a whole `reqwest::Client`. With
/// `reqwest-middleware` it is set by `with_extension`.
///
/// ```
/// use std::time::Duration;
/// use sipher_session::MaxWait;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(MaxWait(Duration::from_secs(2)));
/// ```
#[allow(clippy::exhaustive_structs)] // it will never get another field
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxWait(pub Duration);
