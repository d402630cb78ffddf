//! Which requests the layer changes at all.

use sipher_session::{
    SessionLayer,
    testing::{DeadReason, Exchange, Operation, SessionUse},
};

use crate::{in_every_world, spec::Spec, world::World};

in_every_world!(
    public_paths_pass_untouched_and_create_nothing,
    session_calls_get_the_key_and_no_session,
    another_origin_gets_neither_session_nor_key,
    what_another_origin_is_sent_is_not_judged
);

#[track_caller]
fn assert_bare(exchange: &Exchange) {
    assert_eq!(exchange.key, None, "{exchange}");
    assert_eq!(exchange.session, SessionUse::None, "{exchange}");
}

async fn public_paths_pass_untouched_and_create_nothing(world: World) {
    let (layer, keyless) = (world.layer(), world.keyless().build().unwrap());
    for path in ["/v1/health", "/docs", "/docs/swagger-ui.css", "/"] {
        for layer in [&layer, &SessionLayer::new(keyless.clone())] {
            let outcome = world.send(layer, Spec::get(path)).await;
            assert_eq!(outcome.status(), 200, "{path}");
        }
    }
    // A malformed `Authorization` header is refused on other paths. On a public path, the layer ignores it.
    let odd = Spec::get("/v1/ready").header("authorization", "bearer x");
    assert_eq!(world.send(&layer, odd).await.status(), 200);
    let log = world.sipher.log();
    assert_eq!(log.len(), 9);
    log.iter().take(8).for_each(assert_bare);

    // This also holds once there is a session.
    world.send(&layer, Spec::generate()).await;
    world.send(&layer, Spec::get("/v1/health")).await;
    assert_bare(world.sipher.log().last().unwrap());
}

async fn session_calls_get_the_key_and_no_session(world: World) {
    let layer = world.layer();
    world.send(&layer, Spec::generate()).await;
    let id = world.last_id();
    let create = Spec::generate()
        .path("/v1/sessions")
        .body(r#"{"defaults":{}}"#);
    assert_eq!(world.send(&layer, create).await.status(), 201);
    let get = Spec::get(format!("/v1/sessions/{id}"));
    assert_eq!(world.send(&layer, get).await.status(), 200);

    let log = world.sipher.log();
    let by_the_client = &log[log.len() - 2..];
    assert_eq!(by_the_client[0].operation, Operation::Create);
    assert_eq!(by_the_client[1].operation, Operation::Get);
    for exchange in by_the_client {
        assert_eq!(exchange.key.as_deref(), Some("pro 1"));
        assert_eq!(exchange.session, SessionUse::None);
    }
}

async fn another_origin_gets_neither_session_nor_key(world: World) {
    let layer = world.layer();
    for _ in ["no session yet", "one at hand"] {
        let outcome = world.send(&layer, Spec::generate().elsewhere()).await;
        assert_eq!(outcome.status(), 401, "it got no key");
        let call = Spec::generate().path("/v1/sessions").elsewhere();
        assert_eq!(world.send(&layer, call).await.status(), 401);
        world.send(&layer, Spec::generate()).await;
    }
    let log = world.other.log();
    assert_eq!(log.len(), 4);
    log.iter().for_each(assert_bare);
    assert_eq!(world.creates(), 1);
}

async fn what_another_origin_is_sent_is_not_judged(world: World) {
    let spec = Spec::generate()
        .elsewhere()
        .header("authorization", "bearer x")
        .header("x-api-key", &*world.key)
        .header("x-session-id", "theirs")
        .header("x-session-id", "theirs");
    assert_eq!(world.send(&world.layer(), spec).await.status(), 200);
    let exchange = &world.other.log()[0];
    assert_eq!(exchange.key.as_deref(), Some("pro 1"));
    let SessionUse::Dead { id, why } = &exchange.session else {
        panic!("expected both ids to arrive: {exchange}");
    };
    assert_eq!((id.as_str(), *why), ("theirs", DeadReason::Doubled));
    assert!(world.sipher.log().is_empty());
}
