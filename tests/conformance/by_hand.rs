//! A request through the layer changes or deletes one of the manager's own sessions.

use std::time::Duration;

use sipher_session::{SessionLayer, SessionManager, testing::Operation};

use crate::{in_every_world, spec::Spec, world::World};

in_every_world!(
    a_session_that_is_deleted_through_the_layer_is_used_no_more,
    a_session_that_is_patched_through_the_layer_is_used_no_more,
    a_deleted_session_is_found_however_its_path_is_spelt,
    other_calls_about_sessions_end_none,
    a_delete_with_another_key_is_made_up_for_by_the_manager
);

/// Returns a manager, a layer that remembers a session, and the id of that session.
async fn in_use(world: &World) -> (SessionManager, SessionLayer, String) {
    let manager = world.manager();
    let layer = SessionLayer::new(manager.clone());
    for _ in 0..3 {
        world.send(&layer, Spec::generate()).await;
    }
    let id = world.last_id();
    (manager, layer, id)
}

async fn a_session_that_is_deleted_through_the_layer_is_used_no_more(world: World) {
    let (manager, layer, id) = in_use(&world).await;
    let delete = Spec::call("DELETE", format!("/v1/sessions/{id}"));
    assert_eq!(world.send(&layer, delete).await.status(), 200);
    assert_eq!(world.send(&layer, Spec::generate()).await.chain(), "near");
    assert_ne!(world.last_id(), id);
    world.sipher.assert_every_call_had_a_session();
    manager.shutdown(Duration::from_secs(5)).await;
    assert_eq!(world.sipher.count(Operation::Delete), 2, "each once");
}

async fn a_session_that_is_patched_through_the_layer_is_used_no_more(world: World) {
    let (manager, layer, id) = in_use(&world).await;
    let patch = Spec::call("PATCH", format!("/v1/sessions/{id}"));
    let patch = patch.body(r#"{"defaults":{"chain":"sui"}}"#);
    assert_eq!(world.send(&layer, patch).await.status(), 200);
    assert_eq!(world.send(&layer, Spec::generate()).await.chain(), "near");
    assert_ne!(world.last_id(), id);
    manager.shutdown(Duration::from_secs(60)).await;
    assert_eq!(world.sipher.live_sessions(), 0);
}

async fn a_deleted_session_is_found_however_its_path_is_spelt(world: World) {
    let (_manager, layer, mut id) = in_use(&world).await;
    let digits = |id: &str| id.trim_start_matches("sess_").to_owned();
    let spellings: [fn(&str) -> String; 8] = [
        |digits| format!("/V1/Sessions/sess_{digits}"),
        |digits| format!("/v1/sessions/sess_{digits}/"),
        |digits| format!("/v1/sessions/sess%5F{digits}"),
        |digits| format!("/v1/%73essions/sess_{digits}"),
        |digits| format!("/v1/s%65ssions/sess_{digits}"),
        |digits| format!("/v1/sessions/sess_{digits}?why=not"),
        |digits| format!("/v1//sessions/sess_{digits}"),
        |digits| format!("/v1/stealth/;a/sessions/sess_{digits}"),
    ];
    for spelling in spellings {
        let path = spelling(&digits(&id));
        world.send(&layer, Spec::call("DELETE", &*path)).await;
        for _ in 0..2 {
            world.send(&layer, Spec::generate()).await;
        }
        assert_ne!(world.last_id(), id, "{path}");
        id = world.last_id();
    }
    world.sipher.assert_no_dead_id();
}

async fn other_calls_about_sessions_end_none(world: World) {
    let (_manager, layer, id) = in_use(&world).await;
    let other = format!("sess_{}", "0".repeat(64));
    for spec in [
        Spec::get(format!("/v1/sessions/{id}")),
        Spec::call("DELETE", format!("/v1/sessions/{other}")),
        Spec::call("DELETE", "/v1/sessions"),
        Spec::call("DELETE", format!("/v1/sessions/{id}")).elsewhere(),
    ] {
        world.send(&layer, spec).await;
        world.send(&layer, Spec::generate()).await;
        assert_eq!(world.last_id(), id);
    }
}

async fn a_delete_with_another_key_is_made_up_for_by_the_manager(world: World) {
    let (manager, layer, id) = in_use(&world).await;
    let delete = Spec::call("DELETE", format!("/v1/sessions/{id}")).header("x-api-key", "another");
    assert!(world.send(&layer, delete).await.status() >= 400);
    world.send(&layer, Spec::generate()).await;
    assert_ne!(world.last_id(), id);
    let report = manager.shutdown(Duration::from_secs(60)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(world.sipher.live_sessions(), 0);
}
