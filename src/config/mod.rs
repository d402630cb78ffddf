//! Settings from files and from the environment.
//!
//! [`SessionConfig`] is plain data for any format that serde knows. Durations are written for people (`"1h"`,
//! `"90s"`), unknown fields are refused by name, and so are values that this version does not know: a typo here would
//! send payments under the wrong defaults.
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
//! A setting comes from one place at a time: [`SessionManager::from_env`] reads the environment alone,
//! [`SessionManager::from_config`] its argument alone. Both at once are put together with [`SessionConfig::or`]: what
//! the first one says wins, setting by setting. What nobody says is the [builder's](crate::SessionManagerBuilder)
//! default.
//!
//! ```
//! # use sipher_session::SessionConfig;
//! # fn run(file: SessionConfig) -> Result<(), sipher_session::Error> {
//! let config = SessionConfig::from_env()?.or(file); // the environment over the file
//! # Ok(()) }
//! ```

mod env;
mod fields;
mod secrets;

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    api::{Backend, Chain, PrivacyLevel, RpcProvider, SessionDefaults},
    error::Error,
    inline::InlineDefaults,
    manager::{ForeignIds, OnNoSession, Outside, SessionManager, SessionManagerBuilder},
    scope,
    secret::{ApiKey, ViewingKey},
};

/// The settings of a [`SessionManager`], as data.
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
    #[serde(skip_serializing_if = "Option::is_none")]
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
    pub call_budget: CallBudgetConfig,
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
    #[serde(skip_serializing_if = "Option::is_none")]
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
}

impl SessionConfig {
    /// Returns these settings, and those of `fallback` where there are none.
    ///
    /// A secret and the file with it are one setting.
    #[must_use]
    pub fn or(self, fallback: SessionConfig) -> Self {
        let no_key = self.api_key.is_none() && self.api_key_file.is_none();
        let (api_key, api_key_file) = if no_key {
            (fallback.api_key, fallback.api_key_file)
        } else {
            (self.api_key, self.api_key_file)
        };
        Self {
            api_key,
            api_key_file,
            base_url: self.base_url.or(fallback.base_url),
            aliases: self.aliases.or(fallback.aliases),
            allow_plain_http: self.allow_plain_http.or(fallback.allow_plain_http),
            defaults: self.defaults.or(fallback.defaults),
            ttl: self.ttl.or(fallback.ttl),
            create_timeout: self.create_timeout.or(fallback.create_timeout),
            max_wait: self.max_wait.or(fallback.max_wait),
            linger: self.linger.or(fallback.linger),
            verify_after: self.verify_after.or(fallback.verify_after),
            verify_every: self.verify_every.or(fallback.verify_every),
            on_no_session: self.on_no_session.or(fallback.on_no_session),
            foreign_ids: self.foreign_ids.or(fallback.foreign_ids),
            on_outside: self.on_outside.or(fallback.on_outside),
            inline_defaults: self.inline_defaults.or(fallback.inline_defaults),
            inline_strict: self.inline_strict.or(fallback.inline_strict),
            without_sessions: self.without_sessions.or(fallback.without_sessions),
            max_sessions: self.max_sessions.or(fallback.max_sessions),
            call_budget: CallBudgetConfig {
                per_minute: self
                    .call_budget
                    .per_minute
                    .or(fallback.call_budget.per_minute),
                burst: self.call_budget.burst.or(fallback.call_budget.burst),
            },
        }
    }
}

impl fmt::Debug for SessionConfig {
    /// A URL that is going to be refused may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionConfig")
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
            .field("call_budget", &self.call_budget)
            .finish()
    }
}

fn presentable(urls: &[String]) -> Vec<String> {
    urls.iter().map(|url| scope::presentable(url)).collect()
}

