//! Features of the production server: health, rate-limit windows, restarts, edges.

use std::time::Duration;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use sipher_session::{
    clock::Clock,
    testing::{FakeSipher, Fault, Solana, Target, Tier, What},
};
use tower::ServiceExt;

use crate::{create, create_request, request, stealth_request};

const NEAR: &str = r#"{"chain":"near"}"#;

/// Sends a request and returns status, headers and body.
pub(crate) async fn ask(
    sipher: &FakeSipher,
    request: Request<Full<bytes::Bytes>>,
) -> (u16, HeaderMap, Value) {
    let (head, body) = sipher.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    (head.status.as_u16(), head.headers, body)
}

pub(crate) async fn get(sipher: &FakeSipher, path: &str) -> (u16, HeaderMap, Value) {
    ask(sipher, request("GET", path, "", "", "")).await
}

/// Returns `data` of a health answer.
pub(crate) async fn health(sipher: &FakeSipher) -> Value {
    get(sipher, "/v1/health").await.2["data"].clone()
}

/// Returns `timestamp - uptime` in milliseconds since 1970.
pub(crate) fn boot(health: &Value) -> u128 {
    let timestamp = health["timestamp"].as_str().unwrap();
    let timestamp = humantime::parse_rfc3339(timestamp).unwrap();
    let millis = timestamp.duration_since(std::time::UNIX_EPOCH).unwrap();
    let uptime = i128::from(health["uptime"].as_i64().unwrap()) * 1000;
    u128::try_from(i128::try_from(millis.as_millis()).unwrap() - uptime).unwrap()
}

/// Returns `Remaining` and `Reset`.
fn window(headers: &HeaderMap) -> (u32, u32) {
    let number = |name: &str| headers[name].to_str().unwrap().parse().unwrap();
    (number("ratelimit-remaining"), number("ratelimit-reset"))
}

/// Returns the rate-limit window that a stealth call shows.
async fn window_of(sipher: &FakeSipher, key: &str) -> (u32, u32) {
    window(&ask(sipher, stealth_request(key, "")).await.1)
}

fn is_signed(headers: &HeaderMap) -> [bool; 2] {
    ["x-request-id", "ratelimit-policy"].map(|name| headers.contains_key(name))
}

