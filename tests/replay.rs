//! Replays of `reqwest` requests, as far as their bodies can be sent twice.

#![allow(clippy::unwrap_used)] // for the helper functions

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{Body, Client, Request, Response};
use reqwest_middleware::{Middleware, Next};
use sipher_session::{
    BoxError, Proof, SessionLayer, SessionManager,
    api::Transport,
    layer::ReplayLayer,
    testing::{FakeSipher, Fault, Operation, Served, Target, Tier, What},
};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tower::{Layer, ServiceExt, service_fn};

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

/// Returns the number of calls that are neither session calls nor health calls.
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
        // This body cannot be cloned.
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

/// A gateway that answers after `after` that its server is down. It records the timeouts of the requests.
#[derive(Clone)]
struct SlowGateway {
    after: Duration,
    timeouts: Arc<Mutex<Vec<Option<Duration>>>>,
}

impl SlowGateway {
    fn new(after: Duration) -> Self {
        let timeouts = Arc::default();
        Self { after, timeouts }
    }

    async fn answer(&self, request: Request) -> Response {
        let timeout = request.timeout().copied();
        self.timeouts.lock().unwrap().push(timeout);
        sleep(self.after).await;
        http::Response::builder()
            .status(502)
            .body("")
            .unwrap()
            .into()
    }

    fn timeouts(&self) -> Vec<Option<Duration>> {
        self.timeouts.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Middleware for SlowGateway {
    async fn handle(
        &self,
        request: Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        Ok(self.answer(request).await)
    }
}

#[tokio::test(start_paused = true)]
async fn both_sendings_share_the_requests_own_timeout() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (timeout, after, expected) in [
        (seconds(5), 3, vec![seconds(5), seconds(2)]),
        (seconds(5), 5, vec![seconds(5)]),
        (None, 3, vec![None, None]),
    ] {
        let after = Duration::from_secs(after);
        assert_eq!(timeouts_through_tower(timeout, after).await, expected);
        assert_eq!(timeouts_through_middleware(timeout, after).await, expected);
    }
}

async fn timeouts_through_tower(
    timeout: Option<Duration>,
    after: Duration,
) -> Vec<Option<Duration>> {
    let (layer, request) = replays_one(timeout);
    let gateway = SlowGateway::new(after);
    let inner = gateway.clone();
    let service = service_fn(move |request| {
        let inner = inner.clone();
        async move { Ok::<_, BoxError>(inner.answer(request).await) }
    });
    let answer = layer.layer(service).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 502);
    gateway.timeouts()
}

async fn timeouts_through_middleware(
    timeout: Option<Duration>,
    after: Duration,
) -> Vec<Option<Duration>> {
    let (layer, request) = replays_one(timeout);
    let gateway = SlowGateway::new(after);
    let client = reqwest_middleware::ClientBuilder::new(Client::new())
        .with(layer)
        .with(gateway.clone())
        .build();
    let answer = client.execute(request).await.unwrap();
    assert_eq!(answer.status(), 502);
    gateway.timeouts()
}

fn replays_one(timeout: Option<Duration>) -> (ReplayLayer, Request) {
    let manager = FakeSipher::new().manager().build().unwrap();
    let url = format!("{}/v1/stealth/generate", FakeSipher::base_url());
    let mut request = Client::new().post(url).body("{}").build().unwrap();
    *request.timeout_mut() = timeout;
    (SessionLayer::new(manager).replay_once(), request)
}
