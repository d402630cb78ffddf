//! The server's reports about itself: health, readiness, and its list of errors.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{
    answer::Answer,
    fault::What,
    process::Process,
    server::{Arrival, Server},
};
use crate::clock::{Clock, Reading};

/// How long health and readiness may take before the server answers with an error.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The state of the Solana node behind the server. Each call to `/v1/health` and `/v1/ready` asks that node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Solana {
    /// The node answers: health is 200 `healthy`.
    #[default]
    Up,
    /// The node cannot be reached: health is 503 `unhealthy`, although the server and its sessions are fine.
    Away,
    /// The node does not answer: health is 408 `REQUEST_TIMEOUT` after 5 s.
    Hangs,
}

impl Server {
    pub(super) fn health(&mut self, arrival: &Arrival) -> Answer {
        let (age, is_told) = match arrival.what {
            Some(What::CachedHealth { age, is_told }) => (age, is_told),
            _ if self.solana == Solana::Hangs => return timeout(),
            _ => (Duration::ZERO, false),
        };
        let shuts_down = matches!(arrival.what, Some(What::ShuttingDown));
        let knows_uptime = !matches!(arrival.what, Some(What::NoUptime));
        let now = self.clock.now();
        let at = Reading {
            monotonic: now.monotonic.saturating_sub(age),
            wall: now.wall.saturating_sub(age),
        };
        let process = self.processes.at(arrival.replica);
        let mut data = report(process, at, self.solana, self.sessions.has_store());
        if shuts_down {
            data["status"] = json!("shutting_down");
        }
        if !knows_uptime {
            data.as_object_mut().map(|data| data.remove("uptime"));
        }
        let answer = state(data["status"] == "healthy", &data);
        if is_told {
            return answer.header("age", &age.as_secs().to_string());
        }
        answer
    }

    pub(super) fn ready(&self) -> Answer {
        if self.solana == Solana::Hangs {
            return timeout();
        }
        let ready = self.solana == Solana::Up;
        let checks = json!({ "solana": ready, "redis": true, "shutdown": true });
        state(ready, &json!({ "ready": ready, "checks": checks }))
    }
}

/// Reports the health of a process at this moment, or at an earlier one.
fn report(process: &Process, at: Reading, solana: Solana, has_store: bool) -> Value {
    let is_up = solana != Solana::Away;
    json!({
        "status": if is_up { "healthy" } else { "unhealthy" },
        "version": "0.1.0",
        "timestamp": humantime::format_rfc3339_millis(UNIX_EPOCH + at.wall).to_string(),
        "uptime": uptime(process.boot(at.monotonic), at),
        "solana": node(is_up),
        "redis": { "enabled": has_store, "connected": has_store, "ping": has_store },
        "memory": { "heapUsedMB": 45.34, "rssMB": 156.79 },
        "endpoints": 71,
        "program": {
            "id": "S1PMFspo4W6BYKHWkHNF7kZ3fnqibEXg3LQjxepS9at",
            "network": "mainnet-beta",
            "configPDA": "BVawZkppFewygA5nxdrLma4ThKx8Th7bW4KTCkcWTZwZ",
        },
        "sdk": "@sip-protocol/sdk v0.11.0",
        "chains": 17,
        "sdks": 4,
    })
}

/// Returns the uptime in whole seconds by the wall clock, like the real server. So setting the clock does not change
/// `timestamp - uptime`. The uptime is negative if the clock is set to a time before the start.
fn uptime(boot: Reading, at: Reading) -> i64 {
    let millis = |wall: Duration| i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
    (millis(at.wall) - millis(boot.wall)).div_euclid(1000)
}

fn node(is_up: bool) -> Value {
    if !is_up {
        return json!({ "connected": false, "cluster": "unknown", "provider": "generic" });
    }
    json!({
        "connected": true, "cluster": "mainnet-beta", "slot": 300_000_000, "latencyMs": 12, "provider": "generic",
    })
}

/// Returns an answer that reports a state. Unlike an error, the answer has its report in `data` even if the state is
/// bad.
fn state(is_good: bool, data: &Value) -> Answer {
    let status = if is_good { 200 } else { 503 };
    Answer::json(status, &json!({ "success": is_good, "data": data }))
}

fn timeout() -> Answer {
    let message = format!("Request exceeded {}s timeout", TIMEOUT.as_secs());
    let error = json!({ "code": "REQUEST_TIMEOUT", "message": message, "retryable": true });
    Answer::json(408, &json!({ "success": false, "error": error })).late(TIMEOUT)
}

/// Returns the first three of the server's 52 errors.
pub(super) fn errors() -> Answer {
    let error = |code, description| json!({ "code": code, "httpStatus": 400, "description": description, "retryable": false });
    let errors = [
        (
            "VALIDATION_ERROR",
            "Request body failed schema validation. Check the details field for specifics.",
        ),
        ("INVALID_JSON", "Request body is not valid JSON."),
        (
            "INVALID_HEX_STRING",
            "A hex string parameter is malformed. Expected 0x-prefixed 32-byte hex.",
        ),
    ]
    .map(|(code, description)| error(code, description));
    Answer::data(200, &json!({ "totalCodes": 52, "errors": errors }))
}
