//! A header map holds 24,576 names at most, and panics beyond that.

use std::pin::pin;

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::Full;
use reqwest_middleware::ClientBuilder;
use sipher_session::{
    Error, ErrorKind, InlineDefaults, InlineDefaultsLayer, SessionLayer, SessionManager, api::Bytes,
};
use tower::{Layer, ServiceExt};

use crate::support::{Call, Setup, generate};

/// The most headers that fit into a map.
const MOST: usize = 24_576;

fn fill(headers: &mut HeaderMap, count: usize) {
    for n in 0..count {
        let name = HeaderName::try_from(format!("x-{n}")).unwrap();
        headers.insert(name, HeaderValue::from_static("1"));
    }
}

/// A JSON request with this many headers.
fn call(count: usize) -> Call {
    let mut request = Request::post(generate().uri())
        .body(Full::<Bytes>::from("{}"))
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("content-length", HeaderValue::from_static("2"));
    fill(headers, count - 2);
    request
}

#[track_caller]
fn assert_refused(error: Option<&Error>) {
    let error = error.expect("one of ours");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    assert!(error.to_string().contains("headers"), "{error}");
}

/// Sends the fullest requests that still fit, and some that do not. The layer adds an API key and a session id.
async fn check(manager: &SessionManager, setup: &Setup) {
    for count in [MOST, MOST - 1] {
        let refused = setup.service(manager).oneshot(call(count)).await;
        assert_refused(Error::find(&refused.unwrap_err()));
    }
    setup
        .service(manager)
        .oneshot(call(MOST - 2))
        .await
        .unwrap();
    assert_eq!(
        manager.stats().in_flight,
        0,
        "nothing was sent, nothing is held"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_without_room_for_its_session_is_refused_cold_and_warm_and_as_one_like_others() {
    let setup = Setup::apart();
    let manager = setup.manager();
    check(&manager, &setup).await;
    for _ in 0..3 {
        check(&manager, &setup).await;
    }
    // A layer that has seen such requests before reuses its decision.
    let service = setup.service(&manager);
    for _ in 0..3 {
        service.clone().oneshot(generate()).await.unwrap();
    }
    for count in [MOST, MOST - 1] {
        let refused = service.clone().oneshot(call(count)).await;
        assert_refused(Error::find(&refused.unwrap_err()));
    }
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn headers_alone_are_refused_too() {
    let setup = Setup::apart();
    let manager = setup.manager();
    for _ in 0..2 {
        let mut headers = HeaderMap::new();
        fill(&mut headers, MOST);
        let refused = manager.apply(&mut headers).await;
        assert_refused(refused.as_ref().err());
        manager.session().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_without_room_for_its_length_is_refused() {
    let setup = Setup::apart();
    for mode in [InlineDefaults::Always, InlineDefaults::WithoutSession] {
        for warm in [false, true] {
            let manager = setup.builder().inline_defaults(mode).build().unwrap();
            if warm {
                manager.session().await.unwrap();
            }
            let inner = InlineDefaultsLayer::new(manager.clone()).layer(setup.sipher.clone());
            let service = SessionLayer::new(manager.clone()).layer(inner);
            for count in [MOST, MOST - 1] {
                let mut ready = pin!(service.clone().oneshot(call(count)));
                assert_refused(Error::find(&ready.as_mut().await.err().unwrap()));
            }
            service.oneshot(call(MOST - 3)).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn so_is_a_request_of_reqwest_with_and_without_replays_and_checks() {
    let setup = Setup::apart();
    let manager = setup.manager();
    let client = || ClientBuilder::new(reqwest::Client::new());
    let layer = || SessionLayer::new(manager.clone());
    for http in [
        client().with(layer()).build(),
        client().with(layer().replay_once()).build(),
        client().with(layer().checked()).build(),
    ] {
        let mut headers = HeaderMap::new();
        fill(&mut headers, MOST);
        let request = http.post(generate().uri().to_string()).headers(headers);
        let error = request.send().await.unwrap_err();
        assert_refused(Error::find(&error));
    }
}
