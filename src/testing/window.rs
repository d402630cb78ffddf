//! The rate limit: a fixed window for each caller, kept in the memory of one process.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use serde_json::json;

use super::answer::Answer;
use crate::clock::Reading;

/// The real server's limit. Answers show it even if no limit is enforced.
const LIMIT: u32 = 100;
const WINDOW: Duration = Duration::from_secs(60);
/// A caller without a call in two sweeps is forgotten, even if its window has not ended.
const SWEEP: Duration = WINDOW;

/// All windows of one process.
#[derive(Default)]
pub(super) struct Windows {
    by_caller: HashMap<IpAddr, Window>,
}

struct Window {
    calls: u32,
    ends: Duration,
    /// The number of the sweep interval in which the last call came.
    sweep: u128,
}

/// Names and values of headers.
pub(super) type Headers = Vec<(&'static str, String)>;

impl Windows {
    /// Counts a call. Returns the headers for its answer, and the answer itself if the call exceeds an enforced
    /// `limit`.
    pub(super) fn count(
        &mut self,
        caller: IpAddr,
        limit: Option<u32>,
        now: Reading,
    ) -> (Headers, Option<Answer>) {
        let time = clock(limit, now);
        let window = self.window(caller, now, time);
        window.calls = window.calls.saturating_add(1);
        let reset = window.ends.saturating_sub(time).as_millis().div_ceil(1000);
        let most = limit.unwrap_or(LIMIT);
        let mut headers = headers(most, most.saturating_sub(window.calls), reset);
        if limit.is_none_or(|limit| window.calls <= limit) {
            return (headers, None);
        }
        headers.push(("retry-after", reset.to_string()));
        (headers, Some(refusal(most)))
    }

    fn window(&mut self, caller: IpAddr, now: Reading, time: Duration) -> &mut Window {
        let sweep = now.monotonic.as_millis() / SWEEP.as_millis();
        let begun = || Window {
            calls: 0,
            ends: time + WINDOW,
            sweep,
        };
        let window = self.by_caller.entry(caller).or_insert_with(begun);
        if window.ends <= time || window.sweep + 1 < sweep {
            *window = begun();
        }
        window.sweep = sweep;
        window
    }
}

/// Returns the clock that windows use. The real server uses its wall clock, so setting that clock back makes a window
/// longer. An enforced limit uses the monotonic clock instead. Otherwise a test that sets the clock back by days would
/// be refused for days.
fn clock(limit: Option<u32>, now: Reading) -> Duration {
    match limit {
        None => now.wall,
        Some(_) => now.monotonic,
    }
}

fn headers(limit: u32, left: u32, reset: u128) -> Headers {
    let policy = format!("{limit};w={}", WINDOW.as_secs());
    vec![
        ("ratelimit-policy", policy),
        ("ratelimit-limit", limit.to_string()),
        ("ratelimit-remaining", left.to_string()),
        ("ratelimit-reset", reset.to_string()),
    ]
}

fn refusal(limit: u32) -> Answer {
    Answer::error_with(
        429,
        "RATE_LIMIT_EXCEEDED",
        "Too many requests, please try again later",
        &json!({ "retryAfter": WINDOW.as_secs(), "limit": limit }),
    )
}
