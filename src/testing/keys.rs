//! API keys and their tiers.

use std::{collections::HashMap, fmt};

use super::answer::Answer;

/// The tier of an API key: what its owner pays for, and so may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // Sipher's three
pub enum Tier {
    /// May call the API, but may have no sessions.
    Free,
    /// 2,000 session operations a day, 2,000 stealth operations, and 10,000 operations in all.
    Pro,
    /// 20,000 session operations a day.
    Enterprise,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        })
    }
}

/// Paths that a free key may not call, even if there is no such route.
const PAID: [&str; 4] = [
    "/v1/sessions",
    "/v1/governance",
    "/v1/compliance",
    "/v1/jito",
];

/// Refuses a paid path to a free key.
pub(super) fn allow(tier: Tier, path: &str) -> Result<(), Answer> {
    let lower = path.to_ascii_lowercase();
    let is_below = |start: &&str| {
        let rest = lower.strip_prefix(*start);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if tier != Tier::Free || !PAID.iter().any(is_below) {
        return Ok(());
    }
    let message =
        format!("Endpoint {path} not available on free tier. Upgrade to pro or enterprise.");
    Err(Answer::error(403, "TIER_ACCESS_DENIED", &message))
}

/// Every key that was ever accepted.
#[derive(Default)]
pub(super) struct Keys {
    by_secret: HashMap<String, Key>,
}

#[derive(Clone)]
pub(super) struct Key {
    /// The key's name in logs, such as `pro 1`.
    pub(super) label: String,
    pub(super) tier: Tier,
    revoked: bool,
}

impl Keys {
    pub(super) fn accept(&mut self, secret: &str, tier: Tier) {
        let known = self.by_secret.values().filter(|key| key.tier == tier);
        let label = format!("{tier} {}", known.count() + 1);
        let key = self.by_secret.entry(secret.to_owned()).or_insert(Key {
            label,
            tier,
            revoked: false,
        });
        key.revoked = false;
        key.tier = tier;
    }

    pub(super) fn revoke(&mut self, secret: &str) {
        if let Some(key) = self.by_secret.get_mut(secret) {
            key.revoked = true;
        }
    }

    pub(super) fn valid(&self, secret: &str) -> Option<&Key> {
        self.by_secret.get(secret).filter(|key| !key.revoked)
    }

    pub(super) fn label(&self, secret: &str) -> String {
        let key = self.by_secret.get(secret);
        key.map_or_else(|| "unknown".to_owned(), |key| key.label.clone())
    }
}
