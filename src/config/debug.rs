//! How settings look in logs.

use std::fmt;

use super::SessionConfig;
use crate::scope;

impl fmt::Debug for SessionConfig {
    /// Hides the user info in URLs: a URL that will be refused may contain a password.
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
