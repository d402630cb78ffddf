//! What happens to requests that bring a session id of their own.

use sipher_session::{
    Chain, ErrorKind, ForeignIds, SessionDefaults, SessionLayer, SessionManager,
    api::CreateSession,
    testing::{DeadReason, SessionUse, Tier},
};

use crate::{in_every_world, spec::Spec, world::World};

in_every_world!(
    a_strangers_id_is_refused_by_name_of_the_setting_and_nothing_is_sent,
    a_strangers_id_is_replaced_where_that_was_asked_for,
    a_strangers_id_is_kept_where_that_was_asked_for,
    the_managers_own_id_stays,
    an_id_that_has_ended_is_replaced_by_the_present_one,
    an_id_whose_defaults_have_changed_is_refused_or_replaced_and_never_kept,
    the_id_of_another_layers_session_is_refused_replaced_or_kept,
    an_id_of_another_key_is_refused,
    an_id_from_the_sessions_api_is_kept_until_it_is_deleted,
    a_live_id_of_another_manager_of_the_process_is_kept_until_it_has_ended,
    headers_on_their_own_are_judged_as_requests_are
);

const STRANGERS: &str = "sess_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const ALL: [ForeignIds; 3] = [ForeignIds::Refuse, ForeignIds::Replace, ForeignIds::Keep];

fn with_id(id: impl Into<String>) -> Spec {
    Spec::generate().header("x-session-id", id)
}

fn manager(world: &World, policy: ForeignIds) -> SessionManager {
    let builder = world.keyless().api_key(&*world.key);
    builder.foreign_ids(policy).build().unwrap()
}

async fn current(sessions: &SessionManager) -> String {
    let session = sessions.session().await.unwrap();
    session.id().as_str().to_owned()
}

/// Asserts that the request is refused before it is sent.
#[track_caller]
fn assert_refused(outcome: &crate::outcome::Outcome) {
    let message = outcome.error().to_string();
    assert_eq!(outcome.kind(), ErrorKind::InvalidRequest, "{message}");
    assert!(message.contains("`foreign_ids`"), "{message}");
    assert!(!message.contains("sess_"), "{message}");
}

async fn a_strangers_id_is_refused_by_name_of_the_setting_and_nothing_is_sent(world: World) {
    let layer = world.layer(); // the default
    for _ in ["no session yet", "one at hand"] {
        assert_refused(&world.send(&layer, with_id(STRANGERS)).await);
        assert!(world.uses().is_empty());
        layer_session(&world, &layer).await;
        world.sipher.clear_log();
    }
}

/// Makes the layer create a session.
async fn layer_session(world: &World, layer: &SessionLayer) {
    assert_eq!(world.send(layer, Spec::generate()).await.chain(), "near");
}

async fn a_strangers_id_is_replaced_where_that_was_asked_for(world: World) {
    let sessions = manager(&world, ForeignIds::Replace);
    let layer = SessionLayer::new(sessions.clone());
    world.sipher.refuse_dead_ids(true);
    for _ in ["no session yet", "one at hand"] {
        assert_eq!(world.send(&layer, with_id(STRANGERS)).await.chain(), "near");
        assert_eq!(world.last_id(), current(&sessions).await);
    }
    assert_eq!(world.creates(), 1);
}

async fn a_strangers_id_is_kept_where_that_was_asked_for(world: World) {
    let layer = SessionLayer::new(manager(&world, ForeignIds::Keep));
    assert_eq!(world.send(&layer, with_id(STRANGERS)).await.status(), 200);
    let arrived = world.uses()[0].session.clone();
    let expected = SessionUse::Dead {
        id: STRANGERS.to_owned(),
        why: DeadReason::Unknown,
    };
    assert_eq!((arrived, world.creates()), (expected, 0));
}

async fn the_managers_own_id_stays(world: World) {
    for policy in ALL {
        let sessions = manager(&world, policy);
        let layer = SessionLayer::new(sessions.clone());
        let id = current(&sessions).await;
        assert_eq!(world.send(&layer, with_id(&*id)).await.chain(), "near");
        assert_eq!(world.last_id(), id);
    }
}

async fn an_id_that_has_ended_is_replaced_by_the_present_one(world: World) {
    world.sipher.refuse_dead_ids(true);
    for policy in ALL {
        let sessions = manager(&world, policy);
        let layer = SessionLayer::new(sessions.clone());
        let mut ids = vec![current(&sessions).await];
        for _ in 0..2 {
            let session = sessions.session().await.unwrap();
            assert!(sessions.invalidate(session.generation()));
            for id in &ids {
                assert_eq!(world.send(&layer, with_id(&**id)).await.chain(), "near");
            }
            assert!(!ids.contains(&world.last_id()));
            ids.push(world.last_id());
        }
    }
}

