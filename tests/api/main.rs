//! The four typed session operations, over every kind of transport.
#![allow(clippy::unwrap_used)] // for the helper functions

mod bounds;
mod errors;
mod faults;
mod operations;
mod values;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sipher_session::{
    SessionDefaults, SessionsApi,
    api::{CreateSession, SessionRecord, Transport},
    testing::{FakeSipher, Served, Tier},
};

/// A server, and an API client with that server's first key.
pub(crate) struct World {
    sipher: FakeSipher,
    key: String,
    base_url: String,
    transport: Transport,
    api: SessionsApi,
    _served: Option<Served>,
}

impl World {
    fn in_process() -> Self {
        let sipher = FakeSipher::new();
        let transport = Transport::new(sipher.clone());
        Self::of(sipher, FakeSipher::base_url().to_owned(), transport, None)
    }

    async fn reqwest() -> Self {
        Self::served(reqwest::Client::new().into()).await
    }

    async fn hyper() -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        Self::served(Transport::new(client)).await
    }

    async fn served(transport: Transport) -> Self {
        let sipher = FakeSipher::new();
        let served = sipher.serve().await.unwrap();
        Self::of(sipher, served.base_url(), transport, Some(served))
    }

    fn of(
        sipher: FakeSipher,
        base_url: String,
        transport: Transport,
        served: Option<Served>,
    ) -> Self {
        let key = sipher.api_key(Tier::Pro);
        let api = SessionsApi::new(transport.clone(), &base_url, &*key).unwrap();
        Self {
            sipher,
            key,
            base_url,
            transport,
            api,
            _served: served,
        }
    }

    /// Returns an API client with another key.
    fn with_key(&self, key: &str) -> SessionsApi {
        SessionsApi::new(self.transport.clone(), &self.base_url, key).unwrap()
    }

    async fn create(&self, defaults: SessionDefaults) -> SessionRecord {
        let request = CreateSession::new(defaults);
        self.api.create_session(&request).await.unwrap()
    }
}

/// Returns an error's message without its end, which names the server, the chain and the key.
fn said(error: &impl std::fmt::Display) -> String {
    let message = error.to_string();
    let end = message.rfind(" (http").expect("it names the server");
    assert!(message[end..].contains(", key "), "{message}");
    message[..end].to_owned()
}

/// Turns each rule into one test for each transport.
macro_rules! over_every_transport {
    ($($rule:ident),*) => {
        mod in_process {
            $(#[tokio::test(start_paused = true)]
            async fn $rule() {
                super::$rule(crate::World::in_process()).await;
            })*
        }

        mod hyper_client {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(crate::World::hyper().await).await;
            })*
        }

        mod reqwest_client {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(crate::World::reqwest().await).await;
            })*
        }
    };
}
use over_every_transport;
