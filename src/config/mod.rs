//! Settings from files and from the environment.
//!
//! [`SessionConfig`] is plain data for any format that serde supports. Durations are written like `"1h"` or `"90s"`.
//! `null` in a table means that the field is not set. Unknown fields and unknown values are errors that name them:
//! otherwise a typo would send requests under the wrong defaults.
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
//! [`SessionManager::from_env`](crate::SessionManager::from_env) reads the environment only.
//! [`SessionManager::from_config`](crate::SessionManager::from_config) reads its argument only. To use both, merge them
//! with [`SessionConfig::or`]: for each setting, the first configuration wins. A setting that neither has gets the
//! default of the [builder](crate::SessionManagerBuilder).
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

/// The settings of a [`SessionManager`](crate::SessionManager), as data. The [builder](crate::SessionManagerBuilder)
/// says for each setting when to change it.
///
/// Prefer to read secrets from a file (`api_key_file`) or from the environment. When a configuration is serialized, its
/// secrets are written as `[redacted]`. Reading `[redacted]` back is an error.
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
    /// The API key for requests that carry none. Defaults to none. Set it unless all requests carry a key.
    #[serde(with = "secrets::api_key", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// A file that contains the API key and nothing else. Blanks and line ends around the key are ignored. Defaults to
    /// none.
    #[serde(with = "fields::api_key_file", skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// The base URL of Sipher. Defaults to `https://sipher-api.sip-protocol.org`. Set it if your server is not the
    /// vendor's.
    #[serde(with = "fields::base_url", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Other names of the same server. Without `base_url`, they are added to the default alias. Defaults to none. Add
    /// one if a part of your code reaches the server by another name.
    #[serde(with = "fields::aliases", skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,
    /// Whether `base_url` and `aliases` may be http for hosts other than loopback. Everybody on the network path can
    /// then read API key and session id. Defaults to `false`. Allow it only on a path that is known to be safe.
    #[serde(
        with = "fields::allow_plain_http",
        skip_serializing_if = "Option::is_none"
    )]
    pub allow_plain_http: Option<bool>,
    /// The defaults that the server fills into requests that leave them out. Defaults to none. Set at least the chain
    /// if you depend on it.
    #[serde(deserialize_with = "fields::defaults")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<DefaultsConfig>"))]
    pub defaults: DefaultsConfig,
    /// How long a session lives on the server, from `"1m"` to `"24h"`. Defaults to `"1h"`. Raise it to make fewer
    /// session calls.
    #[serde(with = "fields::ttl", skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// How long one create may take, retries included. Defaults to `"20s"`. Raise it if the server answers slowly.
    #[serde(
        with = "fields::create_timeout",
        skip_serializing_if = "Option::is_none"
    )]
    pub create_timeout: Option<Duration>,
    /// How long one request waits for a session. Defaults to `"30s"`. Lower it if your callers give up sooner.
    #[serde(with = "fields::max_wait", skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<Duration>,
    /// How long a request that its caller has dropped still counts as using its session. Defaults to `"10s"`. Raise it
    /// if the server may need longer to finish such a request.
    #[serde(with = "fields::linger", skip_serializing_if = "Option::is_none")]
    pub linger: Option<Duration>,
    /// How long requests go on without a proof that the server is still the same process, from `"10s"` to `"24h"`.
    /// Defaults to `"1m"`. See `SessionManagerBuilder::verify_after`.
    #[serde(with = "fields::verify_after", skip_serializing_if = "Option::is_none")]
    pub verify_after: Option<Duration>,
    /// How often to ask the server whether it still knows a session that is in use. Each time costs a session call.
    /// Defaults to never. Set it if the server may drop single sessions while it keeps running.
    #[serde(with = "fields::verify_every", skip_serializing_if = "Option::is_none")]
    pub verify_every: Option<Duration>,
    /// What happens to a request for which there is no session: `"fail"` or `"send_without"`. Defaults to `"fail"`.
    /// Change it only if a wrong chain is better for you than a failed request.
    #[serde(
        with = "fields::on_no_session",
        skip_serializing_if = "Option::is_none"
    )]
    pub on_no_session: Option<OnNoSession>,
    /// What happens to a request with an unknown session id: `"refuse"`, `"replace"` or `"keep"`. Defaults to
    /// `"refuse"`. Set `"replace"` in a proxy that passes its callers' headers on.
    #[serde(with = "fields::foreign_ids", skip_serializing_if = "Option::is_none")]
    pub foreign_ids: Option<ForeignIds>,
    /// What happens to a request that goes to another origin and yet looks like one for Sipher: `"pass"` or `"refuse"`.
    /// Defaults to `"pass"`. Set `"refuse"` to find wrong host names at once.
    #[serde(with = "fields::on_outside", skip_serializing_if = "Option::is_none")]
    pub on_outside: Option<Outside>,
    /// Whether the client also puts defaults into the bodies of requests: `"off"`, `"without_session"` or `"always"`.
    /// Defaults to `"off"`. Set `"always"` if the right chain matters more than an untouched body.
    #[serde(
        with = "fields::inline_defaults",
        skip_serializing_if = "Option::is_none"
    )]
    pub inline_defaults: Option<InlineDefaults>,
    /// Whether to refuse a request whose body the server would merge and this crate cannot. Defaults to `false`. Set it
    /// if a request under the server's own defaults is worse than a request that is not sent.
    #[serde(
        with = "fields::inline_strict",
        skip_serializing_if = "Option::is_none"
    )]
    pub inline_strict: Option<bool>,
    /// Whether to create no sessions at all. Needs `inline_defaults`. Defaults to `false`. Set it for API keys that may
    /// have no sessions, such as those of the free tier.
    #[serde(
        with = "fields::without_sessions",
        skip_serializing_if = "Option::is_none"
    )]
    pub without_sessions: Option<bool>,
    /// How many sessions are kept. Defaults to 1,000. Set it to the number of tenants, if you know it.
    #[serde(with = "fields::max_sessions", skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u64>,
    /// How many session calls may be made. [`CallBudgetConfig`] has the defaults.
    #[serde(deserialize_with = "fields::call_budget")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<CallBudgetConfig>"))]
    pub call_budget: CallBudgetConfig,
    /// What happens when there is no session and the fleet's store cannot be reached: `"own_session"` or `"fail"`.
    /// Defaults to `"own_session"`. Set `"fail"` if a session with older defaults is worse than a failed request.
    ///
    /// This setting, `member_lease` and `verify_adopted` exist with the feature `store`. Without a
    /// `store` they have no effect.
    #[cfg(feature = "store")]
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    #[serde(
        with = "fields::on_store_down",
        skip_serializing_if = "Option::is_none"
    )]
    pub on_store_down: Option<OnStoreDown>,
    /// How long a process goes on with a shared session while it cannot reach the store, at least `"30s"`. Defaults to
    /// `"5m"`. Raise it to bridge longer outages of the store. All processes of a fleet have to use the same value.
    #[cfg(feature = "store")]
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    #[serde(with = "fields::member_lease", skip_serializing_if = "Option::is_none")]
    pub member_lease: Option<Duration>,
    /// Whether to check each session of another process with the server before using it. Defaults to `false`. Set it if
    /// you do not trust the store. It costs one session call for each process and session.
    #[cfg(feature = "store")]
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    #[serde(
        with = "fields::verify_adopted",
        skip_serializing_if = "Option::is_none"
    )]
    pub verify_adopted: Option<bool>,
}
