//! Create, get, update and delete: what the request asks for, what the answer says, and what the server then stores.

use std::time::Duration;

use serde_json::json;
use sipher_session::{
    Chain, ErrorKind, PrivacyLevel, SessionDefaults,
    api::CreateSession,
    testing::{
        Operation::{Create, Delete, Get, Update},
        Tier,
    },
};

use crate::{World, over_every_transport};

over_every_transport!(
    a_session_is_created_fetched_changed_and_deleted,
    a_session_is_created_with_the_servers_own_life_unless_told_otherwise,
    times_are_milliseconds_beyond_32_bits,
    a_session_is_its_keys_own
);

fn near() -> SessionDefaults {
    SessionDefaults::new().chain(Chain::Near)
}

async fn a_session_is_created_fetched_changed_and_deleted(world: World) {
    let api = &world.api;
    let request = CreateSession::new(near()).ttl(Duration::from_secs(600));
    let created = api.create_session(&request).await.unwrap();
    let id = created.id.clone();
    assert_eq!(created.defaults, near());
    assert_eq!(created.expires_at - created.created_at.unwrap(), 600_000);
    assert_eq!(created.last_accessed_at, None);
    let stored = || world.sipher.defaults_of(id.as_str());
    assert_eq!(stored(), Some(json!({"chain": "near"})));

    let fetched = api.get_session(&id).await.unwrap();
    assert_eq!(fetched.id, id);
    assert_eq!(fetched.defaults, near());
    assert_eq!(fetched.created_at, created.created_at);
    assert_eq!(fetched.expires_at, created.expires_at);
    assert!(fetched.last_accessed_at.is_some());

    let patch = SessionDefaults::new().privacy_level(PrivacyLevel::Maximum);
    let updated = api.update_session(&id, &patch).await.unwrap();
    assert_eq!(updated.id, id);
    assert_eq!(updated.defaults, near().merged_with(&patch));
    assert_eq!(updated.created_at, None);
    assert_eq!(updated.expires_at, created.expires_at);
    let both = json!({"chain": "near", "privacyLevel": "maximum"});
    assert_eq!(stored(), Some(both));

    api.delete_session(&id).await.unwrap();
    assert_eq!(stored(), None);
    for gone in [
        api.get_session(&id).await.unwrap_err(),
        api.update_session(&id, &patch).await.unwrap_err(),
        api.delete_session(&id).await.unwrap_err(),
    ] {
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    }
    let calls: Vec<_> = world.sipher.log().iter().map(|e| e.operation).collect();
    assert_eq!(calls, [Create, Get, Update, Delete, Get, Update, Delete]);
}

async fn a_session_is_created_with_the_servers_own_life_unless_told_otherwise(world: World) {
    let created = world.create(SessionDefaults::new()).await;
    assert_eq!(created.expires_at - created.created_at.unwrap(), 3_600_000);
    assert!(created.defaults.is_empty());
    for seconds in [60, 86_400] {
        let request = CreateSession::new(near()).ttl(Duration::from_secs(seconds));
        let created = world.api.create_session(&request).await.unwrap();
        let life = created.expires_at - created.created_at.unwrap();
        assert_eq!(life, seconds * 1000);
    }
}

async fn times_are_milliseconds_beyond_32_bits(world: World) {
    let id = world.create(near()).await.id;
    let fetched = world.api.get_session(&id).await.unwrap();
    for time in [
        fetched.created_at.unwrap(),
        fetched.expires_at,
        fetched.last_accessed_at.unwrap(),
    ] {
        // The time is in November 2026. 32 bits of milliseconds end in February 1970.
        assert!((1_795_000_000_000..1_796_000_000_000).contains(&time));
    }
}

async fn a_session_is_its_keys_own(world: World) {
    let id = world.create(near()).await.id;
    let other = world.sipher.api_key(Tier::Pro);
    let other = world.with_key(&other);
    let patch = SessionDefaults::new().chain(Chain::Sui);
    for refused in [
        other.get_session(&id).await.map(drop),
        other.update_session(&id, &patch).await.map(drop),
        other.delete_session(&id).await,
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(world.api.get_session(&id).await.unwrap().defaults, near());
}
