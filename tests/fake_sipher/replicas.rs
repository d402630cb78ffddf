//! Several processes behind one address, and what they share.

use std::time::Duration;

use serde_json::json;
use sipher_session::testing::{DeadReason, FakeSipher, SessionUse, Tier};

use crate::{
    create, on,
    production::{ask, boot, health},
    stealth, stealth_request,
};

const NEAR: &str = r#"{"chain":"near"}"#;

/// Two replicas. The second one started 10 s after the first.
async fn two(has_store: bool) -> (FakeSipher, String) {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    tokio::time::advance(Duration::from_secs(10)).await;
    sipher.set_common_store(has_store);
    sipher.replicas(2);
    (sipher, key)
}

fn why(sipher: &FakeSipher) -> Option<DeadReason> {
    match sipher.log().last().unwrap().session {
        SessionUse::Dead { why, .. } => Some(why),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn each_replica_has_a_boot_and_windows_of_its_own() {
    let (sipher, key) = two(true).await;
    let [first, second] = [health(&sipher).await, health(&sipher).await];
    assert_eq!(boot(&second), boot(&first) + 10_000);
    for left in ["99", "99", "98", "98"] {
        let (_, headers, _) = ask(&sipher, stealth_request(&key, "")).await;
        assert_eq!(headers["ratelimit-remaining"], left);
    }
    tokio::time::advance(Duration::from_secs(5)).await;
    sipher.restart_replica(1);
    let (_, headers, _) = ask(&sipher, stealth_request(&key, "")).await;
    assert_eq!(headers["ratelimit-remaining"], "97", "the other goes on");
    let (_, headers, _) = ask(&sipher, stealth_request(&key, "")).await;
    assert_eq!(headers["ratelimit-remaining"], "99");
    assert_eq!(boot(&health(&sipher).await), boot(&first));
    assert_eq!(boot(&health(&sipher).await), boot(&first) + 15_000);
}

#[tokio::test(start_paused = true)]
async fn without_a_common_store_each_replica_knows_its_own_sessions_only() {
    let (sipher, key) = two(false).await;
    let id = create(&sipher, &key, NEAR).await;
    assert_eq!(stealth(&sipher, &key, &id).await, "solana");
    assert_eq!(why(&sipher), Some(DeadReason::Elsewhere));
    assert_eq!(stealth(&sipher, &key, &id).await, "near");
    assert_eq!(on(&sipher, "GET", &key, &id, "").await, 404);
    assert!(sipher.is_live(&id), "somewhere");
    sipher.restart_replica(1);
    assert_eq!(stealth(&sipher, &key, &id).await, "near");
    sipher.restart_replica(0);
    assert!(!sipher.is_live(&id));
    stealth(&sipher, &key, &id).await;
    assert_eq!(why(&sipher), Some(DeadReason::Forgotten));
    assert_eq!(health(&sipher).await["redis"]["connected"], false);
}

#[tokio::test(start_paused = true)]
async fn without_a_common_store_each_replica_counts_alone() {
    let (sipher, key) = two(false).await;
    sipher.burn(&key, 1_998);
    let [a, _, c, _] = [
        create(&sipher, &key, NEAR).await,
        create(&sipher, &key, NEAR).await,
        create(&sipher, &key, NEAR).await,
        create(&sipher, &key, NEAR).await,
    ];
    for id in [&a, &c, &a] {
        assert_eq!(on(&sipher, "GET", &key, id, "").await, 429);
    }
    sipher.restart_replica(1);
    assert_eq!(on(&sipher, "GET", &key, &c, "").await, 404, "counts anew");
}

#[tokio::test(start_paused = true)]
async fn a_common_store_outlives_restarts_and_says_so() {
    let (sipher, key) = two(true).await;
    let id = create(&sipher, &key, NEAR).await;
    sipher.burn(&key, 1_998);
    sipher.restart();
    let redis = json!({ "enabled": true, "connected": true, "ping": true });
    for _ in 0..2 {
        assert_eq!(stealth(&sipher, &key, &id).await, "near");
        let health = health(&sipher).await;
        assert_eq!((&health["redis"], &health["uptime"]), (&redis, &json!(0)));
    }
    create(&sipher, &key, NEAR).await;
    assert_eq!(on(&sipher, "GET", &key, &id, "").await, 429, "counts too");
    sipher.set_common_store(false);
    sipher.restart();
    assert_eq!(sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_came_with_the_replicas_is_emptied_by_a_restart() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.replicas(2);
    let id = create(&sipher, &key, NEAR).await;
    sipher.restart_replica(0);
    assert_eq!(stealth(&sipher, &key, &id).await, "near", "by the store");
    assert_eq!(stealth(&sipher, &key, &id).await, "near");
    sipher.restart();
    assert_eq!(stealth(&sipher, &key, &id).await, "solana");
    assert_eq!(why(&sipher), Some(DeadReason::Forgotten));
}

#[tokio::test(start_paused = true)]
async fn calls_are_drawn_by_a_seed() {
    let sipher = FakeSipher::new();
    sipher.replicas(3);
    let drawn = async |seed| {
        sipher.clear_log();
        sipher.route_by_draw(seed);
        for _ in 0..30 {
            health(&sipher).await;
        }
        let log = sipher.log();
        log.iter().map(|call| call.replica).collect::<Vec<_>>()
    };
    let first = drawn(1).await;
    assert_eq!(drawn(1).await, first);
    assert_ne!(drawn(2).await, first);
    assert!([0, 1, 2].iter().all(|replica| first.contains(replica)));
    assert!(first.windows(2).any(|two| two[0] == two[1]), "not in turn");
    sipher.route_to(2);
    health(&sipher).await;
    assert_eq!(sipher.log().last().unwrap().replica, 2);
    sipher.round_robin();
    for turn in 0..3 {
        health(&sipher).await;
        assert_eq!(sipher.log().last().unwrap().replica, turn);
    }
}
