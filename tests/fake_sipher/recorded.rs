//! Sends exchanges that were recorded from a real server to a fake in the same state. The answers must be the same.

use std::{collections::HashMap, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use serde_json::Value;
use sipher_session::testing::{FakeSipher, Solana, Tier};
use tower::ServiceExt;

use crate::{create, stealth};

/// One line of a recording. API keys and session ids are replaced by names in braces.
#[derive(Deserialize)]
struct Recorded {
    name: String,
    before: Option<String>,
    send: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    /// The body is a JSON object of this length.
    body_of_bytes: Option<usize>,
    status: u16,
    #[serde(default)]
    answer_headers: HashMap<String, String>,
    answer: Option<Value>,
}

/// A fake, and the values of the names in a recording.
struct Replay {
    sipher: FakeSipher,
    names: HashMap<String, String>,
}

impl Replay {
    fn new() -> Self {
        let sipher = FakeSipher::new();
        sipher.accept_key("legacykey", Tier::Pro);
        let tiers = [
            ("pro", Tier::Pro),
            ("free", Tier::Free),
            ("enterprise", Tier::Enterprise),
        ];
        let keys = tiers.iter().flat_map(|&(name, tier)| {
            let key = |number| (format!("{{{name} {number}}}"), sipher.api_key(tier));
            [1, 2, 3].map(key)
        });
        let names = keys.collect();
        Self { sipher, names }
    }

    fn real(&self, text: &str) -> String {
        let replace = |text: String, (name, real): (&String, &String)| text.replace(name, real);
        self.names.iter().fold(text.to_owned(), replace)
    }

    async fn prepare(&self, before: &str) {
        match before {
            "61 s pass" => tokio::time::advance(Duration::from_secs(61)).await,
            "3 s pass" => tokio::time::advance(Duration::from_secs(3)).await,
            "a restart" => self.sipher.restart(),
            "Solana is away" => self.sipher.set_solana(Solana::Away),
            "a window of 3" => self.sipher.set_rate_limit(Some(3)),
            "2,000 operations of {pro 3}, no window" => {
                self.sipher.set_rate_limit(None);
                self.sipher.burn(&self.names["{pro 3}"], 2_000);
            }
            other => panic!("no way to bring about {other:?}"),
        }
    }

    fn request(&self, recorded: &Recorded) -> Request<Full<Bytes>> {
        let (method, path) = recorded.send.split_once(' ').unwrap();
        let uri = format!("{}{}", FakeSipher::base_url(), self.real(path));
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in &recorded.headers {
            request = request.header(name, self.real(value));
        }
        let body = match recorded {
            Recorded {
                body: Some(text), ..
            } => text.clone().into_bytes(),
            Recorded {
                body_base64: Some(text),
                ..
            } => BASE64_STANDARD.decode(text).unwrap(),
            Recorded {
                body_of_bytes: Some(length),
                ..
            } => {
                let frame = r#"{"label":""}"#.len();
                format!(r#"{{"label":"{}"}}"#, "x".repeat(length - frame)).into_bytes()
            }
            _ => return request.body(Full::default()).unwrap(),
        };
        let request = request.header("content-length", body.len());
        request.body(Full::from(body)).unwrap()
    }

    async fn play(&mut self, recorded: &Recorded) -> HeaderMap {
        let name = &recorded.name;
        if let Some(before) = &recorded.before {
            self.prepare(before).await;
        }
        let request = self.request(recorded);
        let answer = self.sipher.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert_eq!(head.status, recorded.status, "{name}: {text}");
        assert_eq!(
            head.headers["content-type"],
            "application/json; charset=utf-8"
        );
        for (header, value) in &recorded.answer_headers {
            assert_eq!(&head.headers[header], value, "{name}: {header}");
        }
        let retry_after = recorded.answer_headers.contains_key("retry-after");
        assert_eq!(
            head.headers.contains_key("retry-after"),
            retry_after,
            "{name}"
        );

        let Some(expected) = &recorded.answer else {
            assert!(body.is_empty(), "{name}: {text}");
            return head.headers;
        };
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        self.learn_session_id(expected, &body);
        self.learn_commitment(expected, &body);
        let mut expected = serde_json::from_str(&self.real(&expected.to_string())).unwrap();
        forget_times_of_day(&mut expected);
        forget_times_of_day(&mut body);
        if recorded.send.to_lowercase().contains("stealth") && expected["success"] == true {
            // The recording keeps only the chain.
            assert_eq!(body["data"]["chain"], expected["data"]["chain"], "{name}");
        } else if expected["data"] == "(cut)" {
            assert!(body["data"].is_object(), "{name}");
        } else {
            assert_eq!(body, expected, "{name}");
        }
        head.headers
    }

    fn learn_commitment(&mut self, expected: &Value, body: &Value) {
        for (field, digits) in [("commitment", 66), ("blindingFactor", 64)] {
            if let Some(name) = expected["data"][field].as_str()
                && !self.names.contains_key(name)
            {
                let value = body["data"][field].as_str().unwrap();
                assert_eq!(value.len(), "0x".len() + digits);
                self.names.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn learn_session_id(&mut self, expected: &Value, body: &Value) {
        if let Some(name) = expected["data"]["sessionId"].as_str()
            && !self.names.contains_key(name)
        {
            let id = body["data"]["sessionId"].as_str().unwrap();
            assert_eq!(id.len(), "sess_".len() + 64);
            self.names.insert(name.to_owned(), id.to_owned());
        }
    }
}

/// Removes the times of day, but keeps how long a session lives. Asserts that the times are whole numbers.
fn forget_times_of_day(body: &mut Value) {
    let Some(data) = body["data"].as_object_mut() else {
        return;
    };
    let created = data
        .get("createdAt")
        .map(|created| created.as_u64().unwrap());
    for name in ["createdAt", "expiresAt", "lastAccessedAt"] {
        if let Some(time) = data.get_mut(name) {
            let millis = time.as_u64().unwrap();
            assert!(millis > 1 << 40, "milliseconds, not seconds");
            let lives = name == "expiresAt" && created.is_some();
            *time = if lives { millis - created.unwrap() } else { 0 }.into();
        }
    }
    forget_what_a_process_is(data);
}

/// Reduces dates, times and sizes to their form, and keeps the rest of a health answer.
fn forget_what_a_process_is(data: &mut serde_json::Map<String, Value>) {
    for (name, length) in [
        ("timestamp", "2026-11-29T12:34:17.874Z".len()),
        ("date", "2026-11-29".len()),
    ] {
        if let Some(time) = data.get_mut(name) {
            assert_eq!(time.as_str().unwrap().len(), length);
            *time = Value::Null;
        }
    }
    if let Some(memory) = data.get_mut("memory") {
        for size in memory.as_object_mut().unwrap().values_mut() {
            assert!(size.as_f64().unwrap() > 1.0);
            *size = Value::Null;
        }
    }
}

fn recording(text: &str) -> impl Iterator<Item = Recorded> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

#[tokio::test(start_paused = true)]
async fn session_calls_are_answered_as_recorded() {
    let mut replay = Replay::new();
    let mut count = 0;
    for recorded in recording(include_str!("../wire/sessions.jsonl")) {
        replay.play(&recorded).await;
        count += 1;
    }
    assert_eq!(count, 59);
}

/// All headers of the answers are recorded, except for the content type and `X-Request-ID`.
#[tokio::test(start_paused = true)]
async fn production_is_answered_as_recorded() {
    let mut replay = Replay::new();
    let mut count = 0;
    for recorded in recording(include_str!("../wire/production.jsonl")) {
        let headers = replay.play(&recorded).await;
        let name = &recorded.name;
        assert_eq!(headers["x-request-id"].len(), 36, "{name}");
        for header in headers.keys().map(http::HeaderName::as_str) {
            let is_recorded = recorded.answer_headers.contains_key(header);
            let known = ["content-type", "date", "x-request-id"].contains(&header);
            assert!(is_recorded || known, "{name}: {header}");
        }
        count += 1;
    }
    assert_eq!(count, 21);
}

#[tokio::test(start_paused = true)]
async fn odd_requests_are_answered_as_recorded() {
    let mut replay = Replay::new();
    let key = replay.names["{pro 1}"].clone();
    for chain in ["near", "sui"] {
        let id = create(&replay.sipher, &key, &format!(r#"{{"chain":"{chain}"}}"#)).await;
        replay.names.insert(format!("{{{chain}}}"), id);
    }
    let shouted = replay.names["{near}"]
        .to_uppercase()
        .replace("SESS_", "sess_");
    replay.names.insert("{NEAR}".to_owned(), shouted);
    let mut count = 0;
    for recorded in recording(include_str!("../wire/edges.jsonl")) {
        replay.play(&recorded).await;
        count += 1;
    }
    assert_eq!(count, 36);
}

#[tokio::test]
async fn a_body_of_exactly_1_mb_is_read() {
    let replay = Replay::new();
    let mut recorded: Recorded = recording(include_str!("../wire/edges.jsonl"))
        .find(|recorded| recorded.body_of_bytes.is_some())
        .unwrap();
    recorded.body_of_bytes = Some(1024 * 1024);
    let request = replay.request(&recorded);
    let answer = replay.sipher.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        stealth(&replay.sipher, &replay.names["{pro 1}"], "x").await,
        "solana"
    );
}
