//! The quotas: how many operations a day a key may use.

use std::{
    collections::HashMap,
    time::{Duration, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};

use super::{answer::Answer, keys::Tier};

const DAY: Duration = Duration::from_secs(86_400);

/// The categories of operations that are counted separately, in the server's order.
const CATEGORIES: [&str; 13] = [
    "stealth",
    "commitment",
    "transfer",
    "scan",
    "viewing_key",
    "proof",
    "privacy",
    "compute",
    "swap",
    "governance",
    "compliance",
    "session",
    "jito",
];

/// The prefixes of the paths that are counted. Unlike for routes, letter case counts here.
const METERED: [(&str, &str); 13] = [
    ("/v1/stealth/", "stealth"),
    ("/v1/commitment/", "commitment"),
    ("/v1/transfer/", "transfer"),
    ("/v1/cspl/", "transfer"),
    ("/v1/scan/", "scan"),
    ("/v1/viewing-key/", "viewing_key"),
    ("/v1/privacy/", "privacy"),
    ("/v1/backends", "compute"),
    ("/v1/swap/", "swap"),
    ("/v1/governance/", "governance"),
    ("/v1/compliance/", "compliance"),
    ("/v1/sessions", "session"),
    ("/v1/jito/", "jito"),
];

/// Returns the category in which a path is counted.
pub(super) fn category(path: &str) -> Option<&'static str> {
    let metered = METERED.iter().find(|(start, _)| path.starts_with(start));
    metered.map(|&(_, category)| category)
}

/// Today's operations of every key.
#[derive(Default)]
pub(super) struct Quotas {
    days: HashMap<String, Today>,
}

#[derive(Default)]
struct Today {
    day: u128,
    counts: HashMap<&'static str, u32>,
}

/// Returns the quota of one category, and of all together. The quota of a free key is not simulated.
fn quotas(tier: Tier) -> (Option<u32>, Option<u32>) {
    match tier {
        Tier::Free => (None, None),
        Tier::Pro => (Some(2_000), Some(10_000)),
        Tier::Enterprise => (Some(20_000), Some(100_000)),
    }
}

impl Quotas {
    pub(super) fn add(&mut self, key: &str, category: &'static str, count: u32, now: Duration) {
        let today = self.days.entry(key.to_owned()).or_default();
        let day = day(now);
        if today.day != day {
            *today = Today {
                day,
                counts: HashMap::new(),
            };
        }
        let so_far = today.counts.entry(category).or_default();
        *so_far = so_far.saturating_add(count);
    }

    /// Refuses an operation if the quota of its category, or the total, is used up.
    pub(super) fn check(
        &self,
        key: &str,
        tier: Tier,
        category: &str,
        now: Duration,
    ) -> Result<(), Answer> {
        let (each, all) = quotas(tier);
        let (count, total) = (self.count(key, category, now), self.total(key, now));
        let past = |count: u32, quota: Option<u32>| quota.filter(|&quota| count >= quota);
        let (current, limit) = match (past(count, each), past(total, all)) {
            (Some(limit), _) => (count, limit),
            (None, Some(limit)) => (total, limit),
            (None, None) => return Ok(()),
        };
        let midnight = DAY * u32::try_from(day(now) + 1).unwrap_or(u32::MAX);
        let reset = humantime::format_rfc3339_millis(UNIX_EPOCH + midnight).to_string();
        let message =
            format!("Daily quota exceeded. Used {current}/{limit} operations. Resets at {reset}.");
        let details = json!({
            "category": category, "current": current, "limit": limit, "resetAt": reset, "tier": tier.to_string(),
        });
        Err(Answer::error_with(
            429,
            "DAILY_QUOTA_EXCEEDED",
            &message,
            &details,
        ))
    }

    /// Returns the answer to `GET /v1/billing/usage`.
    pub(super) fn usage(&self, key: &str, tier: Tier, now: Duration) -> Value {
        let (each, all) = quotas(tier);
        let count = |category| json!({ "count": self.count(key, category, now), "quota": each });
        let categories: Map<_, _> = CATEGORIES
            .map(|c| (c.to_owned(), count(c)))
            .into_iter()
            .collect();
        let date = humantime::format_rfc3339(UNIX_EPOCH + now).to_string();
        json!({
            "date": date[..10], "tier": tier.to_string(), "total": self.total(key, now), "quotaTotal": all,
            "categories": categories,
        })
    }

    fn count(&self, key: &str, category: &str, now: Duration) -> u32 {
        let count = self
            .today(key, now)
            .and_then(|today| today.counts.get(category));
        count.copied().unwrap_or_default()
    }

    fn total(&self, key: &str, now: Duration) -> u32 {
        let counts = self.today(key, now).map(|today| today.counts.values());
        counts
            .into_iter()
            .flatten()
            .fold(0, |sum, &count| sum.saturating_add(count))
    }

    fn today(&self, key: &str, now: Duration) -> Option<&Today> {
        self.days.get(key).filter(|today| today.day == day(now))
    }
}

/// Returns the days since 1970, in UTC.
fn day(now: Duration) -> u128 {
    now.as_millis() / DAY.as_millis()
}
