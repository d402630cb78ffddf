//! Requests may carry session ids from `sessions.api()` for as long as the session is known to be alive.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use sipher_session::{
    Chain, ErrorKind, Event, SessionDefaults, SessionId, SessionManager,
    api::CreateSession,
    testing::{FakeSipher, Fault, Target, Tier, What},
};
use tower::ServiceExt;

use crate::support::{Call, SECOND, Setup, generate, ours, pass};

async fn by_hand(manager: &SessionManager) -> SessionId {
    let defaults = SessionDefaults::new().chain(Chain::Base);
    let create = CreateSession::new(defaults);
    manager.api().create_session(&create).await.unwrap().id
}

fn bearing(id: &SessionId) -> Call {
    let mut request = generate();
    let id = id.as_str().parse().unwrap();
    request.headers_mut().insert("x-session-id", id);
    request
}

fn delete(id: &SessionId) -> Call {
    let uri = format!("{}/v1/sessions/{}", FakeSipher::base_url(), id.as_str());
    Request::delete(uri).body(Full::<Bytes>::default()).unwrap()
}

async fn is_sent(setup: &Setup, manager: &SessionManager, id: &SessionId) -> bool {
    let answer = setup.service(manager).oneshot(bearing(id)).await;
    let Err(error) = answer else { return true };
    assert_eq!(ours(&error).kind(), ErrorKind::InvalidRequest, "{error}");
    false
}

#[tokio::test(start_paused = true)]
async fn an_id_is_not_sent_from_before_its_delete_on() {
    let setup = Setup::apart();
    let manager = setup.manager();
    let id = by_hand(&manager).await;
    assert!(is_sent(&setup, &manager, &id).await);
    let slow = Fault::new(What::DelayAnswer(5 * SECOND)).on(Target::Delete);
    setup.sipher.fault(slow);
    let api = manager.api();
    let meanwhile = async {
        pass(1.0).await;
        assert!(!is_sent(&setup, &manager, &id).await);
    };
    let (deleted, ()) = tokio::join!(api.delete_session(&id), meanwhile);
    deleted.unwrap();
    assert!(!is_sent(&setup, &manager, &id).await);
}

