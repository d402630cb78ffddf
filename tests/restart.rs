//! What real clients say of a server that is gone is understood as a sign of trouble.

#![allow(clippy::unwrap_used)] // helpers outside of tests

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sipher_session::{
    Event, SessionLayer, SessionManager,
    api::Transport,
    testing::{FakeSipher, Served, Tier},
};
use tower::{Layer, ServiceExt};

/// A served fake, and a manager whose session calls go to it directly.
async fn setup() -> (Served, SessionManager, String) {
    let sipher = FakeSipher::new();
    let server = sipher.serve().await.unwrap();
    let manager = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(server.base_url())
        .transport(Transport::new(sipher))
        .build()
        .unwrap();
    let url = format!("{}/v1/stealth/generate", server.base_url());
    (server, manager, url)
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
    let (server, manager, url) = setup().await;
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
    let (server, manager, url) = setup().await;
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
    let (server, manager, url) = setup().await;
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(SessionLayer::new(manager.clone()))
        .build();
    let call = || async { client.post(&url).send().await.is_ok() };
    assert!(is_suspected(server, &manager, call).await);
}
