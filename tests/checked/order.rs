//! The positions in a stack that the checked layer supports.

use std::task::Poll;

use http::{Request, Response, StatusCode, header::LOCATION};
use http_body_util::Full;
use sipher_session::{
    Chain, CheckedLayer, Doubt, ErrorKind, Proof, SessionDefaults, SessionLayer,
    api::Bytes,
    checked::CheckedBody,
    testing::{Fault, Target, What},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_test::mock;

use super::{chain, is_confirmed, json, post, proof};
use crate::support::{Call, Setup, generate, ours};

/// Sends a request that is confirmed. Then the server restarts unnoticed, and the next answer is withheld.
macro_rules! confirms_and_withholds {
    ($setup:expr, $service:expr, $chain:literal) => {{
        let answer = $service.clone().oneshot(generate()).await.unwrap();
        assert!(is_confirmed(&answer), "{answer:?}");
        assert_eq!(chain(answer).await, $chain);
        $setup.sipher.restart();
        let error = $service.clone().oneshot(generate()).await.unwrap_err();
        assert_eq!(ours(&error).kind(), ErrorKind::WrongDefaults);
        let answer = $service.oneshot(generate()).await.unwrap();
        assert!(is_confirmed(&answer), "with a new session: {answer:?}");
    }};
}

#[tokio::test(start_paused = true)]
async fn it_may_stand_below_a_session_layer_with_other_defaults_and_above_one() {
    let setup = Setup::new();
    let manager = setup.manager();
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(manager.clone()).defaults(sui))
        .layer(CheckedLayer::new(manager))
        .service(setup.sipher.clone());
    confirms_and_withholds!(setup, service, "sui");

    let setup = Setup::new();
    let manager = setup.manager();
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(manager.clone()).with_proof())
        .layer(CheckedLayer::new(manager))
        .service(setup.sipher.clone());
    confirms_and_withholds!(setup, service, "near");

    let setup = Setup::new();
    let manager = setup.manager();
    let service = ServiceBuilder::new()
        .layer(CheckedLayer::new(manager.clone()))
        .layer(SessionLayer::new(manager).with_proof())
        .service(setup.sipher.clone());
    confirms_and_withholds!(setup, service, "near");
}

#[tokio::test(start_paused = true)]
async fn with_a_replay_above_it_the_second_sending_is_checked() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(manager.clone()).replay_once())
        .layer(CheckedLayer::new(manager.clone()))
        .service(setup.sipher.clone());
    confirms_and_withholds!(setup, service.clone(), "near");
    let down = Fault::new(What::Status(503)).on(Target::Others);
    setup.sipher.fault(down);
    let answer = service.oneshot(generate()).await.unwrap();
    assert!(is_confirmed(&answer));
    assert_eq!(manager.stats().replayed, 1);
}

#[tokio::test(start_paused = true)]
async fn requests_that_a_session_layer_above_has_made_ready_are_handed_on_as_they_are() {
    let setup = Setup::new();
    let manager = setup.manager();
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(manager.clone()).defaults(sui))
        .layer(CheckedLayer::new(manager))
        .service(setup.sipher.clone());
    let named = post("/v1/stealth/generate", r#"{"chain":"near"}"#);
    let answer = service.oneshot(named).await.unwrap();
    assert_eq!(chain(answer).await, "near");
    assert_eq!(setup.creates(), 1);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_elsewhere_confirms_nothing() {
    let setup = Setup::new();
    // The inner service redirects to another server, whose answer names the chain that the caller expects.
    let inner = service_fn(|request: Request<CheckedBody<Full<Bytes>>>| async move {
        let is_here = request.uri().host() == Some("sipher-api.sip-protocol.org");
        Ok::<_, std::io::Error>(if is_here {
            Response::builder()
                .status(StatusCode::SEE_OTHER)
                .header(LOCATION, "https://other.example/")
                .body(Full::default())
                .unwrap()
        } else {
            json(r#"{"data":{"chain":"near"}}"#)
        })
    });
    let service = ServiceBuilder::new()
        .layer(CheckedLayer::new(setup.manager()))
        .layer(FollowRedirectLayer::new())
        .service(inner);
    let answer = service.oneshot(generate()).await.unwrap();
    let Some(Proof::Session { doubt, .. }) = proof(&answer) else {
        panic!("{answer:?}");
    };
    assert_eq!(doubt, Some(Doubt::Leaked));
}

type Inner = mock::Mock<Request<CheckedBody<Full<Bytes>>>, Response<Full<Bytes>>>;

#[tokio::test(start_paused = true)]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let setup = Setup::new();
    for call in [generate(), post("/v1/scan", "{}")] {
        let (inner, mut handle): (Inner, _) = mock::pair();
        let mut service = mock::Spawn::new(CheckedLayer::new(setup.manager()).layer(inner));
        handle.allow(1);
        assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
        // From here on, the inner service does not become ready again.
        let answer = service.call(call);
        handle.allow(0);
        assert!(service.poll_ready().is_pending());
        let (answer, ()) = tokio::join!(answer, async {
            let (_, answer) = handle.next_request().await.unwrap();
            answer.send_response(json(r#"{"data":{"chain":"near"}}"#));
        });
        answer.unwrap();
    }
}

/// Waits until the service is ready, and calls this service and not a clone.
async fn begin<S>(service: &mut S, call: Call) -> S::Future
where
    S: Service<Call, Error: std::fmt::Debug>,
{
    service.ready().await.unwrap().call(call)
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_given_a_session_keeps_no_place() {
    let setup = Setup::new();
    let fails = Fault::new(What::Status(400)).on(Target::Create);
    setup.sipher.fault(fails.always());
    let mut service = ServiceBuilder::new()
        .layer(CheckedLayer::new(setup.manager()))
        .concurrency_limit(1)
        .service(setup.sipher.clone());
    for _ in 0..3 {
        let answer = begin(&mut service, generate()).await;
        let error = answer.await.unwrap_err();
        assert_eq!(ours(&error).kind(), ErrorKind::Rejected);
    }
}
