//! Merges two configurations.

use super::{CallBudgetConfig, DefaultsConfig, SessionConfig};

impl SessionConfig {
    /// Returns these settings, and the settings of `fallback` where these have none.
    ///
    /// A secret and the file that contains it count as one setting.
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
            call_budget: self.call_budget.or(&fallback.call_budget),
            #[cfg(feature = "store")]
            on_store_down: self.on_store_down.or(fallback.on_store_down),
            #[cfg(feature = "store")]
            member_lease: self.member_lease.or(fallback.member_lease),
            #[cfg(feature = "store")]
            verify_adopted: self.verify_adopted.or(fallback.verify_adopted),
        }
    }
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
}

impl CallBudgetConfig {
    fn or(self, fallback: &Self) -> Self {
        Self {
            per_minute: self.per_minute.or(fallback.per_minute),
            burst: self.burst.or(fallback.burst),
            upkeep_per_day: self.upkeep_per_day.or(fallback.upkeep_per_day),
        }
    }
}
