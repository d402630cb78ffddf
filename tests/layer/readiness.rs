//! The layer calls the same service that was ready. The mock panics if it is called without being ready.

use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use sipher_session::{NoSession, SessionLayer, SessionService};
use tower::Layer;
use tower_test::mock::{self, Handle, Mock, Spawn};

use crate::{
    begin, miss_and_hit,
    support::{Call, Setup, generate},
};

type Inner = Mock<Call, Response<()>>;

fn mocked(layer: &SessionLayer) -> (SessionService<Inner>, Handle<Call, Response<()>>) {
    let (inner, handle) = mock::pair();
    (layer.layer(inner), handle)
}

fn is_ready(service: &mut Spawn<SessionService<Inner>>) -> bool {
    service.poll_ready::<Call>().map(Result::unwrap).is_ready()
}

async fn answer(handle: &mut Handle<Call, Response<()>>) -> Call {
    let (request, response) = handle.next_request().await.unwrap();
    response.send_response(Response::new(()));
    request
}

#[tokio::test(start_paused = true)]
async fn the_ready_service_is_called_whether_or_not_it_has_to_wait() {
    let setup = Setup::new();
    for layer in miss_and_hit(&setup).await {
        let (mut service, mut handle) = mocked(&layer);
        let response = begin(&mut service, generate()).await;
        let (response, request) = tokio::join!(response, answer(&mut handle));
        response.unwrap();
        assert!(request.headers().contains_key("x-session-id"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_stays_behind_is_another_that_has_to_get_ready_anew() {
    let setup = Setup::new();
    for layer in miss_and_hit(&setup).await {
        let (service, mut handle) = mocked(&layer);
        let mut service = Spawn::new(service);
        for _ in ["first", "second"] {
            handle.allow(1);
            assert!(is_ready(&mut service));
            let response = service.call(generate());
            // From here on, no service becomes ready. The service of this request already was.
            handle.allow(0);
            assert!(!is_ready(&mut service));
            let (response, _) = tokio::join!(response, answer(&mut handle));
            response.unwrap();
            assert!(!is_ready(&mut service));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn backpressure_is_passed_on_and_costs_no_session() {
    let setup = Setup::new();
    let (service, mut handle) = mocked(&SessionLayer::new(setup.manager()));
    let mut service = Spawn::new(service);
    handle.allow(0);
    assert!(!is_ready(&mut service));
    assert!(!service.is_woken());
    handle.allow(1);
    assert!(service.is_woken());
    assert!(is_ready(&mut service));
    assert_eq!(setup.sipher.session_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_session_is_called_within_the_call() {
    let setup = Setup::new();
    let (mut service, mut handle) = mocked(&SessionLayer::new(setup.manager()));
    let elsewhere = || Request::new(Full::<Bytes>::default());
    let mut without = generate();
    without.extensions_mut().insert(NoSession);
    for request in [elsewhere(), without] {
        let response = begin(&mut service, request).await;
        // The future of the response has not been polled yet.
        let Poll::Ready(Some((_, answer))) = handle.poll_request() else {
            panic!("the inner service was not called");
        };
        answer.send_response(Response::new(()));
        response.await.unwrap();
    }
}
