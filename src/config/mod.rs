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
mod debug;
mod env;
mod fields;
mod merge;
#[cfg(feature = "schema")]
mod schema;
mod secrets;
mod tables;

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::tables::{CallBudgetConfig, DefaultsConfig};
#[cfg(feature = "store")]
use crate::model::settings::OnStoreDown;
use crate::{
    model::{
        inlining::InlineDefaults,
        outside::Outside,
        settings::{ForeignIds, OnNoSession},
    },
    secret::ApiKey,
};

/// The settings of a [`SessionManager`](crate::SessionManager), as data.
///
/// Secrets are better read from files (`api_key_file`) or from the environment. When this is serialized, a secret in it
/// is written as `[redacted]`, which is refused when it is read back.
///
/// With the feature `schema` it implements `schemars::JsonSchema`. The [guide](crate::guide::configuration) shows how editors use it.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(
        description = "Settings of sipher-session, the client middleware for sessions of the Sipher API.",
        transform = |it: &mut schemars::Schema| schema::not_both(it, "api_key"),
    )
)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The API key.
    #[serde(with = "secrets::api_key", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// A file that contains the API key and nothing else; blanks and line ends around it are dropped.
    #[serde(with = "fields::api_key_file", skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Where Sipher is: a URL without `/v1`. https, except for loopback.
    #[serde(with = "fields::base_url", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Other names of the same server, 16 at most. Without `base_url` they come on top of the default one.
    #[serde(with = "fields::aliases", skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,
    /// Allows http elsewhere than on loopback. Everybody on the way can then read API key and session id.
    #[serde(
        with = "fields::allow_plain_http",
        skip_serializing_if = "Option::is_none"
    )]
    pub allow_plain_http: Option<bool>,
    /// What the session stores. The server fills it in where a request names nothing.
    #[serde(deserialize_with = "fields::defaults")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<DefaultsConfig>"))]
    pub defaults: DefaultsConfig,
    /// How long a session lives on the server: whole seconds, from `"1m"` to `"24h"`.
    #[serde(with = "fields::ttl", skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// How long one create may take, with its retries.
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
    /// After so long without a proof that the server is the same process, the next request waits for a free question. From `"10s"` to
    /// `"24h"`.
    #[serde(with = "fields::verify_after", skip_serializing_if = "Option::is_none")]
    pub verify_after: Option<Duration>,
    /// How often the server is asked whether it still knows a session in use. Costs a session call each time. Not asked by default.
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
    /// What happens to a request that looks like one for Sipher and goes elsewhere: `"pass"` or `"refuse"`.
    #[serde(with = "fields::on_outside", skip_serializing_if = "Option::is_none")]
    pub on_outside: Option<Outside>,
    /// Puts defaults into the bodies of requests: `"off"`, `"without_session"` or `"always"`.
    #[serde(
        with = "fields::inline_defaults",
        skip_serializing_if = "Option::is_none"
    )]
    pub inline_defaults: Option<InlineDefaults>,
    /// Refuses a request whose body cannot take its defaults. Needs `inline_defaults`.
    #[serde(
        with = "fields::inline_strict",
        skip_serializing_if = "Option::is_none"
    )]
    pub inline_strict: Option<bool>,
    /// Creates no session. Needs `inline_defaults`.
    #[serde(
        with = "fields::without_sessions",
        skip_serializing_if = "Option::is_none"
    )]
    pub without_sessions: Option<bool>,
    /// How many sessions are kept while nobody uses them.
    #[serde(with = "fields::max_sessions", skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u64>,
    /// How many session calls may be made.
    #[serde(deserialize_with = "fields::call_budget")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<CallBudgetConfig>"))]
    pub call_budget: CallBudgetConfig,
    /// What happens when the store of a fleet cannot be reached: `"own_session"` or `"fail"`. This setting and the next two need the
    /// feature `store`. Without a store they change nothing.
    #[cfg(feature = "store")]
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    #[serde(
        with = "fields::on_store_down",
        skip_serializing_if = "Option::is_none"
    )]
    pub on_store_down: Option<OnStoreDown>,
    /// How long a process goes on with a shared session while it cannot reach the store: `"30s"` at least, and the same in all
    /// processes.
    #[cfg(feature = "store")]
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    #[serde(with = "fields::member_lease", skip_serializing_if = "Option::is_none")]
    pub member_lease: Option<Duration>,
    /// Asks the server about each session that another process created.
    #[cfg(feature = "store")]
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    #[serde(
        with = "fields::verify_adopted",
        skip_serializing_if = "Option::is_none"
    )]
    pub verify_adopted: Option<bool>,
}
