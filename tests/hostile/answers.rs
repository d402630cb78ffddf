//! Recorded answers, changed at random, in reply to every call.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use serde_json::Value;
use sipher_session::{
    BoxError, Chain, SessionDefaults, SessionId, SessionManager,
    api::{CreateSession, Transport},
    testing::TestClock,
};
use tower::service_fn;

use crate::mutate::{each_case, mutate};

const RECORDED: &str = include_str!("../wire/sessions.jsonl");
const ID: &str = "sess_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const HEADERS: [(&str, &[u8]); 6] = [
    ("content-type", b"application/json; charset=utf-8"),
    ("retry-after", b"60"),
    ("date", b"Mon, 23 Nov 2026 18:00:00 GMT"),
    ("x-request-id", b"00000000-0000-4000-8000-000000000001"),
    (
        "location",
        b"https://elsewhere.example/v1/sessions?id=sess_0",
    ),
    ("content-length", b"5"),
];

fn recorded() -> Vec<(u16, Vec<u8>)> {
    let exchange = |line: &str| {
        let exchange: Value = serde_json::from_str(line).unwrap();
        let status = u16::try_from(exchange["status"].as_u64().unwrap()).unwrap();
        let mut body = exchange["answer"].to_string();
        for n in 0..20 {
            body = body.replace(&format!("{{session {n}}}"), ID);
        }
        (status, body.into_bytes())
    };
    RECORDED.lines().map(exchange).collect()
}

/// A server whose answers are random changes of recorded ones.
fn transport(
    recorded: &[(u16, Vec<u8>)],
    rng: &mut Rng,
    sent: &Arc<Mutex<Vec<HeaderValue>>>,
) -> Transport {
    let (recorded, sent) = (recorded.to_vec(), sent.clone());
    let rng = Arc::new(Mutex::new(rng.fork()));
    Transport::new(service_fn(move |call: Request<Full<Bytes>>| {
        sent.lock()
            .unwrap()
            .extend(call.headers().values().cloned());
        let rng = &mut *rng.lock().unwrap();
        let (status, body) = &recorded[rng.usize(..recorded.len())];
        let status = if rng.u8(..4) == 0 {
            rng.u16(100..1000)
        } else {
            *status
        };
        let mut response = Response::builder().status(status);
        for (name, value) in HEADERS {
            let value = if rng.bool() {
                mutate(value, rng)
            } else {
                value.to_vec()
            };
            // An HTTP parser produces no other header values.
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                response = response.header(HeaderName::from_static(name), value);
            }
        }
        let body = mutate(body, rng);
        let response = response.body(Full::<Bytes>::from(body));
        async move { Ok::<_, BoxError>(response?) }
    }))
}

fn paused() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

#[test]
fn no_answer_makes_a_call_panic() {
    let recorded = recorded();
    let runtime = paused();
    let sent = Arc::default();
    let (mut good, mut bad) = (0, 0);
    each_case(1_000, |rng| {
        runtime.block_on(async {
            let transport = transport(&recorded, rng, &sent);
            let api =
                sipher_session::SessionsApi::new(transport, "https://host", "sk_pro_1").unwrap();
            let id = SessionId::parse(ID).unwrap();
            let defaults = SessionDefaults::new().chain(Chain::Near);
            let outcomes = [
                api.create_session(&CreateSession::new(defaults.clone()))
                    .await
                    .map(drop),
                api.get_session(&id).await.map(drop),
                api.update_session(&id, &defaults).await.map(drop),
                api.delete_session(&id).await,
            ];
            for (call, outcome) in outcomes.into_iter().enumerate() {
                let Err(error) = outcome else {
                    good += 1;
                    continue;
                };
                bad += 1;
                let text = format!("{error} {error:?}");
                assert!(text.len() < 300_000, "{}", text.len());
                assert!(error.to_string().chars().count() < 600);
                // A create does not know which id the answer has broken up.
                let piece = if call == 0 { &ID[5..] } else { "0123456789ab" };
                assert!(!text.contains(piece), "{text}");
                assert!(
                    error
                        .retry_after()
                        .is_none_or(|after| after.as_secs() <= 86_400)
                );
            }
        });
    });
    assert!(bad > 0 && (good > 0 || bad < 100), "{good} of {bad}");
}

#[test]
fn no_answer_makes_a_manager_panic_or_send_a_bad_header() {
    let recorded = recorded();
    let runtime = paused();
    let sent: Arc<Mutex<Vec<HeaderValue>>> = Arc::default();
    let mut sessions = 0;
    each_case(500, |rng| {
        runtime.block_on(async {
            let manager = SessionManager::builder()
                .api_key("sk_pro_1")
                .transport(transport(&recorded, rng, &sent))
                .clock(TestClock::new())
                .max_wait(std::time::Duration::from_secs(2))
                .build()
                .unwrap();
            for _ in 0..3 {
                let mut headers = http::HeaderMap::new();
                if let Ok(Some(lease)) = manager.apply(&mut headers).await {
                    sessions += 1;
                    lease.complete();
                }
                if let Some(id) = headers.get("x-session-id") {
                    assert!(SessionId::parse(id.to_str().unwrap()).is_some());
                }
                manager.invalidate(1);
                tokio::time::sleep(std::time::Duration::from_secs(90)).await;
            }
            manager.shutdown(std::time::Duration::from_secs(5)).await;
            let visible =
                |value: &HeaderValue| value.as_bytes().iter().all(|b| (b' '..=b'~').contains(b));
            assert!(sent.lock().unwrap().drain(..).all(|value| visible(&value)));
        });
    });
    eprintln!("{sessions} sessions");
}
