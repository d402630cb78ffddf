//! Requests of a `reqwest` client that are sent once more, as far as their bodies can be.

#![allow(clippy::unwrap_used)] // helpers outside of tests

use std::{sync::Arc, time::Duration};

use reqwest::{Body, Client, Request, Response};
use reqwest_middleware::{Middleware, Next};
use sipher_session::{
    Proof, SessionLayer, SessionManager,
    api::Transport,
    testing::{FakeSipher, Fault, Operation, Served, Target, Tier, What},
};
use tokio::{sync::Semaphore, time::timeout};
use tower::{Layer, ServiceExt};

async fn setup() -> (FakeSipher, Served, SessionManager) {
    let sipher = FakeSipher::new();
    let server = sipher.serve().await.unwrap();
    let manager = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(server.base_url())
        .transport(Transport::new(sipher.clone()))
        .build()
        .unwrap();
    sipher.fault(Fault::new(What::Status(503)).on(Target::Calls));
    (sipher, server, manager)
}

fn request(server: &Served, body: impl Into<Body>) -> Request {
    let url = format!("{}/v1/stealth/generate", server.base_url());
    let request = Client::new()
        .post(url)
        .header("content-type", "application/json");
    request.body(body).build().unwrap()
}

/// The calls that were sent, and not about the server's health.
fn uses(sipher: &FakeSipher) -> usize {
    sipher.count(Operation::Other) - sipher.health_calls()
}

#[tokio::test]
async fn through_middleware() {
    let (sipher, server, manager) = setup().await;
    let client = reqwest_middleware::ClientBuilder::new(Client::new())
        .with(SessionLayer::new(manager).with_proof().replay_once())
        .build();
    let answer = client.execute(request(&server, "{}")).await.unwrap();
    assert_eq!((answer.status().as_u16(), uses(&sipher)), (200, 2));
    assert!(matches!(
        answer.extensions().get(),
        Some(Proof::Session { doubt: None, .. })
    ));
}

/// Lets one request through at a time, until its response is dropped.
struct OneByOne(Arc<Semaphore>);

#[async_trait::async_trait]
impl Middleware for OneByOne {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let permit = self.0.clone().acquire_owned().await.unwrap();
        let mut response = next.run(request, extensions).await?;
        response.extensions_mut().insert(Arc::new(permit));
        Ok(response)
    }
}

#[tokio::test]
async fn the_second_sending_does_not_wait_for_what_the_first_answer_holds() {
    let (sipher, server, manager) = setup().await;
    let client = reqwest_middleware::ClientBuilder::new(Client::new())
        .with(SessionLayer::new(manager).replay_once())
        .with(OneByOne(Arc::new(Semaphore::new(1))))
        .build();
    let answer = client.execute(request(&server, "{}"));
    let answer = timeout(Duration::from_secs(10), answer).await;
    assert_eq!(answer.unwrap().unwrap().status(), 200);
    assert_eq!(uses(&sipher), 2);
}

#[tokio::test]
async fn through_a_tower_service() {
    let (sipher, server, manager) = setup().await;
    let service = SessionLayer::new(manager)
        .replay_once()
        .layer(Client::new());
    let answer = service.oneshot(request(&server, "{}")).await.unwrap();
    assert_eq!((answer.status().as_u16(), uses(&sipher)), (200, 2));
}

#[tokio::test]
async fn a_body_that_is_a_stream_is_sent_once() {
    for through_middleware in [true, false] {
        let (sipher, server, manager) = setup().await;
        let layer = SessionLayer::new(manager).replay_once();
        // A body that cannot be cloned.
        let body = Body::wrap(http_body_util::Full::<bytes::Bytes>::from("{}"));
        let request = request(&server, body);
        let status = if through_middleware {
            let client = reqwest_middleware::ClientBuilder::new(Client::new())
                .with(layer)
                .build();
            client.execute(request).await.unwrap().status()
        } else {
            layer
                .layer(Client::new())
                .oneshot(request)
                .await
                .unwrap()
                .status()
        };
        assert_eq!((status.as_u16(), uses(&sipher)), (503, 1));
    }
}