async fn pass(seconds: f64) {
    tokio::time::advance(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn health_tells_when_the_process_began_whatever_becomes_of_solana() {
    let sipher = FakeSipher::new();
    let start = sipher.clock().now().wall.as_millis();
    pass(7.9).await;
    for (solana, status, word) in [
        (Solana::Up, 200, "healthy"),
        (Solana::Away, 503, "unhealthy"),
    ] {
        sipher.set_solana(solana);
        let (got, headers, body) = get(&sipher, "/v1/health").await;
        assert_eq!(got, status);
        assert_eq!(is_signed(&headers), [true, false]);
        assert_eq!(body["success"], status == 200);
        let data = &body["data"];
        assert_eq!(data["status"], word);
        assert_eq!(data["uptime"], 7, "whole seconds that are over");
        assert_eq!(boot(data), start + 900, "late by what was cut off");
        assert_eq!(data["solana"]["connected"], status == 200);
        let redis = json!({ "enabled": false, "connected": false, "ping": false });
        assert_eq!(data["redis"], redis);
        let (ready, headers, body) = get(&sipher, "/v1/ready").await;
        assert_eq!((ready, is_signed(&headers)), (status, [true, true]));
        assert_eq!(body["data"]["ready"], status == 200);
    }
    assert_eq!(sipher.health_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn health_that_solana_holds_up_is_408_after_5_s() {
    let sipher = FakeSipher::new();
    sipher.set_solana(Solana::Hangs);
    for (path, signed) in [("/v1/health", [true, false]), ("/v1/ready", [true, true])] {
        let start = sipher.clock().now();
        let (status, headers, body) = get(&sipher, path).await;
        assert_eq!((status, is_signed(&headers)), (408, signed));
        assert_eq!(body["error"]["code"], "REQUEST_TIMEOUT");
        assert!(body["data"].is_null(), "nothing about the process");
        assert_eq!(sipher.clock().now().since(start), Duration::from_secs(5));
    }
    let key = sipher.api_key(Tier::Pro);
    create(&sipher, &key, NEAR).await;
}

#[tokio::test(start_paused = true)]
async fn health_exists_for_reading_only_and_needs_a_key_in_capitals() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    for path in ["/v1/health", "/v1/ready", "/v1/errors"] {
        let (status, _, _) = ask(&sipher, request("POST", path, "", "", "{}")).await;
        assert_eq!(status, 404);
        let (status, _, _) = ask(&sipher, request("HEAD", path, "", "", "")).await;
        assert_eq!(status, 200);
        let path = path.to_uppercase();
        assert_eq!(get(&sipher, &path).await.0, 401);
        let (status, headers, _) = ask(&sipher, request("GET", &path, &key, "", "")).await;
        assert_eq!((status, is_signed(&headers)), (200, [true, true]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_moves_the_timestamp_and_not_the_boot() {
    let sipher = FakeSipher::new();
    let before = health(&sipher).await;
    let step = Duration::from_secs(3000);
    for (set, uptime) in [(true, 3000), (false, -3000)] {
        if set {
            sipher.clock().suspend(step);
        } else {
            sipher.clock().set_back(2 * step);
        }
        let after = health(&sipher).await;
        assert_eq!(after["uptime"], uptime, "the server subtracts wall times");
        assert_eq!(boot(&after), boot(&before));
        assert_ne!(after["timestamp"], before["timestamp"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_is_fixed_counts_down_and_begins_with_the_first_call_after_it() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    assert_eq!(window_of(&sipher, &key).await, (99, 60));
    pass(2.5).await;
    assert_eq!(window_of(&sipher, &key).await, (98, 58));
    get(&sipher, "/v1/health").await;
    get(&sipher, "/").await;
    assert_eq!(
        window_of(&sipher, &key).await,
        (97, 58),
        "these do not count"
    );
    pass(57.4).await;
    assert_eq!(window_of(&sipher, &key).await, (96, 1));
    pass(0.1).await;
    assert_eq!(window_of(&sipher, &key).await, (99, 60));
    for _ in 0..120 {
        window_of(&sipher, &key).await;
    }
    let (status, headers, _) = ask(&sipher, stealth_request(&key, "")).await;
    assert_eq!((status, window(&headers)), (200, (0, 60)), "not enforced");
    assert_eq!(headers["ratelimit-policy"], "100;w=60");
    assert_eq!(headers["ratelimit-limit"], "100");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_makes_a_window_longer_and_forward_ends_it() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    window_of(&sipher, &key).await;
    sipher.clock().set_back(Duration::from_secs(600));
    assert_eq!(window_of(&sipher, &key).await, (98, 660));
    sipher.clock().suspend(Duration::from_secs(660));
    assert_eq!(window_of(&sipher, &key).await, (99, 60));
    sipher.clock().set_back(Duration::from_secs(600));
    pass(121.0).await;
    assert_eq!(
        window_of(&sipher, &key).await,
        (99, 60),
        "forgotten while idle"
    );
}

#[tokio::test(start_paused = true)]
async fn an_enforced_limit_ends_after_a_minute_however_the_clock_is_set() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.set_rate_limit(Some(1));
    let call = async || ask(&sipher, stealth_request(&key, "")).await;
    assert_eq!(call().await.0, 200);
    sipher.clock().set_back(Duration::from_secs(100_000));
    let (status, headers, _) = call().await;
    assert_eq!(
        (status, headers["retry-after"].as_bytes()),
        (429, &b"60"[..])
    );
    pass(60.0).await;
    assert_eq!(call().await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_restart_begins_windows_boot_and_counts_anew() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    create(&sipher, &key, NEAR).await;
    sipher.burn(&key, 1_999);
    let before = boot(&health(&sipher).await);
    pass(10.0).await;
    assert_eq!(ask(&sipher, create_request(&key, NEAR)).await.0, 429);
    sipher.restart();
    assert_eq!(window_of(&sipher, &key).await, (99, 60), "before its time");
    let after = health(&sipher).await;
    assert_eq!(after["uptime"], 0);
    assert_eq!(boot(&after), before + 10_000);
    create(&sipher, &key, NEAR).await;
}

#[tokio::test(start_paused = true)]
async fn every_address_has_a_window_of_its_own() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    assert_eq!(window_of(&sipher, &key).await, (99, 60));
    pass(10.0).await;
    let other = sipher.seen_from([203, 0, 113, 7]);
    assert_eq!(window_of(&other, &key).await, (99, 60));
    assert_eq!(window_of(&sipher, &key).await, (98, 50));
    sipher.fault(Fault::new(What::SeenFrom([203, 0, 113, 7].into())));
    assert_eq!(window_of(&sipher, &key).await, (98, 60), "a stranger's");
    let callers: Vec<_> = sipher.log().iter().map(|e| e.caller.to_string()).collect();
    assert_eq!(
        callers,
        ["127.0.0.1", "203.0.113.7", "127.0.0.1", "203.0.113.7"]
    );
}

#[tokio::test(start_paused = true)]
async fn edges_take_turns_or_are_drawn() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let edges = sipher.edges(3);
    for call in 0..6 {
        let handle = edges.clone();
        assert_eq!(window_of(&handle, &key).await.0, 99 - call / 3);
    }
    let drawn = async |seed| {
        sipher.clear_log();
        let edges = sipher.edges_drawn(3, seed);
        for _ in 0..20 {
            window_of(&edges, &key).await;
        }
        let log = sipher.log();
        log.iter().map(|e| e.caller).collect::<Vec<_>>()
    };
    let first = drawn(1).await;
    assert_eq!(drawn(1).await, first);
    assert_ne!(drawn(2).await, first);
    assert!(first.windows(2).any(|two| two[0] == two[1]), "not in turn");
    let mut seen = first;
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn only_the_application_signs_its_answers() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let answered = async |what: What| {
        sipher.fault(Fault::new(what).on(Target::Create));
        ask(&sipher, create_request(&key, NEAR)).await
    };
    for status in [400, 401, 408, 410, 429, 500] {
        let (got, headers, _) = answered(What::Status(status)).await;
        assert_eq!((got, is_signed(&headers)), (status, [true, true]));
    }
    for status in [502, 503, 504, 520, 527, 530] {
        for what in [What::Status(status), What::Html(status)] {
            let (got, headers, _) = answered(what).await;
            assert_eq!((got, is_signed(&headers)), (status, [false, false]));
        }
    }
    let away = What::Error(503, "SOLANA_RPC_UNAVAILABLE");
    let (status, headers, body) = answered(away).await;
    assert_eq!((status, is_signed(&headers)), (503, [true, true]));
    assert_eq!(body["error"]["code"], "SOLANA_RPC_UNAVAILABLE");
    assert_eq!(window(&headers), (93, 60), "its window goes on");
    let (status, headers, body) = answered(What::Cloudflare(521)).await;
    assert_eq!((status, is_signed(&headers)), (521, [false, false]));
    assert_eq!(headers["content-type"], "text/html; charset=UTF-8");
    assert!(body.is_null());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_refuses_all_but_health_before_it_signs() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.fault(Fault::new(What::ShuttingDown).always());
    let (status, headers, body) = ask(&sipher, stealth_request(&key, "")).await;
    assert_eq!((status, is_signed(&headers)), (503, [false, false]));
    assert_eq!(body["error"]["code"], "SERVICE_UNAVAILABLE");
    let (status, headers, body) = get(&sipher, "/v1/health").await;
    assert_eq!((status, is_signed(&headers)), (503, [true, false]));
    assert_eq!(body["data"]["status"], "shutting_down");
    assert_eq!(body["data"]["uptime"], 0);
}

#[tokio::test(start_paused = true)]
async fn an_edge_writes_its_own_date_and_health_keeps_the_servers() {
    let sipher = FakeSipher::new();
    let date = async || {
        let (_, headers, body) = get(&sipher, "/v1/health").await;
        let date = httpdate::parse_http_date(headers["date"].to_str().unwrap()).unwrap();
        let own = humantime::parse_rfc3339(body["data"]["timestamp"].as_str().unwrap()).unwrap();
        let ahead = date
            .duration_since(own)
            .map(|by| by.as_secs().cast_signed());
        ahead.unwrap_or_else(|behind| -behind.duration().as_secs().cast_signed())
    };
    assert_eq!(date().await, 0);
    sipher.clock().suspend(Duration::from_secs(3000));
    assert_eq!(date().await, 0, "by the server's clock");
    sipher.set_edge_clock(Some(-40));
    assert_eq!(date().await, -40);
    sipher.set_edge_clock(Some(40));
    pass(100.0).await;
    assert_eq!(date().await, 40);
    sipher.clock().set_back(Duration::from_secs(3000));
    assert_eq!(date().await, 3040, "the edge's clock was not turned");
    sipher.set_edge_clock(None);
    assert_eq!(date().await, 0);
}

#[tokio::test(start_paused = true)]
async fn health_out_of_a_cache_is_that_of_an_older_process() {
    let sipher = FakeSipher::new();
    let start = boot(&health(&sipher).await);
    pass(100.0).await;
    sipher.restart();
    pass(20.0).await;
    let cached = async |seconds, is_told| {
        let age = Duration::from_secs(seconds);
        sipher.fault(Fault::new(What::CachedHealth { age, is_told }));
        window_of(&sipher, "nobody").await;
        get(&sipher, "/v1/health").await
    };
    let (_, headers, body) = cached(30, true).await;
    assert_eq!(headers["age"], "30");
    assert_eq!(body["data"]["uptime"], 90);
    assert_eq!(boot(&body["data"]), start);
    let (_, headers, body) = cached(19, false).await;
    assert!(!headers.contains_key("age"));
    assert_eq!(
        (boot(&body["data"]), &body["data"]["uptime"]),
        (start + 100_000, &json!(1))
    );
    assert_eq!(health(&sipher).await["uptime"], 20, "only once");
}

#[tokio::test(start_paused = true)]
async fn health_goes_wrong_in_every_other_way() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let wrong = async |what| {
        sipher.fault(Fault::new(what).on(Target::Health));
        create(&sipher, &key, NEAR).await;
        get(&sipher, "/v1/health").await
    };
    let (status, _, body) = wrong(What::NoUptime).await;
    assert_eq!((status, &body["data"]["uptime"]), (200, &Value::Null));
    assert!(body["data"]["timestamp"].is_string());
    let (status, headers, body) = wrong(What::Status(408)).await;
    assert_eq!((status, is_signed(&headers)), (408, [true, false]));
    assert_eq!(body["error"]["code"], "REQUEST_TIMEOUT");
    for what in [What::Status(404), What::Html(404), What::Html(200)] {
        let (_, _, body) = wrong(what).await;
        assert!(body["data"].is_null());
    }
    sipher.fault(Fault::new(What::Status(418)).on(Target::Calls));
    assert_eq!(get(&sipher, "/v1/health").await.0, 200);
    create(&sipher, &key, NEAR).await;
    assert_eq!(ask(&sipher, stealth_request(&key, "")).await.0, 418);
}