impl DefaultsConfig {
    fn or(self, fallback: Self) -> Self {
        let no_key = self.default_viewing_key.is_none() && self.default_viewing_key_file.is_none();
        let (default_viewing_key, default_viewing_key_file) = if no_key {
            (
                fallback.default_viewing_key,
                fallback.default_viewing_key_file,
            )
        } else {
            (self.default_viewing_key, self.default_viewing_key_file)
        };
        Self {
            chain: self.chain.or(fallback.chain),
            privacy_level: self.privacy_level.or(fallback.privacy_level),
            rpc_provider: self.rpc_provider.or(fallback.rpc_provider),
            backend: self.backend.or(fallback.backend),
            default_viewing_key,
            default_viewing_key_file,
        }
    }

    fn read(self) -> Result<SessionDefaults, Error> {
        let mut defaults = SessionDefaults::new();
        defaults.chain = self.chain;
        defaults.privacy_level = self.privacy_level;
        defaults.rpc_provider = self.rpc_provider;
        defaults.backend = self.backend;
        let name = "defaults.default_viewing_key";
        defaults.default_viewing_key = secrets::read(
            name,
            self.default_viewing_key,
            self.default_viewing_key_file,
        )?;
        Ok(defaults)
    }
}

impl SessionManager {
    /// Builds a manager from settings that were read from somewhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) naming the setting, what is wrong with it and what would be
    /// right; also if a file with a secret cannot be read.
    pub fn from_config(config: SessionConfig) -> Result<Self, Error> {
        SessionManagerBuilder::from_config(config)?.build()
    }

    /// Builds a manager from the environment, see [`SessionConfig::from_env`].
    ///
    /// # Errors
    ///
    /// Those of [`SessionConfig::from_env`] and of [`from_config`](Self::from_config).
    pub fn from_env() -> Result<Self, Error> {
        Self::from_config(SessionConfig::from_env()?)
    }
}

impl SessionManagerBuilder {
    /// Starts from settings that were read from somewhere; what is set after this wins.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a file with a secret cannot be read, or a secret is given
    /// twice. Everything else is checked when the manager is built.
    pub fn from_config(config: SessionConfig) -> Result<Self, Error> {
        let SessionConfig {
            api_key,
            api_key_file,
            call_budget,
            ..
        } = config;
        let api_key = secrets::read("api_key", api_key, api_key_file)?;
        let mut builder = SessionManager::builder().defaults(config.defaults.read()?);
        builder = with(builder, api_key, Self::api_key);
        builder = with(builder, config.base_url, Self::base_url);
        let aliases = config.aliases.into_iter().flatten();
        builder = aliases.fold(builder, Self::alias);
        if config.allow_plain_http == Some(true) {
            builder = builder.allow_plain_http();
        }
        builder = with(builder, config.ttl, Self::ttl);
        builder = with(builder, config.create_timeout, Self::create_timeout);
        builder = with(builder, config.max_wait, Self::max_wait);
        builder = with(builder, config.linger, Self::linger);
        builder = with(builder, config.verify_after, Self::verify_after);
        builder = with(builder, config.verify_every, Self::verify_every);
        builder = with(builder, config.on_no_session, Self::on_no_session);
        builder = with(builder, config.foreign_ids, Self::foreign_ids);
        builder = with(builder, config.on_outside, Self::on_outside);
        builder = with(builder, config.inline_defaults, Self::inline_defaults);
        builder = with(builder, config.inline_strict, Self::inline_strict);
        if config.without_sessions == Some(true) {
            builder = builder.without_sessions();
        }
        builder = with(builder, config.max_sessions, Self::max_sessions);
        let (per_minute, burst) = builder.call_budget_so_far();
        let per_minute = call_budget.per_minute.unwrap_or(per_minute);
        Ok(builder.call_budget(per_minute, call_budget.burst.unwrap_or(burst)))
    }
}

fn with<T>(
    builder: SessionManagerBuilder,
    value: Option<T>,
    set: impl FnOnce(SessionManagerBuilder, T) -> SessionManagerBuilder,
) -> SessionManagerBuilder {
    match value {
        Some(value) => set(builder, value),
        None => builder,
    }
}
