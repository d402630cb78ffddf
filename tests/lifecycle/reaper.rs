//! The single background task that deletes sessions that are no longer used.

use http::Request;
use http_body_util::Full;
use sipher_session::testing::{Fault, Target, What};
use tower::ServiceExt;

use crate::support::{Call, SECOND, Setup, generate, pass};

#[tokio::test(start_paused = true)]
async fn one_delete_after_the_other_however_many_there_are() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup
        .sipher
        .fault(Fault::new(What::Delay(5 * SECOND)).on(Target::Delete));
    for generation in 1..=3 {
        setup.call(&manager).await.unwrap();
        assert!(manager.invalidate(generation));
        pass(1.0).await;
        assert_eq!(setup.deletes(), 1, "the first is not answered yet");
    }
    pass(10.0).await;
    assert_eq!((setup.deletes(), setup.sipher.live_sessions()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn requests_that_bear_a_retired_session_are_counted_in_flight() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Delay(5 * SECOND)).on(Target::Calls));
    let slow = tokio::spawn(setup.service(&manager).oneshot(generate()));
    pass(1.0).await;
    assert!(manager.invalidate(1));
    assert_eq!(manager.stats().in_flight, 1);
    slow.await.unwrap().unwrap();
    assert_eq!(manager.stats().in_flight, 0);
}

/// A gateway answers 200 in place of the server, as a captive portal does. Only the application's own answer proves
/// that a session is deleted.
#[tokio::test(start_paused = true)]
async fn a_delete_through_the_layer_that_a_gateway_answers_is_made_up_for() {
    for (is_ours, deletes) in [(false, 2), (true, 1)] {
        let setup = Setup::new();
        let manager = setup.manager();
        let session = manager.session().await.unwrap();
        if !is_ours {
            let login = Fault::new(What::Html(200)).on(Target::Delete);
            setup.sipher.fault(login);
        }
        let request = Request::delete(format!(
            "https://sipher-api.sip-protocol.org/v1/sessions/{}",
            session.id().as_str()
        ));
        let request = request.header("x-api-key", &setup.key);
        let request: Call = request.body(Full::default()).unwrap();
        let response = setup.service(&manager).oneshot(request).await.unwrap();
        assert!(response.status().is_success());
        pass(60.0).await;
        assert_eq!(
            (setup.deletes(), setup.sipher.live_sessions()),
            (deletes, 0)
        );
    }
}
