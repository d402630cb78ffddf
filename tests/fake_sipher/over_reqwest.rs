//! The fake in the place of a `reqwest::Client`, with a paused clock.

use std::time::Duration;

use reqwest::{Method, Request, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::{Value, json};
use sipher_session::{
    Chain, Event, SessionDefaults, SessionLayer, SessionManager,
    clock::Clock,
    testing::{FakeError, FakeSipher, Fault, Target, What},
};
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);
const URL: &str = "https://sipher-api.sip-protocol.org/v1/stealth/generate";

fn manager(sipher: &FakeSipher) -> SessionManager {
    let near = SessionDefaults::new().chain(Chain::Near);
    sipher.manager().defaults(near).build().unwrap()
}

fn client(sipher: &FakeSipher, manager: &SessionManager) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new())
        .with(SessionLayer::new(manager.clone()))
        .with(sipher.clone())
        .build()
}

fn post() -> Request {
    let mut request = Request::new(Method::POST, URL.parse().unwrap());
    *request.body_mut() = Some("{}".into());
    let json = "application/json".parse().unwrap();
    request.headers_mut().insert("content-type", json);
    request
}

async fn chain(client: &ClientWithMiddleware) -> Value {
    let answer = client.post(URL).json(&json!({})).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["data"]["chain"].clone()
}

#[tokio::test(start_paused = true)]
async fn as_the_last_middleware_it_answers_as_the_server_does() {
    let sipher = FakeSipher::new();
    let manager = manager(&sipher);
    let http = client(&sipher, &manager);
    assert_eq!(chain(&http).await, "near");
    let answer = http.execute(post()).await.unwrap();
    assert_eq!(
        (answer.status(), answer.url().as_str()),
        (StatusCode::OK, URL)
    );
    assert!(answer.headers().contains_key("ratelimit-remaining"));
    assert!(manager.shutdown(SECOND).await.is_clean());
    assert_eq!(sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn below_the_tower_layer_it_answers_as_the_server_does() {
    let sipher = FakeSipher::new();
    let mut service = SessionLayer::new(manager(&sipher)).layer(sipher.clone());
    for _ in 0..2 {
        let ready = ServiceExt::<Request>::ready(&mut service).await.unwrap();
        let answer = ready.call(post()).await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["data"]["chain"], "near");
    }
    assert_eq!(sipher.session_calls(), 1);
}

/// With another clock than that of `manager()`, the layer would put the dead id on the request.
#[tokio::test(start_paused = true)]
async fn a_session_grows_old_while_paused_time_passes() {
    let sipher = FakeSipher::new();
    let http = client(&sipher, &manager(&sipher));
    for _ in 0..48 {
        assert_eq!(chain(&http).await, "near");
        sleep(1_900 * SECOND).await;
    }
    sipher.assert_no_dead_id();
    sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_nobody_meets_is_noticed_by_the_first_call_after_it() {
    let sipher = FakeSipher::new();
    let manager = manager(&sipher);
    let (http, mut events) = (client(&sipher, &manager), manager.events());
    assert_eq!(chain(&http).await, "near");
    sleep(30 * SECOND).await;
    sipher.restart();
    assert_ne!(chain(&http).await, "near", "nobody could know");
    assert_eq!(chain(&http).await, "near");
    let mut lost = 0;
    while let Some(event) = events.try_recv() {
        lost += usize::from(matches!(event, Event::Lost { .. }));
    }
    assert_eq!(lost, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_has_the_fakes_error_in_it() {
    let sipher = FakeSipher::new();
    let http = client(&sipher, &manager(&sipher));
    assert_eq!(chain(&http).await, "near");
    sipher.fault(Fault::new(What::Refuse).on(Target::Calls).times(1));
    let failed = http.execute(post()).await.unwrap_err();
    let reqwest_middleware::Error::Middleware(failed) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(failed.downcast_ref(), Some(&FakeError::Refused));
    assert_eq!(chain(&http).await, "near");
}

#[tokio::test(start_paused = true)]
async fn a_requests_own_timeout_is_heeded() {
    let sipher = FakeSipher::new();
    let mut service = SessionLayer::new(manager(&sipher)).layer(sipher.clone());
    let warm = ServiceExt::<Request>::ready(&mut service).await.unwrap();
    warm.call(post()).await.unwrap();
    sipher.fault(Fault::new(What::Hang).on(Target::Calls).times(1));
    let mut slow = post();
    *slow.timeout_mut() = Some(3 * SECOND);
    let before = sipher.clock().now();
    let failed = service.call(slow).await.unwrap_err();
    assert_eq!(failed.downcast_ref(), Some(&FakeError::TimedOut));
    assert_eq!(sipher.clock().now().since(before), 3 * SECOND);
}
