//! Every value of every default survives a round trip to the server.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use sipher_session::{
    Backend, BoxError, Chain, PrivacyLevel, RpcProvider, SessionDefaults, SessionsApi,
    api::{CreateSession, Transport},
    testing::{FakeSipher, Fault, What},
};
use tower::service_fn;

use crate::{World, over_every_transport};

over_every_transport!(
    every_value_is_stored_and_read_back_as_itself,
    all_defaults_together_are_stored_and_read_back,
    what_a_newer_server_knows_is_kept
);

#[rustfmt::skip]
const CHAINS: [(Chain, &str); 17] = [
    (Chain::Solana, "solana"), (Chain::Ethereum, "ethereum"), (Chain::Polygon, "polygon"),
    (Chain::Arbitrum, "arbitrum"), (Chain::Optimism, "optimism"), (Chain::Base, "base"), (Chain::Near, "near"),
    (Chain::Aptos, "aptos"), (Chain::Sui, "sui"), (Chain::Cosmos, "cosmos"), (Chain::Osmosis, "osmosis"),
    (Chain::Injective, "injective"), (Chain::Celestia, "celestia"), (Chain::Sei, "sei"), (Chain::Dydx, "dydx"),
    (Chain::Bitcoin, "bitcoin"), (Chain::Zcash, "zcash"),
];

/// Each default alone, as this crate writes it and as the server writes it.
fn every_value() -> Vec<(SessionDefaults, Value)> {
    let new = SessionDefaults::new;
    let mut values: Vec<_> = CHAINS
        .map(|(chain, text)| (new().chain(chain), json!({ "chain": text })))
        .into();
    for (level, text) in [
        (PrivacyLevel::Standard, "standard"),
        (PrivacyLevel::Shielded, "shielded"),
        (PrivacyLevel::Maximum, "maximum"),
    ] {
        values.push((new().privacy_level(level), json!({ "privacyLevel": text })));
    }
    for (provider, text) in [
        (RpcProvider::Helius, "helius"),
        (RpcProvider::Quicknode, "quicknode"),
        (RpcProvider::Triton, "triton"),
        (RpcProvider::Generic, "generic"),
    ] {
        values.push((new().rpc_provider(provider), json!({ "rpcProvider": text })));
    }
    let backend = new().backend(Backend::SipNative);
    values.push((backend, json!({ "backend": "sip-native" })));
    for key in ["0xabcd1234", "0xABCD"] {
        let viewing = new().default_viewing_key(key);
        values.push((viewing, json!({ "defaultViewingKey": key })));
    }
    values
}

async fn every_value_is_stored_and_read_back_as_itself(world: World) {
    let values = every_value();
    assert_eq!(values.len(), 17 + 3 + 4 + 1 + 2);
    let blank = world.create(SessionDefaults::new()).await.id;
    for (defaults, stored) in values {
        let created = world.create(defaults.clone()).await;
        assert_eq!(created.defaults, defaults);
        let there = world.sipher.defaults_of(created.id.as_str());
        assert_eq!(there.as_ref(), Some(&stored));
        let fetched = world.api.get_session(&created.id).await.unwrap();
        assert_eq!(fetched.defaults, defaults);

        let updated = world.api.update_session(&blank, &defaults).await.unwrap();
        assert_eq!(
            updated.defaults.clone().merged_with(&defaults),
            updated.defaults
        );
    }
}

async fn all_defaults_together_are_stored_and_read_back(world: World) {
    let defaults = SessionDefaults::new()
        .chain(Chain::Zcash)
        .privacy_level(PrivacyLevel::Maximum)
        .rpc_provider(RpcProvider::Triton)
        .backend(Backend::SipNative)
        .default_viewing_key("0xfeedbeef");
    let created = world.create(defaults.clone()).await;
    assert_eq!(created.defaults, defaults);
    let stored = json!({
        "chain": "zcash", "privacyLevel": "maximum", "rpcProvider": "triton",
        "backend": "sip-native", "defaultViewingKey": "0xfeedbeef",
    });
    assert_eq!(world.sipher.defaults_of(created.id.as_str()), Some(stored));
    let shown = format!("{created:?}");
    assert!(!shown.contains("feedbeef") && !shown.contains(&created.id.as_str()[5..]));
}

async fn what_a_newer_server_knows_is_kept(world: World) {
    let newer = json!({ "success": true, "more": 1, "data": {
        "sessionId": format!("sess_{}", "0a".repeat(32)), "createdAt": 1, "expiresAt": u64::MAX, "tags": [],
        "defaults": { "chain": "dogecoin", "backend": "new", "colour": { "deep": ["red"] } },
    }});
    world.sipher.fault(Fault::new(What::Answer {
        status: 201,
        headers: Vec::new(),
        body: newer.to_string(),
    }));
    let created = world.create(SessionDefaults::new()).await;
    assert_eq!(created.defaults.chain, Some(Chain::from("dogecoin")));
    assert_eq!(created.defaults.backend.as_ref().unwrap().as_str(), "new");
    assert_eq!(created.defaults.other["colour"], json!({ "deep": ["red"] }));
    assert_eq!(created.expires_at, u64::MAX);
    let again = serde_json::to_value(&created.defaults).unwrap();
    assert_eq!(again, newer["data"]["defaults"]);
}

/// The fake drops unknown defaults, as the server does. So this test examines the request.
#[tokio::test(start_paused = true)]
async fn what_only_a_newer_server_knows_is_sent_as_it_is() {
    let sent = Arc::new(Mutex::new(Value::Null));
    let seen = sent.clone();
    let service = service_fn(move |call: Request<Full<Bytes>>| {
        let seen = seen.clone();
        async move {
            let body = call.into_body().collect().await?.to_bytes();
            *seen.lock().unwrap() = serde_json::from_slice(&body)?;
            Ok::<_, BoxError>(Response::new(Full::new(Bytes::new())))
        }
    });
    let api = SessionsApi::new(Transport::new(service), FakeSipher::base_url(), "key").unwrap();
    let defaults = SessionDefaults::new()
        .chain(Chain::from("dogecoin"))
        .other("colour", json!(["red"]));
    let _ = api.create_session(&CreateSession::new(defaults)).await;
    let expected = json!({ "defaults": { "chain": "dogecoin", "colour": ["red"] } });
    assert_eq!(*sent.lock().unwrap(), expected);
}
