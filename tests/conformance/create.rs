//! Without a live session, a request is not sent.

use std::{sync::Arc, time::Duration};

use sipher_session::{
    Error, ErrorKind, SessionLayer,
    testing::{Fault, Target, Tier, What},
};
use tokio::task::JoinSet;

use crate::{in_every_world, spec::Spec, world::World};

in_every_world!(
    a_hundred_first_requests_share_one_create,
    a_hundred_first_requests_share_one_failure,
    a_free_tier_key_has_no_session_and_nothing_is_sent,
    a_wrong_key_has_no_session_and_nothing_is_sent,
    a_session_of_other_defaults_than_asked_for_is_not_used,
    after_the_shutdown_nothing_is_sent_that_needs_a_session
);

const CALLERS: usize = 100;

async fn all_at_once(world: &Arc<World>, layer: &SessionLayer) -> Vec<Result<String, Error>> {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (world, layer) = (world.clone(), layer.clone());
        callers.spawn(async move { world.send(&layer, Spec::generate()).await.into_chain() });
    }
    callers.join_all().await
}

async fn a_hundred_first_requests_share_one_create(world: World) {
    let world = Arc::new(world);
    let outcomes = all_at_once(&world, &world.layer()).await;
    for chain in outcomes {
        assert_eq!(chain.unwrap(), "near");
    }
    assert_eq!(world.creates(), 1);
    assert_eq!(world.uses().len(), CALLERS);
    world.sipher.assert_every_call_had_a_session();
}

async fn a_hundred_first_requests_share_one_failure(world: World) {
    world
        .sipher
        .fault(Fault::new(What::Status(400)).on(Target::Create));
    let world = Arc::new(world);
    let outcomes = all_at_once(&world, &world.layer()).await;
    let rejected = |outcome: &Result<String, Error>| {
        outcome
            .as_ref()
            .is_err_and(|e| e.kind() == ErrorKind::Rejected)
    };
    assert!(outcomes.iter().all(rejected));
    assert_eq!(world.creates(), 1);
    assert!(world.uses().is_empty());
}

/// Asserts that the server refuses `key` with this code, both as the configured key and as a request's own key. Each
/// refusal costs one call.
async fn assert_refused(world: &World, key: &str, code: &str, status: u16) {
    let configured = SessionLayer::new(world.keyless().api_key(key).build().unwrap());
    let on_request = Spec::generate().header("x-api-key", key);
    for (layer, spec) in [
        (&configured, Spec::generate()),
        (&configured, Spec::generate()),
        (&world.layer(), on_request),
    ] {
        let outcome = world.send(layer, spec).await;
        assert_eq!(outcome.kind(), ErrorKind::Credentials);
        assert_eq!(outcome.error().code(), Some(code));
        assert_eq!(outcome.error().status().unwrap(), status);
        assert!(!outcome.error().is_transient());
    }
    assert!(world.uses().is_empty(), "{:?}", world.uses());
    assert_eq!(world.creates(), 2);
}

async fn a_free_tier_key_has_no_session_and_nothing_is_sent(world: World) {
    let free = world.sipher.api_key(Tier::Free);
    assert_refused(&world, &free, "TIER_ACCESS_DENIED", 403).await;
}

async fn a_wrong_key_has_no_session_and_nothing_is_sent(world: World) {
    assert_refused(&world, "sk_pro_wrong", "INVALID_API_KEY", 401).await;
}

async fn a_session_of_other_defaults_than_asked_for_is_not_used(world: World) {
    let lossy = What::DropDefault("chain".to_owned());
    world.sipher.fault(Fault::new(lossy));
    let outcome = world.send(&world.layer(), Spec::generate()).await;
    assert_eq!(outcome.kind(), ErrorKind::WrongAnswer);
    assert!(world.uses().is_empty());
}

async fn after_the_shutdown_nothing_is_sent_that_needs_a_session(world: World) {
    let manager = world.manager();
    let layer = SessionLayer::new(manager.clone());
    world.send(&layer, Spec::generate()).await;
    let report = manager.shutdown(Duration::from_secs(5)).await;
    assert_eq!(report.deleted, 1);
    assert_eq!(world.sipher.live_sessions(), 0);

    world.sipher.clear_log();
    let theirs = world.sipher.api_key(Tier::Pro);
    for spec in [
        Spec::generate(),
        Spec::generate().header("x-api-key", theirs),
        Spec::get("/v1/backends"),
    ] {
        assert_eq!(world.send(&layer, spec).await.kind(), ErrorKind::Shutdown);
    }
    // Requests that need no session still go out.
    let elsewhere = world.send(&layer, Spec::generate().elsewhere()).await;
    assert_eq!(elsewhere.status(), 401);
    world.settle(&layer).await;
    assert_eq!(world.sipher.session_calls(), 0);
    let paths: Vec<_> = world.uses().into_iter().map(|used| used.path).collect();
    assert_eq!(paths, ["/v1/health"]);
}
