//! API keys, sessions, replicas, limits and time.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use serde_json::json;
use sipher_session::testing::{FakeSipher, SessionUse, TestClock, Tier};
use tower::ServiceExt;

use crate::{create, create_request, on, request, send, stealth, stealth_request};

const NEAR: &str = r#"{"chain":"near"}"#;
const TO_SUI: &str = r#"{"defaults":{"chain":"sui"}}"#;

#[tokio::test]
async fn ids_are_unique_and_repeat_from_run_to_run() {
    let ids = async |seed| {
        let sipher = FakeSipher::seeded(seed);
        let key = sipher.api_key(Tier::Enterprise);
        [
            create(&sipher, &key, NEAR).await,
            create(&sipher, &key, NEAR).await,
        ]
    };
    let [first, second] = ids(1).await;
    assert_ne!(first, second);
    assert_eq!(ids(1).await, [first.clone(), second]);
    assert_ne!(ids(2).await[0], first);
}

#[tokio::test]
async fn a_revoked_key_is_refused_and_its_sessions_stay() {
    let sipher = FakeSipher::new();
    sipher.accept_key("mine", Tier::Pro);
    let id = create(&sipher, "mine", NEAR).await;
    sipher.revoke_key("mine");
    assert_eq!(
        send(&sipher, stealth_request("mine", &id)).await.unwrap().0,
        401
    );
    assert_eq!(sipher.live_sessions_of("mine"), 1);
    sipher.accept_key("mine", Tier::Pro);
    assert_eq!(stealth(&sipher, "mine", &id).await, "near");
}

#[tokio::test(start_paused = true)]
async fn sessions_live_by_the_servers_clock() {
    let clock = TestClock::new();
    let sipher = FakeSipher::with_clock(clock.clone());
    let key = sipher.api_key(Tier::Pro);
    let id = create(&sipher, &key, NEAR).await;
    clock.suspend(Duration::from_secs(3600));
    assert!(sipher.is_live(&id), "to the last millisecond");
    clock.suspend(Duration::from_millis(1));
    assert!(!sipher.is_live(&id));
    clock.set_back(Duration::from_secs(2));
    assert_eq!(stealth(&sipher, &key, &id).await, "near");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(on(&sipher, "GET", &key, &id, "").await, 404);
}

#[tokio::test]
async fn the_least_recently_used_session_makes_room() {
    let sipher = FakeSipher::new();
    let [key, other] = [(); 2].map(|()| sipher.api_key(Tier::Pro));
    sipher.set_capacity(2);
    let first = create(&sipher, &key, NEAR).await;
    let second = create(&sipher, &other, NEAR).await;
    stealth(&sipher, &key, &first).await;
    let third = create(&sipher, &other, NEAR).await;
    assert!(sipher.is_live(&first) && sipher.is_live(&third));
    assert!(!sipher.is_live(&second), "other customers count as well");
    sipher.set_capacity(1);
    assert_eq!(sipher.live_sessions(), 1);
}

#[tokio::test]
async fn ten_thousand_sessions_are_kept_by_default() {
    let sipher = FakeSipher::new();
    let keys: Vec<_> = (0..6).map(|_| sipher.api_key(Tier::Pro)).collect();
    let first = create(&sipher, &keys[0], NEAR).await;
    for count in 1..10_000 {
        create(&sipher, &keys[count % 6], "{}").await;
    }
    assert!(sipher.is_live(&first));
    create(&sipher, &keys[1], "{}").await;
    assert!(!sipher.is_live(&first));
    assert_eq!(sipher.live_sessions(), 10_000);
}

#[tokio::test]
async fn a_restart_forgets_sessions_but_not_keys() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let id = create(&sipher, &key, NEAR).await;
    assert_eq!(sipher.live_session_ids(), [id.as_str()]);
    sipher.restart();
    assert_eq!(sipher.live_sessions(), 0);
    assert!(sipher.live_session_ids().is_empty());
    assert_eq!(on(&sipher, "GET", &key, &id, "").await, 404);
    create(&sipher, &key, NEAR).await;
    assert_eq!(sipher.live_sessions_of(&key), 1);
}

#[tokio::test]
async fn a_session_is_known_at_every_replica() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.replicas(3);
    let id = create(&sipher, &key, NEAR).await;
    for _ in 0..3 {
        assert_eq!(stealth(&sipher, &key, &id).await, "near");
    }
    assert_eq!(sipher.live_sessions(), 1);
}

#[tokio::test]
async fn a_stale_replica_undoes_an_update() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.replicas(2);
    let id = create(&sipher, &key, NEAR).await;
    stealth(&sipher, &key, &id).await; // now both replicas have the session
    sipher.route_to(0);
    assert_eq!(on(&sipher, "PATCH", &key, &id, TO_SUI).await, 200);
    assert_eq!(sipher.defaults_of(&id), Some(json!({ "chain": "sui" })));
    sipher.route_to(1);
    assert_eq!(stealth(&sipher, &key, &id).await, "near");
    assert_eq!(sipher.defaults_of(&id), Some(json!({ "chain": "near" })));
    sipher.round_robin();
    let mut chains = [
        stealth(&sipher, &key, &id).await,
        stealth(&sipher, &key, &id).await,
    ];
    chains.sort();
    assert_eq!(chains, ["near", "sui"]);
}

