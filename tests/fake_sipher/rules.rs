//! Idempotency keys, tiers, and wrong bodies.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use sipher_session::testing::{FakeSipher, Tier};

use crate::{production::ask, request, send};

const COMMIT: &str = "/v1/commitment/create";
const FIVE: &str = r#"{"value":"5"}"#;
const UUID: &str = "7d9f1c8e-1d2b-4c3a-9f5e-0123456789ab";

/// Sends a `POST` with an `Idempotency-Key`.
async fn keyed(
    sipher: &FakeSipher,
    (path, api_key): (&str, &str),
    body: &str,
    key: &str,
) -> (u16, HeaderMap, Value) {
    let mut call = request("POST", path, api_key, "", body);
    let key = HeaderValue::from_str(key).unwrap();
    call.headers_mut().insert("idempotency-key", key);
    ask(sipher, call).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_repeated_by_the_key_alone_for_a_day() {
    let sipher = FakeSipher::new();
    let [key, other] = [(); 2].map(|()| sipher.api_key(Tier::Pro));
    let (_, headers, first) = keyed(&sipher, (COMMIT, &key), FIVE, UUID).await;
    assert!(!headers.contains_key("idempotency-replayed"));
    for to in [
        (COMMIT, &*key),
        (COMMIT, &*other),
        ("/v1/jito/relay", &*other),
    ] {
        let (status, headers, body) = keyed(&sipher, to, "{}", UUID).await;
        assert_eq!((status, &body), (200, &first));
        assert_eq!(headers["idempotency-replayed"], "true");
    }
    tokio::time::advance(Duration::from_secs(86_399)).await;
    assert_eq!(keyed(&sipher, (COMMIT, &key), FIVE, UUID).await.2, first);
    tokio::time::advance(Duration::from_secs(1)).await;
    let (_, headers, second) = keyed(&sipher, (COMMIT, &key), FIVE, UUID).await;
    assert_ne!(second, first);
    assert!(!headers.contains_key("idempotency-replayed"));
    sipher.restart();
    let (_, _, third) = keyed(&sipher, (COMMIT, &key), FIVE, UUID).await;
    assert_ne!(third, second, "kept in memory");
}

#[tokio::test]
async fn failures_are_repeated_too_and_never_counted() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    for _ in 0..2 {
        let (status, ..) = keyed(&sipher, (COMMIT, &key), "{}", UUID).await;
        assert_eq!(status, 400);
    }
    let (status, headers, _) = keyed(&sipher, (COMMIT, &key), FIVE, UUID).await;
    assert_eq!(status, 400, "though this one is right");
    assert_eq!(headers["idempotency-replayed"], "true");
    let usage = request("GET", "/v1/billing/usage", &key, "", "");
    assert_eq!(ask(&sipher, usage).await.2["data"]["total"], 0);
}

#[tokio::test]
async fn only_a_uuid_of_version_4_is_a_key_and_only_there() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    for wrong in [
        "0b61",
        "7d9f1c8e-1d2b-1c3a-9f5e-0123456789ab",
        "7d9f1c8e-1d2b-4c3a-7f5e-0123456789ab",
        "7d9f1c8e01d2b-4c3a-9f5e-0123456789ab",
        "7d9f1c8e-1d2b-4c3a-9f5e-0123456789ag",
        "7d9f1c8e-1d2b-4c3a-9f5e-0123456789abc",
    ] {
        let (status, _, body) = keyed(&sipher, (COMMIT, &key), FIVE, wrong).await;
        assert_eq!(status, 400, "{wrong}");
        assert_eq!(body["error"]["code"], "INVALID_IDEMPOTENCY_KEY");
    }
    let upper = UUID.to_uppercase();
    assert_eq!(keyed(&sipher, (COMMIT, &key), FIVE, &upper).await.0, 200);
    for path in ["/v1/stealth/generate", "/v1/sessions"] {
        let (status, headers, _) = keyed(&sipher, (path, &key), r#"{"defaults":{}}"#, "0b61").await;
        assert!(status < 300, "{path}");
        assert!(!headers.contains_key("idempotency-replayed"));
    }
}

#[tokio::test]
async fn a_free_key_is_refused_below_a_paid_path_before_all_else() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Free);
    for path in [
        "/v1/sessions",
        "/v1/sessions/a/b",
        "/v1/governance/nope",
        "/V1/Jito",
    ] {
        let (status, body) = send(&sipher, request("POST", path, &key, "", "{oops"))
            .await
            .unwrap();
        assert_eq!(status, 403, "{path}");
        assert_eq!(body["error"]["code"], "TIER_ACCESS_DENIED");
    }
    for (path, expected) in [("/v1/nope", 400), ("/v1/sessionsx", 400)] {
        let call = request("POST", path, &key, "", "{oops");
        assert_eq!(send(&sipher, call).await.unwrap().0, expected);
    }
    assert_eq!(
        send(&sipher, request("GET", "/v1/nope", &key, "", ""))
            .await
            .unwrap()
            .0,
        404
    );
}

#[tokio::test]
async fn a_quota_is_looked_at_before_the_body() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.burn(&key, 2_000);
    let call = request("POST", "/v1/sessions", &key, "", "{oops");
    assert_eq!(send(&sipher, call).await.unwrap().0, 429);
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let paths = async |path, body| {
        let (status, body) = send(&sipher, request("POST", path, &key, "", body))
            .await
            .unwrap();
        assert_eq!(status, 400);
        let details = body["error"]["details"].as_array().unwrap().clone();
        details
            .iter()
            .map(|issue| issue["path"][0].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let batch = "/v1/stealth/generate/batch";
    assert_eq!(
        paths(batch, r#"{"chain":"nope"}"#).await,
        ["chain", "count"]
    );
    assert_eq!(paths(batch, r#"{"label":5}"#).await, ["count", "label"]);
    assert_eq!(
        paths(batch, r#"{"chain":1,"count":0,"label":5}"#).await,
        ["chain", "count", "label"]
    );
    let shield = "/v1/transfer/shield";
    assert_eq!(
        paths(shield, r#"{"amount":1,"sender":"a"}"#).await,
        ["recipientMetaAddress", "amount"]
    );
}

#[tokio::test]
async fn a_batch_has_a_result_for_each_on_the_chain_it_used() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    for count in [1, 2, 100] {
        let body = json!({ "count": count, "chain": "near" }).to_string();
        let call = request("POST", "/v1/stealth/generate/batch", &key, "", &body);
        let (_, body) = send(&sipher, call).await.unwrap();
        let results = body["data"]["results"].as_array().unwrap();
        assert_eq!(
            (results.len(), &body["data"]["chain"]),
            (count, &json!("near"))
        );
        assert_eq!(results[count - 1]["index"], count - 1);
    }
}