async fn an_id_whose_defaults_have_changed_is_refused_or_replaced_and_never_kept(world: World) {
    for policy in ALL {
        let sessions = manager(&world, policy);
        let layer = SessionLayer::new(sessions.clone());
        let id = current(&sessions).await;
        let sui = SessionDefaults::new().chain(Chain::Sui);
        sessions.replace_defaults(sui).await.unwrap();
        world.sipher.clear_log();
        let outcome = world.send(&layer, with_id(id)).await;
        if policy == ForeignIds::Replace {
            assert_eq!(outcome.chain(), "sui");
        } else {
            assert_refused(&outcome);
            assert!(world.uses().is_empty());
        }
    }
}

async fn the_id_of_another_layers_session_is_refused_replaced_or_kept(world: World) {
    for policy in ALL {
        let sessions = manager(&world, policy);
        let near = current(&sessions).await;
        let sui = SessionDefaults::new().chain(Chain::Sui);
        let layer = SessionLayer::new(sessions).defaults(sui);
        let outcome = world.send(&layer, with_id(near)).await;
        match policy {
            ForeignIds::Replace => assert_eq!(outcome.chain(), "sui"),
            ForeignIds::Keep => assert_eq!(outcome.chain(), "near"),
            _ => assert_refused(&outcome),
        }
    }
}

/// The server would ignore a session id of another key.
async fn an_id_of_another_key_is_refused(world: World) {
    let sessions = world.manager();
    let layer = SessionLayer::new(sessions.clone());
    let by_hand = CreateSession::new(SessionDefaults::new());
    let by_hand = sessions.api().create_session(&by_hand).await.unwrap();
    let other = world.sipher.api_key(Tier::Pro);
    let of_manager = current(&sessions).await;
    let elsewhere = current(&world.manager()).await;
    for id in [of_manager.as_str(), by_hand.id.as_str(), &elsewhere] {
        let spec = with_id(id).header("x-api-key", &*other);
        assert_refused(&world.send(&layer, spec).await);
    }
    assert!(world.uses().is_empty());
}

async fn an_id_from_the_sessions_api_is_kept_until_it_is_deleted(world: World) {
    let sessions = world.manager();
    let (api, layer) = (sessions.api(), SessionLayer::new(sessions.clone()));
    let sui = CreateSession::new(SessionDefaults::new().chain(Chain::Sui));
    let id = || async { api.create_session(&sui).await.unwrap().id };
    let (through_api, through_layer) = (id().await, id().await);
    for id in [&through_api, &through_layer] {
        assert_eq!(
            world.send(&layer, with_id(id.as_str())).await.chain(),
            "sui"
        );
    }
    api.delete_session(&through_api).await.unwrap();
    let path = format!("/v1/sessions/{}", through_layer.as_str());
    let deleted = world.send(&layer, Spec::call("DELETE", path)).await;
    assert_eq!(deleted.status(), 200);
    for id in [through_api, through_layer] {
        assert_refused(&world.send(&layer, with_id(id.as_str())).await);
    }
}

async fn a_live_id_of_another_manager_of_the_process_is_kept_until_it_has_ended(world: World) {
    let layer = world.layer();
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let other = world.keyless().api_key(&*world.key).defaults(sui);
    let other = other.build().unwrap();
    let id = current(&other).await;
    assert_eq!(world.send(&layer, with_id(&*id)).await.chain(), "sui");
    assert_eq!(world.last_id(), id);
    // Another server does not know the id.
    let elsewhere = world.keyless().api_key(&*world.key);
    let elsewhere = elsewhere.base_url(&world.other_origin).build().unwrap();
    let elsewhere = SessionLayer::new(elsewhere);
    assert_refused(&world.send(&elsewhere, with_id(&*id).elsewhere()).await);
    // An alias names the same server.
    let by_alias = world.keyless().api_key(&*world.key);
    let by_alias = by_alias
        .base_url(&world.other_origin)
        .alias(other.base_url());
    let by_alias = SessionLayer::new(by_alias.build().unwrap());
    assert_eq!(world.send(&by_alias, with_id(&*id)).await.chain(), "sui");
    assert!(other.invalidate(1));
    assert_refused(&world.send(&layer, with_id(&*id)).await);
}

async fn headers_on_their_own_are_judged_as_requests_are(world: World) {
    let sessions = world.manager();
    let mut headers = http::HeaderMap::new();
    headers.insert("x-session-id", STRANGERS.parse().unwrap());
    let error = sessions.apply(&mut headers).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    headers.clear();
    let first = sessions.apply(&mut headers).await.unwrap().unwrap();
    first.complete();
    sessions.invalidate(1);
    // The caller passes the same headers again.
    let second = sessions.apply(&mut headers).await.unwrap().unwrap();
    assert_eq!(second.session().generation(), 2);
    assert_eq!(headers["x-session-id"], *current(&sessions).await);
    second.complete();
}
