//! If a session id leaks in one process, no process uses that session any more.

use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use sipher_session::{BoxError, SessionLayer, SessionManager};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::follow_redirect::RequestUri;

use crate::{
    processes::{Fleet, Process},
    support::{Call, SECOND, generate, pass},
};

/// Sends a request whose answer takes this many seconds and comes from another server, because a client below the layer
/// follows a redirect.
async fn leak(manager: &SessionManager, seconds: f64) {
    let elsewhere = service_fn(async |_: Call| {
        pass(seconds).await;
        let last = RequestUri("https://elsewhere.example/".parse()?);
        let mut response = Response::new(());
        response.extensions_mut().insert(last);
        Ok::<_, BoxError>(response)
    });
    let layer = SessionLayer::new(manager.clone());
    layer.layer(elsewhere).oneshot(generate()).await.unwrap();
}

/// Two processes with one session, shortly before its renewal. The second process asks the server before it adopts
/// another session, so it uses this one until then.
async fn before_a_renewal() -> (Fleet, Vec<Process>, Vec<String>) {
    let mut fleet = Fleet::new();
    let processes = vec![
        fleet.start_with(|builder| builder.ttl(600 * SECOND)),
        fleet.start_with(|builder| builder.ttl(600 * SECOND).verify_adopted()),
    ];
    let before = fleet.call(&processes).await;
    assert_eq!(before.len(), 1);
    let session = processes[0].manager.session().await.unwrap();
    pass(session.renewal_in().as_secs_f64() + 0.1).await;
    (fleet, processes, before)
}

#[tokio::test(start_paused = true)]
async fn what_leaked_in_one_process_is_used_by_no_other() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    let before = fleet.call(&processes).await;
    leak(&processes[0].manager, 0.0).await;
    pass(0.1).await;
    assert_ne!(fleet.call(&processes[1..]).await, before);
}

#[tokio::test(start_paused = true)]
async fn what_leaked_after_it_was_replaced_here_is_used_by_no_other() {
    let (fleet, processes, before) = before_a_renewal().await;
    leak(&processes[0].manager, 5.0).await;
    assert_ne!(fleet.call(&processes[..1]).await, before, "it was replaced");
    pass(0.1).await;
    assert_ne!(fleet.call(&processes[1..]).await, before);
}

#[tokio::test(start_paused = true)]
async fn what_is_ended_by_hand_after_it_was_replaced_here_is_used_by_no_other() {
    for deletes in [true, false] {
        let (fleet, processes, before) = before_a_renewal().await;
        let manager = &processes[0].manager;
        let session = manager.session().await.unwrap();
        // Keeps the process from leaving the session.
        let lease = manager.apply(&mut HeaderMap::new()).await.unwrap();
        pass(5.0).await;
        assert_ne!(fleet.call(&processes[..1]).await, before, "it was replaced");
        if deletes {
            let path = format!(
                "https://sipher-api.sip-protocol.org/v1/sessions/{}",
                before[0]
            );
            let request: Call = Request::delete(path).body(Full::default()).unwrap();
            let service = fleet.setup.service(manager);
            service.oneshot(request).await.unwrap();
        } else {
            manager.invalidate(session.generation());
        }
        pass(0.1).await;
        assert_ne!(fleet.call(&processes[1..]).await, before, "{deletes}");
        drop(lease);
        fleet.setup.sipher.assert_every_call_had_a_session();
    }
}
