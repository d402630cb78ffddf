//! The server's health, as the client sees it.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

pub(crate) const HEALTH: &str = "/v1/health";

/// Times are by the server's clock, since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    /// When the process began, up to 1 s late.
    pub(crate) boot: Duration,
    pub(crate) now: Duration,
    /// Whether the sessions outlive the process.
    pub(crate) keeps: bool,
}

/// Returns `None` if the answer says too little, or that the process is about to end.
pub(crate) fn read(bytes: &[u8]) -> Option<Health> {
    let answer: Value = serde_json::from_slice(bytes).ok()?;
    let data = answer.get("data")?;
    if data["status"] == "shutting_down" {
        return None;
    }
    let now = humantime::parse_rfc3339(data["timestamp"].as_str()?).ok()?;
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    let uptime = Duration::from_secs(data["uptime"].as_u64()?);
    Some(Health {
        boot: now.checked_sub(uptime)?,
        now,
        keeps: data["redis"]["connected"] == true,
    })
}