#[tokio::test(start_paused = true)]
async fn an_id_whose_delete_was_not_answered_is_not_sent_until_it_is_found_again() {
    for by_layer in [false, true] {
        for what in [
            What::LoseAnswer,
            What::HangAnswer,
            What::HalfBody,
            What::Html(502),
        ] {
            let setup = Setup::apart();
            let manager = setup.manager();
            let id = by_hand(&manager).await;
            let fault = Fault::new(what.clone()).on(Target::Delete);
            setup.sipher.fault(fault);
            let end = async {
                if by_layer {
                    let answer = setup.service(&manager).oneshot(delete(&id)).await;
                    if let Ok(answer) = answer {
                        let _ = answer.into_body().collect().await;
                    }
                } else {
                    manager.api().delete_session(&id).await.unwrap_err();
                }
            };
            let _ = tokio::time::timeout(2 * SECOND, end).await;
            let case = format!("{what:?}, by the layer: {by_layer}");
            assert!(!is_sent(&setup, &manager, &id).await, "{case}");
            pass(0.1).await;
            let is_there = setup.sipher.is_live(id.as_str());
            let found = manager.api().get_session(&id).await.is_ok();
            assert_eq!(found, is_there, "{case}");
            assert_eq!(is_sent(&setup, &manager, &id).await, is_there, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_whose_delete_the_server_has_refused_is_sent_again() {
    for by_layer in [false, true] {
        let setup = Setup::apart();
        let manager = setup.manager();
        let id = by_hand(&manager).await;
        setup
            .sipher
            .fault(Fault::new(What::Status(429)).on(Target::Delete));
        if by_layer {
            let answer = setup.service(&manager).oneshot(delete(&id)).await.unwrap();
            assert_eq!(answer.status(), 429);
        } else {
            manager.api().delete_session(&id).await.unwrap_err();
        }
        assert!(
            is_sent(&setup, &manager, &id).await,
            "by the layer: {by_layer}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_of_before_a_delete_does_not_bring_an_id_back() {
    let setup = Setup::apart();
    let manager = setup.manager();
    let id = by_hand(&manager).await;
    let slow = Fault::new(What::DelayAnswer(5 * SECOND)).on(Target::Get);
    setup.sipher.fault(slow);
    let api = manager.api();
    let delete = async {
        pass(1.0).await;
        manager.api().delete_session(&id).await.unwrap();
    };
    let (got, ()) = tokio::join!(api.get_session(&id), delete);
    got.unwrap();
    assert!(!is_sent(&setup, &manager, &id).await);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_the_server_does_not_know_any_more_is_not_sent() {
    for call in ["get", "update", "delete"] {
        let setup = Setup::apart();
        let manager = setup.manager();
        let id = by_hand(&manager).await;
        setup.sipher.evict(id.as_str());
        let (api, near) = (manager.api(), SessionDefaults::new().chain(Chain::Near));
        let answer = match call {
            "get" => api.get_session(&id).await.map(drop),
            "update" => api.update_session(&id, &near).await.map(drop),
            _ => api.delete_session(&id).await,
        };
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!is_sent(&setup, &manager, &id).await, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_a_restart_out_ends_the_ids_of_before_it() {
    for is_silent in [false, true] {
        let setup = Setup::apart();
        if is_silent {
            setup.silence_health();
        }
        let manager = setup.manager();
        setup.call(&manager).await.unwrap();
        pass(5.0).await;
        let id = by_hand(&manager).await;
        pass(30.0).await;
        setup.sipher.restart();
        let mut events = manager.events();
        for _ in 0..4 {
            pass(5.0).await;
            let _ = setup.call(&manager).await;
        }
        let mut events = std::iter::from_fn(|| events.try_recv());
        assert!(events.any(|event| matches!(event, Event::Lost { .. })));
        assert!(!is_sent(&setup, &manager, &id).await, "silent: {is_silent}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_manager_of_a_process_deletes_no_other_sends() {
    for by_layer in [false, true] {
        let setup = Setup::apart();
        let [one, other] = [1, 2].map(|seed| setup.builder().seed(seed).build().unwrap());
        let id = by_hand(&one).await;
        setup.call(&one).await.unwrap();
        let own = SessionId::parse(&setup.last_id().unwrap()).unwrap();
        for id in [&id, &own] {
            if by_layer {
                setup.service(&other).oneshot(delete(id)).await.unwrap();
            } else {
                other.api().delete_session(id).await.unwrap();
            }
        }
        for manager in [&one, &other] {
            assert!(!is_sent(&setup, manager, &id).await, "by layer: {by_layer}");
        }
        setup.call(&one).await.unwrap();
        assert_ne!(setup.last_id().as_deref(), Some(own.as_str()));
        assert_eq!(setup.last_chain().as_deref(), Some("near"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_managers_session_that_another_has_fetched_ends_for_both() {
    let setup = Setup::apart();
    let [one, other] = [1, 2].map(|seed| setup.builder().seed(seed).build().unwrap());
    setup.call(&one).await.unwrap();
    let own = SessionId::parse(&setup.last_id().unwrap()).unwrap();
    other.api().get_session(&own).await.unwrap();
    assert!(is_sent(&setup, &other, &own).await);
    let generation = one.session().await.unwrap().generation();
    assert!(one.invalidate(generation));
    assert!(!is_sent(&setup, &other, &own).await);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_its_owner_asks_for_in_vain_is_used_no_more() {
    let setup = Setup::apart();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    let own = SessionId::parse(&setup.last_id().unwrap()).unwrap();
    setup.sipher.evict(own.as_str());
    let mut events = manager.events();
    manager.api().get_session(&own).await.unwrap_err();
    let mut events = std::iter::from_fn(|| events.try_recv());
    assert!(events.any(|event| matches!(event, Event::Lost { .. })));
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_another_key_deletes_in_vain_is_deleted_by_its_manager() {
    let setup = Setup::apart();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    let own = SessionId::parse(&setup.last_id().unwrap()).unwrap();
    let strangers = setup.sipher.api_key(Tier::Pro);
    let stranger = setup.builder().api_key(strangers.as_str());
    let stranger = stranger.seed(2).build().unwrap();
    let error = stranger.api().delete_session(&own).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    manager.shutdown(5 * SECOND).await;
    assert_eq!(setup.sipher.live_sessions_of(&setup.key), 0);
}
