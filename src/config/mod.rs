//! Settings from files and from the environment.
//!
//! [`SessionConfig`] is plain data for any format that serde knows. Durations are written for people (`"1h"`,
//! `"90s"`). `null` in a table is the same as no such field. Unknown fields are refused by name, and so are values that this version
//! does not know: a typo would send requests under the wrong defaults.
//!
//! ```
//! use std::time::Duration;
//! use sipher_session::{Chain, SessionConfig, SessionManager};
//!
//! let config: SessionConfig = serde_json::from_str(r#"{
//!     "api_key": "sk_pro_1234",
//!     "ttl": "30m",
//!     "defaults": { "chain": "near", "privacy_level": "shielded" }
//! }"#)?;
//! assert_eq!(config.ttl, Some(Duration::from_secs(1800)));
//! assert_eq!(config.defaults.chain, Some(Chain::Near));
//! let sessions = SessionManager::from_config(config)?;
//! # let _ = sessions;
//!
//! let typo = serde_json::from_str::<SessionConfig>(r#"{ "time_to_live": "30m" }"#).unwrap_err();
//! assert!(typo.to_string().starts_with("unknown field `time_to_live`, expected one of `api_key`"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which setting wins
//!
//! A setting comes from one place at a time: [`SessionManager::from_env`](crate::SessionManager::from_env) reads the environment
//! alone, [`SessionManager::from_config`](crate::SessionManager::from_config) its argument alone. Both at once are put
//! together with [`SessionConfig::or`]: what the first one says wins, setting by setting. A setting that neither has gets the
//! [builder's](crate::SessionManagerBuilder) default.
//!
//! ```
//! # use sipher_session::SessionConfig;
//! # fn run(file: SessionConfig) -> Result<(), sipher_session::Error> {
//! let config = SessionConfig::from_env()?.or(file); // the environment over the file
//! # Ok(()) }
//! ```

mod build;
mod env;
mod fields;
mod merge;
mod secrets;

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

#[cfg(feature = "store")]
use crate::model::settings::OnStoreDown;
use crate::{
    api::{Backend, Chain, PrivacyLevel, RpcProvider},
    model::{
        inlining::InlineDefaults,
        outside::Outside,
        settings::{ForeignIds, OnNoSession},
    },
    scope,
    secret::{ApiKey, ViewingKey},
};

/// The settings of a [`SessionManager`](crate::SessionManager), as data.
///
/// Secrets are better read from files (`api_key_file`) or from the environment. When this is serialized, a secret in it
/// is written as `[redacted]`, which is refused when it is read back.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The API key.
    #[serde(with = "secrets::api_key", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// A file that contains the API key and nothing else; blanks and line ends around it are dropped.
    #[serde(with = "fields::api_key_file", skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Where Sipher is.
    #[serde(with = "fields::base_url", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Other names of the same server. Without `base_url` they come on top of the default one.
    #[serde(with = "fields::aliases", skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,
    /// Whether `base_url` and `aliases` may be http elsewhere than on loopback: everybody on the way can then read API key and session
    /// id.
    #[serde(
        with = "fields::allow_plain_http",
        skip_serializing_if = "Option::is_none"
    )]
    pub allow_plain_http: Option<bool>,
    /// What the server fills in where a request is silent.
    #[serde(deserialize_with = "fields::defaults")]
    pub defaults: DefaultsConfig,
    /// How long a session lives on the server, from `"1m"` to `"24h"`.
    #[serde(with = "fields::ttl", skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// How long one create may take.
    #[serde(
        with = "fields::create_timeout",
        skip_serializing_if = "Option::is_none"
    )]
    pub create_timeout: Option<Duration>,
    /// How long one request waits for a session.
    #[serde(with = "fields::max_wait", skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<Duration>,
    /// How long a dropped request still counts as using its session.
    #[serde(with = "fields::linger", skip_serializing_if = "Option::is_none")]
    pub linger: Option<Duration>,
    /// See [`SessionManagerBuilder::verify_after`](crate::SessionManagerBuilder::verify_after).
    #[serde(with = "fields::verify_after", skip_serializing_if = "Option::is_none")]
    pub verify_after: Option<Duration>,
    /// How often the server is asked whether it still knows a session in use.
    #[serde(with = "fields::verify_every", skip_serializing_if = "Option::is_none")]
    pub verify_every: Option<Duration>,
    /// What happens to a request without a session: `"fail"` or `"send_without"`.
    #[serde(
        with = "fields::on_no_session",
        skip_serializing_if = "Option::is_none"
    )]
    pub on_no_session: Option<OnNoSession>,
    /// What happens to a request with a session id that is not known here: `"refuse"`, `"replace"` or `"keep"`.
    #[serde(with = "fields::foreign_ids", skip_serializing_if = "Option::is_none")]
    pub foreign_ids: Option<ForeignIds>,
    /// What happens to a request that goes elsewhere and yet looks like one for Sipher: `"pass"` or `"refuse"`.
    #[serde(with = "fields::on_outside", skip_serializing_if = "Option::is_none")]
    pub on_outside: Option<Outside>,
    /// Whether defaults are put into the bodies of requests: `"off"`, `"without_session"` or `"always"`.
    #[serde(
        with = "fields::inline_defaults",
        skip_serializing_if = "Option::is_none"
    )]
    pub inline_defaults: Option<InlineDefaults>,
    /// Whether a request is refused whose body the server would merge and this crate cannot.
    #[serde(
        with = "fields::inline_strict",
        skip_serializing_if = "Option::is_none"
    )]
    pub inline_strict: Option<bool>,
    /// Whether no session is ever made.
    #[serde(
        with = "fields::without_sessions",
        skip_serializing_if = "Option::is_none"
    )]
    pub without_sessions: Option<bool>,
    /// How many sessions are held at once.
    #[serde(with = "fields::max_sessions", skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u64>,
    /// How many session calls may be made.
    #[serde(deserialize_with = "fields::call_budget")]
    pub call_budget: CallBudgetConfig,
    /// What happens when the store of a fleet cannot be reached: `"own_session"` or `"fail"`. This setting and the next two are there
    /// with the feature `store`; without a [`store`](crate::SessionManagerBuilder::store) they change nothing.
    #[cfg(feature = "store")]
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    #[serde(
        with = "fields::on_store_down",
        skip_serializing_if = "Option::is_none"
    )]
    pub on_store_down: Option<OnStoreDown>,
    /// How long a process goes on with a shared session while it cannot reach the store.
    #[cfg(feature = "store")]
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    #[serde(with = "fields::member_lease", skip_serializing_if = "Option::is_none")]
    pub member_lease: Option<Duration>,
    /// Whether the server is asked about each session that another process has made.
    #[cfg(feature = "store")]
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    #[serde(
        with = "fields::verify_adopted",
        skip_serializing_if = "Option::is_none"
    )]
    pub verify_adopted: Option<bool>,
}

