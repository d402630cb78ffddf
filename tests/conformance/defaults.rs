//! Which defaults apply to a request.

use serde_json::json;
use sipher_session::{Chain, PrivacyLevel, SessionDefaults, SessionLayer, testing::SessionUse};

use crate::{in_every_world, spec::Spec, world::World};

in_every_world!(
    the_sessions_chain_is_used_where_the_request_is_silent,
    what_a_request_says_itself_wins,
    a_layer_with_defaults_of_its_own_uses_those_and_no_others,
    layers_of_equal_defaults_share_a_session;
    extensions: a_request_with_defaults_of_its_own_gets_exactly_those,
    a_request_without_a_session_still_gets_the_key
);

fn sui() -> SessionDefaults {
    SessionDefaults::new().chain(Chain::Sui)
}

async fn the_sessions_chain_is_used_where_the_request_is_silent(world: World) {
    let layer = world.layer();
    for first_or_later in ["first", "second", "third"] {
        let outcome = world.send(&layer, Spec::generate()).await;
        assert_eq!(outcome.chain(), "near", "{first_or_later}");
    }
    assert_eq!(world.creates(), 1);
    world.sipher.assert_every_call_had_a_session();
}

async fn what_a_request_says_itself_wins(world: World) {
    let layer = world.layer();
    let speaks = || Spec::generate().body(r#"{"chain":"aptos"}"#);
    assert_eq!(world.send(&layer, speaks()).await.chain(), "aptos");
    assert_eq!(world.send(&layer, speaks()).await.chain(), "aptos");
    world.sipher.assert_every_call_had_a_session();
}

async fn a_layer_with_defaults_of_its_own_uses_those_and_no_others(world: World) {
    let manager = world
        .keyless()
        .api_key(&*world.key)
        .defaults(sui().privacy_level(PrivacyLevel::Maximum))
        .build()
        .unwrap();
    let plain = SessionLayer::new(manager);
    let aptos = plain
        .clone()
        .defaults(SessionDefaults::new().chain(Chain::Aptos));
    for _ in ["miss", "hit"] {
        assert_eq!(world.send(&aptos, Spec::generate()).await.chain(), "aptos");
        assert_eq!(stored(&world), json!({"chain": "aptos"}));
        assert_eq!(world.send(&plain, Spec::generate()).await.chain(), "sui");
    }
    assert_eq!(world.creates(), 2);
}

async fn layers_of_equal_defaults_share_a_session(world: World) {
    let manager = world.manager();
    for layer in [
        SessionLayer::new(manager.clone()).defaults(sui()),
        SessionLayer::new(manager).defaults(sui()),
    ] {
        assert_eq!(world.send(&layer, Spec::generate()).await.chain(), "sui");
    }
    assert_eq!(world.creates(), 1);
}

async fn a_request_with_defaults_of_its_own_gets_exactly_those(world: World) {
    let plain = world.layer();
    let aptos = plain
        .clone()
        .defaults(SessionDefaults::new().chain(Chain::Aptos));
    // The layers already have sessions of their own. The request must not get one of those.
    assert_eq!(world.send(&plain, Spec::generate()).await.chain(), "near");
    assert_eq!(world.send(&aptos, Spec::generate()).await.chain(), "aptos");
    for layer in [&plain, &aptos, &plain] {
        let own = Spec::generate().defaults(sui());
        assert_eq!(world.send(layer, own).await.chain(), "sui");
        let private = SessionDefaults::new().privacy_level(PrivacyLevel::Shielded);
        let own = Spec::generate().defaults(private);
        // Nothing of the layer's chain remains.
        assert_eq!(world.send(layer, own).await.chain(), "solana");
        assert_eq!(stored(&world), json!({"privacyLevel": "shielded"}));
    }
    assert_eq!(world.creates(), 4);
}

async fn a_request_without_a_session_still_gets_the_key(world: World) {
    let layer = world.layer();
    let bare = || Spec::generate().no_session();
    assert_eq!(world.send(&layer, bare()).await.chain(), "solana");
    assert_eq!(world.creates(), 0);
    world.send(&layer, Spec::generate()).await;
    // The request gets no session, even if the manager has one.
    assert_eq!(world.send(&layer, bare()).await.chain(), "solana");
    for exchange in [&world.uses()[0], &world.uses()[2]] {
        assert_eq!(exchange.session, SessionUse::None);
        assert_eq!(exchange.key.as_deref(), Some("pro 1"));
    }
}

/// Returns the defaults that the server had stored for the last call's session.
fn stored(world: &World) -> serde_json::Value {
    match world.uses().last().map(|last| last.session.clone()) {
        Some(SessionUse::Live { defaults, .. }) => defaults,
        other => panic!("expected a live session, got {other:?}"),
    }
}
