//! A request gets the session of the API key that it carries.

use sipher_session::{
    ErrorKind, SessionLayer,
    testing::{SessionUse, Tier},
};

use crate::{in_every_world, spec::Spec, world::World};

in_every_world!(
    the_configured_key_is_put_in_where_there_is_none,
    an_empty_key_counts_as_none_and_one_key_arrives,
    another_key_gets_a_session_of_its_own,
    a_bearer_token_is_a_key_like_the_header,
    the_key_header_beats_the_bearer_token,
    credentials_of_another_scheme_are_no_key,
    a_key_that_the_server_would_misread_is_refused_and_nothing_is_sent,
    without_any_key_nothing_is_sent
);

/// Returns the API key of the last call.
fn last_key(world: &World) -> Option<String> {
    world.uses().last()?.key.clone()
}

async fn the_configured_key_is_put_in_where_there_is_none(world: World) {
    let layer = world.layer();
    for _ in ["miss", "hit"] {
        assert_eq!(world.send(&layer, Spec::generate()).await.chain(), "near");
        assert_eq!(last_key(&world).as_deref(), Some("pro 1"));
    }
}

async fn an_empty_key_counts_as_none_and_one_key_arrives(world: World) {
    let layer = world.layer();
    for _ in ["miss", "hit"] {
        let spec = Spec::generate().header("x-api-key", "");
        assert_eq!(world.send(&layer, spec).await.chain(), "near");
        assert_eq!(last_key(&world).as_deref(), Some("pro 1"));
    }
    assert_eq!(world.creates(), 1);
}

async fn another_key_gets_a_session_of_its_own(world: World) {
    let layer = world.layer();
    let theirs = world.sipher.api_key(Tier::Pro);
    world.send(&layer, Spec::generate()).await;
    let ours = world.last_id();
    for _ in ["miss", "hit"] {
        let spec = Spec::generate().header("x-api-key", &*theirs);
        assert_eq!(world.send(&layer, spec).await.chain(), "near");
        assert_eq!(last_key(&world).as_deref(), Some("pro 2"));
        assert_ne!(world.last_id(), ours);
    }
    assert_eq!(world.creates(), 2);
    assert_eq!(world.sipher.live_sessions_of(&theirs), 1);
    // Each call had a session of the caller's own key.
    world.sipher.assert_every_call_had_a_session();
}

async fn a_bearer_token_is_a_key_like_the_header(world: World) {
    let layer = world.layer();
    let theirs = world.sipher.api_key(Tier::Pro);
    for (name, value) in [
        ("authorization", format!("Bearer {theirs}")),
        ("x-api-key", theirs.clone()),
    ] {
        let outcome = world.send(&layer, Spec::generate().header(name, value));
        assert_eq!(outcome.await.chain(), "near", "{name}");
        assert_eq!(last_key(&world).as_deref(), Some("pro 2"), "{name}");
    }
    assert_eq!(world.creates(), 1, "one key, however it is written");
}

async fn the_key_header_beats_the_bearer_token(world: World) {
    let layer = world.layer();
    let [second, third] = [Tier::Pro; 2].map(|tier| world.sipher.api_key(tier));
    for _ in ["miss", "hit"] {
        let spec = Spec::generate()
            .header("authorization", format!("Bearer {third}"))
            .header("x-api-key", &*second);
        assert_eq!(world.send(&layer, spec).await.chain(), "near");
        assert_eq!(last_key(&world).as_deref(), Some("pro 2"));
    }
    world.sipher.assert_every_call_had_a_session();
    assert_eq!(world.sipher.live_sessions_of(&third), 0);
}

async fn credentials_of_another_scheme_are_no_key(world: World) {
    let spec = Spec::generate().header("authorization", "Basic dXNlcjpwYXNz");
    assert_eq!(world.send(&world.layer(), spec).await.chain(), "near");
    assert_eq!(last_key(&world).as_deref(), Some("pro 1"));
}

async fn a_key_that_the_server_would_misread_is_refused_and_nothing_is_sent(world: World) {
    let layer = world.layer();
    let key = &*world.key;
    for spec in [
        Spec::generate().header("authorization", format!("bearer {key}")),
        Spec::generate().header("authorization", format!("BEARER {key}")),
        Spec::generate()
            .header("x-api-key", key)
            .header("x-api-key", key),
        Spec::generate()
            .header("authorization", format!("Bearer {key}"))
            .header("authorization", format!("Bearer {key}")),
        Spec::generate().header("x-api-key", "sk pro"),
        Spec::generate().header("x-api-key", "k".repeat(1025)),
    ] {
        assert_eq!(
            world.send(&layer, spec).await.kind(),
            ErrorKind::InvalidRequest
        );
    }
    assert!(world.sipher.log().is_empty());
}

async fn without_any_key_nothing_is_sent(world: World) {
    let layer = SessionLayer::new(world.keyless().build().unwrap());
    for spec in [
        Spec::generate(),
        Spec::generate().header("x-api-key", ""),
        Spec::generate().header("authorization", "Bearer "),
    ] {
        assert_eq!(world.send(&layer, spec).await.kind(), ErrorKind::NoApiKey);
    }
    assert!(world.sipher.log().is_empty());

    let spec = Spec::generate().header("x-api-key", &*world.key);
    assert_eq!(world.send(&layer, spec).await.chain(), "near");
    assert!(matches!(world.uses()[0].session, SessionUse::Live { .. }));
}
