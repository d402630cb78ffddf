//! Builds a manager from a configuration.

use super::{DefaultsConfig, SessionConfig, env, secrets};
use crate::{
    api::SessionDefaults,
    error::Error,
    front::{builder::SessionManagerBuilder, manager::SessionManager},
};

/// Reads strictly what users write, such as the defaults of a tenant. Unlike [`SessionDefaults`], a [`DefaultsConfig`]
/// refuses names and values that this version does not know. Its names are those of the settings, such as
/// `privacy_level`. The conversion also reads the file of the viewing key, if there is one.
///
/// ```
/// use sipher_session::{Chain, SessionDefaults, config::DefaultsConfig};
///
/// let config: DefaultsConfig = serde_json::from_str(r#"{ "chain": "near" }"#)?;
/// assert_eq!(SessionDefaults::try_from(config)?.chain, Some(Chain::Near));
/// assert!(serde_json::from_str::<DefaultsConfig>(r#"{ "chian": "near" }"#).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl TryFrom<DefaultsConfig> for SessionDefaults {
    type Error = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the viewing key is given twice, or its file cannot be read.
    fn try_from(config: DefaultsConfig) -> Result<Self, Error> {
        let mut defaults = Self::new();
        defaults.chain = config.chain;
        defaults.privacy_level = config.privacy_level;
        defaults.rpc_provider = config.rpc_provider;
        defaults.backend = config.backend;
        let name = "defaults.default_viewing_key";
        defaults.default_viewing_key = secrets::read(
            name,
            config.default_viewing_key,
            config.default_viewing_key_file,
        )?;
        Ok(defaults)
    }
}

impl SessionManager {
    /// Builds a manager from a configuration, such as one read from a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config). Its message names the setting, what is wrong with it and what
    /// is expected. This also covers a secret whose file cannot be read.
    pub fn from_config(config: SessionConfig) -> Result<Self, Error> {
        SessionManagerBuilder::from_config(config)?.build()
    }

    /// Builds a manager from the environment: see [`SessionConfig::from_env`].
    ///
    /// # Errors
    ///
    /// The errors of [`SessionConfig::from_env`] and of [`from_config`](Self::from_config).
    pub fn from_env() -> Result<Self, Error> {
        Self::from_config(SessionConfig::from_env()?).map_err(env::name_the_variable)
    }
}

impl SessionManagerBuilder {
    /// Creates a builder with the settings of a configuration. Settings that you change on the builder afterwards win.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a file with a secret cannot be read, or if a secret is given
    /// twice. All other settings are checked when the manager is built.
    pub fn from_config(config: SessionConfig) -> Result<Self, Error> {
        let SessionConfig {
            api_key,
            api_key_file,
            call_budget,
            ..
        } = config;
        let api_key = secrets::read("api_key", api_key, api_key_file)?;
        let mut builder = SessionManager::builder().defaults(config.defaults.try_into()?);
        builder = with(builder, api_key, Self::api_key);
        builder = with(builder, config.base_url, Self::base_url);
        let aliases = config.aliases.into_iter().flatten();
        builder = aliases.fold(builder, Self::alias);
        builder = switch(
            builder,
            config.allow_plain_http,
            Self::allow_plain_http,
            Self::forbid_plain_http,
        );
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
        builder = switch(
            builder,
            config.without_sessions,
            Self::without_sessions,
            Self::with_sessions,
        );
        builder = with(builder, config.max_sessions, Self::max_sessions);
        #[cfg(feature = "store")]
        {
            builder = with(builder, config.on_store_down, Self::on_store_down);
            builder = with(builder, config.member_lease, Self::member_lease);
            builder = switch(
                builder,
                config.verify_adopted,
                Self::verify_adopted,
                Self::trust_adopted,
            );
        }
        builder = with(builder, call_budget.upkeep_per_day, Self::upkeep_per_day);
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

fn switch(
    builder: SessionManagerBuilder,
    value: Option<bool>,
    on: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
    off: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
) -> SessionManagerBuilder {
    match value {
        Some(true) => on(builder),
        Some(false) => off(builder),
        None => builder,
    }
}
