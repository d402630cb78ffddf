//! What real clients say of a server that is gone is understood as a sign of trouble.

#![allow(clippy::unwrap_used)] // helpers outside of tests

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sipher_session::{
    Event, SessionLayer, SessionManager,
    api::Transport,
    testing::{FakeSipher, Fault, Operation, Served, Target, Tier, What},
};
use tower::{Layer, ServiceExt};

/// A served fake, and a manager whose session calls go to it directly.
async fn setup(sipher: &FakeSipher) -> (Served, SessionManager, String) {
    let server = sipher.serve().await.unwrap();
    let manager = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(server.base_url())
        .transport(Transport::new(sipher.clone()))
        .build()
        .unwrap();
    let url = format!("{}/v1/stealth/generate", server.base_url());
    (server, manager, url)
}

/// Calls once with the server there; and once when it dies with the call in its hands.
async fn is_suspected_under_way<F: Future<Output = bool>>(
    sipher: &FakeSipher,
    mut server: Served,
    manager: &SessionManager,
    call: impl Fn() -> F,
) -> bool {
    assert!(call().await, "the server is there");
    let mut events = manager.events();
    sipher.fault(Fault::new(What::Hang).on(Target::Others));
    let before = sipher.count(Operation::Other);
    let arrives = async {
        while sipher.count(Operation::Other) == before {
            tokio::task::yield_now().await;
        }
        server.close().await.unwrap();
    };
    let (answered, ()) = tokio::join!(call(), arrives);
    assert!(!answered, "the server dies");
    std::iter::from_fn(|| events.try_recv()).any(|event| matches!(event, Event::Suspected { .. }))
}

#[tokio::test]
async fn a_hyper_client_whose_call_is_cut_off() {
    let sipher = FakeSipher::new();
    let (server, manager, url) = setup(&sipher).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let service = SessionLayer::new(manager.clone()).layer(client);
    let call = || async {
        let request = Request::post(&url).body(Full::default()).unwrap();
        service.clone().oneshot(request).await.is_ok()
    };
    assert!(is_suspected_under_way(&sipher, server, &manager, call).await);
}

#[tokio::test]
async fn a_reqwest_client_whose_call_is_cut_off() {
    let sipher = FakeSipher::new();
    let (server, manager, url) = setup(&sipher).await;
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(SessionLayer::new(manager.clone()))
        .build();
    let call = || async { client.post(&url).send().await.is_ok() };
    assert!(is_suspected_under_way(&sipher, server, &manager, call).await);
}

/// Calls once with the server there and once without.
async fn is_suspected<F: Future<Output = bool>>(
    server: Served,
    manager: &SessionManager,
    call: impl Fn() -> F,
) -> bool {
    assert!(call().await, "the server is there");
    let mut events = manager.events();
    server.stop().await;
    assert!(!call().await, "the server is gone");
    std::iter::from_fn(|| events.try_recv()).any(|event| matches!(event, Event::Suspected { .. }))
}

#[tokio::test]
async fn a_hyper_client() {
    let sipher = FakeSipher::new();
    let (server, manager, url) = setup(&sipher).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let service = SessionLayer::new(manager.clone()).layer(client);
    let call = || async {
        let request = Request::post(&url).body(Full::default()).unwrap();
        service.clone().oneshot(request).await.is_ok()
    };
    assert!(is_suspected(server, &manager, call).await);
}

#[tokio::test]
async fn a_reqwest_client_as_a_service() {
    let sipher = FakeSipher::new();
    let (server, manager, url) = setup(&sipher).await;
    let client = reqwest::Client::new();
    let service = SessionLayer::new(manager.clone()).layer(client.clone());
    let call = || async {
        let request = client.post(&url).build().unwrap();
        service.clone().oneshot(request).await.is_ok()
    };
    assert!(is_suspected(server, &manager, call).await);
}

#[tokio::test]
async fn a_reqwest_client_with_middleware() {
    let sipher = FakeSipher::new();
    let (server, manager, url) = setup(&sipher).await;
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(SessionLayer::new(manager.clone()))
        .build();
    let call = || async { client.post(&url).send().await.is_ok() };
    assert!(is_suspected(server, &manager, call).await);
}
