//! Calls that can safely be made more than once, with the same `Idempotency-Key`.

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};

use super::{answer::Answer, routes::Admitted, server::Server, validate};
use crate::clock::Clock;

const DAY: Duration = Duration::from_secs(86_400);

/// The calls that accept a key. All of them are `POST`s.
#[rustfmt::skip]
pub(super) const ROUTES: [&str; 14] = [
    COMMIT, "/v1/compliance/disclose", "/v1/compliance/report", "/v1/cspl/wrap", "/v1/cspl/unwrap", "/v1/cspl/transfer",
    "/v1/governance/ballot/encrypt", "/v1/governance/ballot/submit", "/v1/governance/tally", "/v1/jito/relay",
    "/v1/swap/private", SHIELD, "/v1/transfer/claim", "/v1/transfer/private",
];
const COMMIT: &str = "/v1/commitment/create";
const SHIELD: &str = "/v1/transfer/shield";

/// The first answer to each key that one process has seen.
#[derive(Default)]
pub(super) struct Replays {
    by_key: HashMap<String, (Duration, Answer)>,
}

impl Replays {
    /// Returns the first answer to this key. Only the key counts, not the route, the body or the caller.
    fn recall(&self, key: &str, now: Duration) -> Option<Answer> {
        let (since, answer) = self.by_key.get(key)?;
        let is_fresh = now.saturating_sub(*since) < DAY;
        is_fresh.then(|| answer.clone().header("idempotency-replayed", "true"))
    }

    fn keep(&mut self, key: String, now: Duration, answer: &Answer) {
        self.by_key.insert(key, (now, answer.clone()));
    }
}

impl Server {
    /// Answers a call to one of [`ROUTES`], or repeats the first answer to its key.
    pub(super) fn idempotent(
        &mut self,
        admitted: &Admitted<'_>,
        route: &str,
    ) -> Result<Answer, Answer> {
        let Some(key) = admitted
            .call
            .header("idempotency-key")
            .filter(|key| !key.is_empty())
        else {
            return self.perform(admitted, route);
        };
        if !is_uuid_v4(&key) {
            let message = "Idempotency-Key must be a valid UUID v4";
            return Err(Answer::error(400, "INVALID_IDEMPOTENCY_KEY", message));
        }
        let now = self.clock.now().monotonic;
        let replica = admitted.arrival.replica;
        if let Some(answer) = self.processes.at(replica).replays.recall(&key, now) {
            return by_status(answer);
        }
        let answer = self.perform(admitted, route);
        let (Ok(first) | Err(first)) = &answer;
        self.processes.at(replica).replays.keep(key, now, first);
        answer
    }

    fn perform(&mut self, admitted: &Admitted<'_>, route: &str) -> Result<Answer, Answer> {
        let body = admitted.body.as_ref();
        match route {
            COMMIT => {
                validate::fields(body, &[("value", "string")])?;
                Ok(self.commitment())
            }
            SHIELD => {
                let fields = [
                    ("sender", "string"),
                    ("recipientMetaAddress", "object"),
                    ("amount", "string"),
                ];
                validate::fields(body, &fields)?;
                Ok(done())
            }
            _ => Ok(done()),
        }
    }

    fn commitment(&mut self) -> Answer {
        let (commitment, factor) = (self.mint(), self.mint());
        let data = json!({ "commitment": format!("0x02{commitment}"), "blindingFactor": format!("0x{factor}") });
        Answer::data(200, &data)
    }
}

/// Returns an empty answer: the fake does not carry the call out.
fn done() -> Answer {
    Answer::data(200, &Value::Object(serde_json::Map::new()))
}

/// Returns a failure as `Err`, because only successes count against a quota.
fn by_status(answer: Answer) -> Result<Answer, Answer> {
    if answer.status.as_u16() < 400 {
        Ok(answer)
    } else {
        Err(answer)
    }
}

fn is_uuid_v4(key: &str) -> bool {
    let bytes = key.as_bytes();
    let fits = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        14 => *byte == b'4',
        19 => b"89abAB".contains(byte),
        _ => byte.is_ascii_hexdigit(),
    };
    bytes.len() == 36 && bytes.iter().enumerate().all(fits)
}
