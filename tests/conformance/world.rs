//! The four kinds of clients below the layer, with one interface. Each is a `World`.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use sipher_session::{
    BoxError, Chain, SessionDefaults, SessionLayer, SessionManager, SessionManagerBuilder,
    api::Transport,
    testing::{
        Exchange, FakeBody, FakeError, FakeSipher, Operation, Served, SessionUse, TestClock, Tier,
    },
};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::{
    outcome::Outcome,
    spec::{Call, Spec, for_reqwest},
};

/// Two servers and a client to both. To the manager, only the first server is Sipher.
pub(crate) struct World {
    pub(crate) sipher: FakeSipher,
    pub(crate) other: FakeSipher,
    /// The first server knows this key as `pro 1`.
    pub(crate) key: String,
    pub(crate) origin: String,
    pub(crate) other_origin: String,
    client: Client,
    _served: Vec<Served>,
}

enum Client {
    InProcess(BoxCloneSyncService<Call, Response<FakeBody>, FakeError>),
    Hyper(HyperClient<HttpConnector, Full<Bytes>>),
    ReqwestService(reqwest::Client),
    ReqwestMiddleware(reqwest::Client),
}

impl World {
    pub(crate) fn in_process() -> Self {
        let (sipher, other) = (FakeSipher::new(), FakeSipher::seeded(1));
        let servers = (sipher.clone(), other.clone());
        let by_host = service_fn(move |call: Call| {
            let ours = call.uri().host() == Some("sipher-api.sip-protocol.org");
            let (sipher, other) = servers.clone();
            (if ours { sipher } else { other }).oneshot(call)
        });
        let client = Client::InProcess(BoxCloneSyncService::new(by_host));
        let origins = [FakeSipher::base_url(), "https://other.example"].map(str::to_owned);
        Self::of(sipher, other, origins, client, Vec::new())
    }

    pub(crate) async fn hyper() -> Self {
        let client = HyperClient::builder(TokioExecutor::new()).build_http();
        Self::served(Client::Hyper(client)).await
    }

    pub(crate) async fn reqwest_service() -> Self {
        Self::served(Client::ReqwestService(reqwest::Client::new())).await
    }

    pub(crate) async fn reqwest_middleware() -> Self {
        Self::served(Client::ReqwestMiddleware(reqwest::Client::new())).await
    }

    async fn served(client: Client) -> Self {
        let (sipher, other) = (FakeSipher::new(), FakeSipher::seeded(1));
        let served = vec![sipher.serve().await.unwrap(), other.serve().await.unwrap()];
        let origins = [served[0].base_url(), served[1].base_url()];
        Self::of(sipher, other, origins, client, served)
    }

    fn of(
        sipher: FakeSipher,
        other: FakeSipher,
        [origin, other_origin]: [String; 2],
        client: Client,
        served: Vec<Served>,
    ) -> Self {
        let key = sipher.api_key(Tier::Pro);
        // The other server would accept the key if it received it.
        other.accept_key(&key, Tier::Pro);
        Self {
            sipher,
            other,
            key,
            origin,
            other_origin,
            client,
            _served: served,
        }
    }

    /// A manager without an API key. Its chain is `near`, which the server never chooses on its own.
    pub(crate) fn keyless(&self) -> SessionManagerBuilder {
        let builder = SessionManager::builder()
            .base_url(&self.origin)
            .defaults(SessionDefaults::new().chain(Chain::Near))
            .clock(TestClock::new());
        match &self.client {
            Client::InProcess(service) => builder.transport(Transport::new(service.clone())),
            Client::Hyper(client) => builder.transport(Transport::new(client.clone())),
            Client::ReqwestService(client) => builder.http_client(client.clone()),
            // The manager builds this client itself.
            Client::ReqwestMiddleware(_) => builder,
        }
    }

    pub(crate) fn manager(&self) -> SessionManager {
        self.keyless().api_key(&*self.key).build().unwrap()
    }

    pub(crate) fn layer(&self) -> SessionLayer {
        SessionLayer::new(self.manager())
    }

    /// Sends one request through the layer.
    pub(crate) async fn send(&self, layer: &SessionLayer, spec: Spec) -> Outcome {
        match self.exchange(layer, spec).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::failed(&error),
        }
    }

    async fn exchange(&self, layer: &SessionLayer, spec: Spec) -> Result<Outcome, BoxError> {
        let call = spec.clone().build(if spec.elsewhere {
            &self.other_origin
        } else {
            &self.origin
        });
        match &self.client {
            Client::InProcess(service) => {
                let response = layer.layer(service.clone()).oneshot(call).await?;
                let status = response.status().as_u16();
                let body = response.into_body().collect().await?.to_bytes();
                Ok(Outcome::answered(status, &body))
            }
            Client::Hyper(client) => {
                let response = layer.layer(client.clone()).oneshot(call).await?;
                let status = response.status().as_u16();
                let body = response.into_body().collect().await?.to_bytes();
                Ok(Outcome::answered(status, &body))
            }
            Client::ReqwestService(client) => {
                assert!(!spec.has_extensions(), "reqwest keeps them to itself");
                let (request, _) = for_reqwest(call);
                Outcome::read(layer.layer(client.clone()).oneshot(request).await?).await
            }
            Client::ReqwestMiddleware(client) => {
                let (request, mut extensions) = for_reqwest(call);
                let client = reqwest_middleware::ClientBuilder::new(client.clone())
                    .with(layer.clone())
                    .build();
                let response = client.execute_with_extensions(request, &mut extensions);
                Outcome::read(response.await?).await
            }
        }
    }

    /// Returns the calls that are not session calls.
    pub(crate) fn uses(&self) -> Vec<Exchange> {
        let log = self.sipher.log().into_iter();
        log.filter(|exchange| exchange.operation == Operation::Other)
            .collect()
    }

    pub(crate) fn creates(&self) -> usize {
        self.sipher.count(Operation::Create)
    }

    /// Waits until the server has seen all earlier work. Waits in virtual time, and makes one more call.
    pub(crate) async fn settle(&self, layer: &SessionLayer) {
        if let Client::InProcess(_) = self.client {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let health = self.send(layer, Spec::get("/v1/health")).await;
        assert_eq!(health.status(), 200);
    }

    /// Returns the session id of the last call.
    #[track_caller]
    pub(crate) fn last_id(&self) -> String {
        match self.uses().last().map(|exchange| exchange.session.clone()) {
            Some(SessionUse::Live { id, .. }) => id,
            other => panic!("expected a live session, got {other:?}"),
        }
    }
}
