//! If a session is deleted or changed by hand in one process, no process uses it any more, even if that process no longer uses it itself.

use http::Request;
use http_body_util::Full;
use sipher_session::{Chain, SessionDefaults, SessionId, SessionLayer, testing::SessionUse};
use tower::{Layer, ServiceExt};

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    support::{Call, SECOND, generate, pass},
};

/// How the session is ended.
#[derive(Clone, Copy, Debug)]
enum By {
    Api,
    Layer,
    Patch,
}

async fn end(fleet: &Fleet, process: &Process, id: &SessionId, by: By) {
    let api = process.manager.api();
    match by {
        By::Api => api.delete_session(id).await.unwrap(),
        By::Patch => {
            let base = SessionDefaults::new().chain(Chain::Base);
            api.update_session(id, &base).await.unwrap();
        }
        By::Layer => {
            let url = format!(
                "https://sipher-api.sip-protocol.org/v1/sessions/{}",
                id.as_str()
            );
            let delete: Call = Request::delete(url).body(Full::default()).unwrap();
            let service = fleet.setup.service(&process.manager);
            assert_eq!(service.oneshot(delete).await.unwrap().status(), 200);
        }
    }
}

/// Two processes share a session, which the first has evicted.
async fn evicted(fleet: &mut Fleet) -> (Process, Process, SessionId) {
    let one = fleet.start_with(|builder| builder.max_sessions(1));
    let other = fleet.start();
    let id = one.manager.session().await.unwrap().id().clone();
    assert_eq!(*other.manager.session().await.unwrap().id(), id);
    pass(65.0).await;
    let sui = SessionLayer::new(one.manager.clone());
    let sui = sui.defaults(SessionDefaults::new().chain(Chain::Sui));
    let service = sui.layer(fleet.setup.sipher.clone());
    service.oneshot(generate()).await.unwrap();
    pass(5.0).await;
    (one, other, id)
}

/// Returns whether a request of this process has a live session with the right defaults.
async fn is_well(fleet: &Fleet, process: &Process) -> bool {
    fleet.setup.call(&process.manager).await.unwrap();
    let last = fleet.setup.uses().pop().unwrap();
    matches!(last.session, SessionUse::Live { .. }) && last.chain.as_deref() == Some("near")
}

#[tokio::test(start_paused = true)]
async fn the_others_stop_using_what_was_ended_where_it_had_been_evicted() {
    for by in [By::Api, By::Layer, By::Patch] {
        let mut fleet = Fleet::new();
        let (one, other, id) = evicted(&mut fleet).await;
        end(&fleet, &one, &id, by).await;
        pass(1.0).await;
        for _ in 0..20 {
            assert!(is_well(&fleet, &other).await, "{by:?}");
            assert!(is_well(&fleet, &one).await, "{by:?}");
            pass(1.0).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_ended_while_it_is_taken_up_again_is_not_used() {
    for by in [By::Api, By::Layer, By::Patch] {
        let mut fleet = Fleet::new();
        let (one, other, id) = evicted(&mut fleet).await;
        one.store.set(Trouble {
            delay: SECOND * 9 / 10,
            ..Trouble::default()
        });
        let manager = one.manager.clone();
        let again = tokio::spawn(async move { manager.session().await.unwrap().id().clone() });
        // The process has claimed, and is about to tell the store that it uses the existing session.
        pass(1.0).await;
        end(&fleet, &one, &id, by).await;
        assert_ne!(again.await.unwrap(), id, "{by:?}");
        for _ in 0..20 {
            assert!(is_well(&fleet, &one).await, "{by:?}");
            pass(1.0).await;
        }
        assert!(is_well(&fleet, &other).await, "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_keeps_no_task_alive_where_nothing_is_held_or_to_be_told() {
    let mut fleet = Fleet::new();
    let process = fleet.start();
    fleet.setup.call(&process.manager).await.unwrap();
    pass(5.0).await;
    process.store.cut();
    pass(3_700.0).await;
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert_eq!(tasks, 0);
}