#[tokio::test]
async fn a_stale_replica_revives_a_deleted_session_which_stays_dead_to_the_check() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.replicas(2);
    let id = create(&sipher, &key, NEAR).await;
    stealth(&sipher, &key, &id).await;
    sipher.route_to(0);
    assert_eq!(on(&sipher, "DELETE", &key, &id, "").await, 200);
    assert_eq!(on(&sipher, "GET", &key, &id, "").await, 404);
    sipher.route_to(1);
    assert_eq!(stealth(&sipher, &key, &id).await, "near");
    sipher.route_to(0);
    assert_eq!(
        stealth(&sipher, &key, &id).await,
        "near",
        "out of the store again"
    );
    let log = sipher.log();
    assert!(matches!(
        log.last().unwrap().session,
        SessionUse::Dead { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_request_on_its_way_to_a_replica_that_goes_is_served_by_another() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.replicas(2);
    let id = create(&sipher, &key, NEAR).await;
    sipher.route_to(1);
    sipher.set_latency(Duration::from_secs(1));
    let shrink = async {
        tokio::task::yield_now().await;
        sipher.replicas(1);
    };
    let (chain, ()) = tokio::join!(stealth(&sipher, &key, &id), shrink);
    assert_eq!(chain, "near");
}

#[tokio::test]
async fn a_request_id_is_given_back_or_made() {
    let sipher = FakeSipher::new();
    let mut call = request("GET", "/v1/health", "", "", "");
    let id = async |call: Request<Full<Bytes>>| {
        sipher.clone().oneshot(call).await.unwrap().headers()["x-request-id"].clone()
    };
    assert_eq!(id(call.clone()).await.len(), 36);
    call.headers_mut()
        .insert("x-request-id", HeaderValue::from_static("mine"));
    assert_eq!(id(call.clone()).await, "mine");
    call.headers_mut()
        .insert("x-request-id", HeaderValue::from_bytes(b"\xff").unwrap());
    assert_eq!(id(call).await.len(), 36);
    let logged: Vec<_> = sipher.log().into_iter().map(|e| e.request_id).collect();
    assert_eq!(logged[0], None, "only what the request bore");
    assert_eq!(logged[1].as_deref(), Some("mine"));
}

#[tokio::test]
async fn every_default_in_force_is_told() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let id = create(
        &sipher,
        &key,
        r#"{"chain":"near","privacyLevel":"maximum"}"#,
    )
    .await;
    let body = r#"{"chain":"base"}"#;
    let call = request("POST", "/v1/stealth/generate", &key, &id, body);
    let (_, body) = send(&sipher, call).await.unwrap();
    let applied = json!({ "chain": "base", "privacyLevel": "maximum" });
    assert_eq!(body["data"]["applied"], applied);
}

#[tokio::test(start_paused = true)]
async fn the_window_opens_again_after_a_minute() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.set_rate_limit(Some(1));
    let call = async || send(&sipher, stealth_request(&key, "")).await.unwrap().0;
    assert_eq!([call().await, call().await], [200, 429]);
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(call().await, 429);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(call().await, 200);
}

#[tokio::test(start_paused = true)]
async fn quotas_differ_by_tier_and_end_at_midnight() {
    let sipher = FakeSipher::new();
    let [pro, enterprise] = [Tier::Pro, Tier::Enterprise].map(|tier| sipher.api_key(tier));
    sipher.burn(&pro, 1_999);
    sipher.burn(&enterprise, 19_999);
    for key in [&pro, &enterprise] {
        let id = create(&sipher, key, NEAR).await;
        let (status, body) = send(&sipher, create_request(key, NEAR)).await.unwrap();
        assert_eq!(
            (status, &body["error"]["code"]),
            (429, &json!("DAILY_QUOTA_EXCEEDED"))
        );
        assert_eq!(on(&sipher, "DELETE", key, &id, "").await, 429);
        assert_eq!(stealth(&sipher, key, &id).await, "near");
    }
    // The fake's clock starts at 18:00.
    tokio::time::advance(Duration::from_secs(6 * 3600)).await;
    create(&sipher, &pro, NEAR).await;
}

#[tokio::test]
async fn past_the_total_every_metered_call_is_refused() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.burn(&key, 10_000);
    assert_eq!(
        send(&sipher, stealth_request(&key, "")).await.unwrap().0,
        429
    );
    let usage = request("GET", "/v1/billing/usage", &key, "", "");
    let (status, body) = send(&sipher, usage).await.unwrap();
    assert_eq!((status, &body["data"]["total"]), (200, &json!(10_000)));
}

#[tokio::test]
async fn failed_session_calls_are_not_counted() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.burn(&key, 1_999);
    assert_eq!(on(&sipher, "GET", &key, "xyz", "").await, 400);
    assert_eq!(
        on(
            &sipher,
            "DELETE",
            &key,
            &format!("sess_{}", "0".repeat(64)),
            ""
        )
        .await,
        404
    );
    create(&sipher, &key, NEAR).await;
}

#[tokio::test]
async fn a_key_that_is_accepted_again_has_its_new_tier() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Free);
    assert_eq!(
        send(&sipher, create_request(&key, NEAR)).await.unwrap().0,
        403
    );
    sipher.accept_key(&key, Tier::Pro);
    assert_eq!(
        send(&sipher, create_request(&key, NEAR)).await.unwrap().0,
        201
    );
}
