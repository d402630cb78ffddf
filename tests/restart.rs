//! The errors of real clients whose server is gone count as signs of trouble.

#![allow(clippy::unwrap_used)] // for the helper functions

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sipher_session::{
    Event, Events, SessionLayer, SessionManager,
    api::Transport,
    testing::{FakeSipher, Fault, Operation, Served, Target, Tier, What},
};
use tower::{Layer, ServiceExt};

/// A fake behind a real socket, and a manager whose session calls go to the fake directly.
struct World {
    sipher: FakeSipher,
    server: Served,
    manager: SessionManager,
    url: String,
}

impl World {
    async fn new() -> Self {
        let sipher = FakeSipher::new();
        let server = sipher.serve().await.unwrap();
        let manager = SessionManager::builder()
            .api_key(sipher.api_key(Tier::Pro))
            .base_url(server.base_url())
            .transport(Transport::new(sipher.clone()))
            .build()
            .unwrap();
        let url = format!("{}/v1/stealth/generate", server.base_url());
        Self {
            sipher,
            server,
            manager,
            url,
        }
    }

    /// Returns whether there is a sign of trouble if the server is gone before a call.
    async fn suspects_when_gone(self, call: impl AsyncFn() -> bool) -> bool {
        assert!(call().await, "the server is there");
        let mut events = self.manager.events();
        self.server.stop().await;
        assert!(!call().await, "the server is gone");
        is_suspected(&mut events)
    }

    /// Returns whether there is a sign of trouble if the server dies during a call.
    async fn suspects_when_cut_off(mut self, call: impl AsyncFn() -> bool) -> bool {
        assert!(call().await, "the server is there");
        let mut events = self.manager.events();
        self.sipher.fault(Fault::new(What::Hang).on(Target::Calls));
        let before = self.sipher.count(Operation::Other);
        let dies = async {
            while self.sipher.count(Operation::Other) == before {
                tokio::task::yield_now().await;
            }
            self.server.close().await.unwrap();
        };
        let (answered, ()) = tokio::join!(call(), dies);
        assert!(!answered, "the server dies");
        is_suspected(&mut events)
    }

    fn layer(&self) -> SessionLayer {
        SessionLayer::new(self.manager.clone())
    }
}

fn is_suspected(events: &mut Events) -> bool {
    std::iter::from_fn(|| events.try_recv()).any(|event| matches!(event, Event::Suspected { .. }))
}

fn hyper(world: &World) -> impl AsyncFn() -> bool + use<> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let (service, url) = (world.layer().layer(client), world.url.clone());
    async move || {
        let request = Request::post(&url).body(Full::default()).unwrap();
        service.clone().oneshot(request).await.is_ok()
    }
}

fn reqwest_service(world: &World) -> impl AsyncFn() -> bool + use<> {
    let client = reqwest::Client::new();
    let (service, url) = (world.layer().layer(client.clone()), world.url.clone());
    async move || {
        let request = client.post(&url).build().unwrap();
        service.clone().oneshot(request).await.is_ok()
    }
}

fn reqwest_middleware(world: &World) -> impl AsyncFn() -> bool + use<> {
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(world.layer())
        .build();
    let url = world.url.clone();
    async move || client.post(&url).send().await.is_ok()
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_sign_to_every_client() {
    let world = World::new().await;
    let call = hyper(&world);
    assert!(world.suspects_when_gone(call).await, "hyper");
    let world = World::new().await;
    let call = reqwest_service(&world);
    assert!(world.suspects_when_gone(call).await, "reqwest");
    let world = World::new().await;
    let call = reqwest_middleware(&world);
    assert!(world.suspects_when_gone(call).await, "middleware");
}

#[tokio::test]
async fn a_server_that_dies_with_a_call_in_its_hands_is_a_sign_to_every_client() {
    let world = World::new().await;
    let call = hyper(&world);
    assert!(world.suspects_when_cut_off(call).await, "hyper");
    let world = World::new().await;
    let call = reqwest_service(&world);
    assert!(world.suspects_when_cut_off(call).await, "reqwest");
    let world = World::new().await;
    let call = reqwest_middleware(&world);
    assert!(world.suspects_when_cut_off(call).await, "middleware");
}