/// The defaults in a [`SessionConfig`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct DefaultsConfig {
    /// The blockchain.
    #[serde(with = "fields::chain", skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// How much of a payment is hidden.
    #[serde(
        with = "fields::privacy_level",
        skip_serializing_if = "Option::is_none"
    )]
    pub privacy_level: Option<PrivacyLevel>,
    /// Who gives access to the chain.
    #[serde(with = "fields::rpc_provider", skip_serializing_if = "Option::is_none")]
    pub rpc_provider: Option<RpcProvider>,
    /// What does the hiding.
    #[serde(with = "fields::backend", skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// The key that lets an auditor see payments.
    #[serde(with = "secrets::viewing_key", skip_serializing_if = "Option::is_none")]
    pub default_viewing_key: Option<ViewingKey>,
    /// A file that contains the viewing key and nothing else.
    #[serde(
        with = "fields::default_viewing_key_file",
        skip_serializing_if = "Option::is_none"
    )]
    pub default_viewing_key_file: Option<PathBuf>,
}

/// The budget of session calls in a [`SessionConfig`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CallBudgetConfig {
    /// How many calls on average.
    #[serde(with = "fields::per_minute", skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// How many at once.
    #[serde(with = "fields::burst", skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// How many checks and deletes for one API key in a day.
    #[serde(
        with = "fields::upkeep_per_day",
        skip_serializing_if = "Option::is_none"
    )]
    pub upkeep_per_day: Option<u32>,
}

impl fmt::Debug for SessionConfig {
    /// A URL that is going to be refused may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SessionConfig");
        debug
            .field("api_key", &self.api_key)
            .field("api_key_file", &self.api_key_file)
            .field(
                "base_url",
                &self.base_url.as_deref().map(scope::presentable),
            )
            .field("aliases", &self.aliases.as_deref().map(presentable))
            .field("allow_plain_http", &self.allow_plain_http)
            .field("defaults", &self.defaults)
            .field("ttl", &self.ttl)
            .field("create_timeout", &self.create_timeout)
            .field("max_wait", &self.max_wait)
            .field("linger", &self.linger)
            .field("verify_after", &self.verify_after)
            .field("verify_every", &self.verify_every)
            .field("on_no_session", &self.on_no_session)
            .field("foreign_ids", &self.foreign_ids)
            .field("on_outside", &self.on_outside)
            .field("inline_defaults", &self.inline_defaults)
            .field("inline_strict", &self.inline_strict)
            .field("without_sessions", &self.without_sessions)
            .field("max_sessions", &self.max_sessions)
            .field("call_budget", &self.call_budget);
        #[cfg(feature = "store")]
        debug
            .field("on_store_down", &self.on_store_down)
            .field("member_lease", &self.member_lease)
            .field("verify_adopted", &self.verify_adopted);
        debug.finish()
    }
}

fn presentable(urls: &[String]) -> Vec<String> {
    urls.iter().map(|url| scope::presentable(url)).collect()
}
