//! Real clients whose own request bodies fail while they are sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sipher_session::{
    Chain, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Tier},
};
use tower::{Layer, ServiceExt};

/// A body that begins and then fails, like a file that cannot be read or a pipe that broke.
struct Broken(u8, io::ErrorKind);

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0 += 1;
        Poll::Ready(Some(match self.0 {
            1 => Ok(Frame::data(Bytes::from_static(b"{"))),
            _ => Err(io::Error::from(self.1)),
        }))
    }
}

const KINDS: [io::ErrorKind; 3] = [
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::UnexpectedEof,
    io::ErrorKind::Other,
];

async fn manager(sipher: &FakeSipher, base: &str) -> SessionManager {
    let sessions = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(base)
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .build()
        .unwrap();
    sessions.session().await.unwrap();
    sessions
}

#[tokio::test]
async fn a_callers_own_upload_that_fails_asks_nothing() {
    let sipher = FakeSipher::new();
    let served = sipher.serve().await.unwrap();
    let sessions = manager(&sipher, &served.base_url()).await;
    let asked = sessions.stats().health_calls;
    let url = format!("{}/v1/stealth/generate", served.base_url());
    let hyper = Client::builder(TokioExecutor::new()).build_http::<Broken>();
    let hyper = SessionLayer::new(sessions.clone()).layer(hyper);
    let layer = SessionLayer::new(sessions.clone());
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(layer)
        .build();
    for kind in KINDS {
        let request = Request::post(&url).header("content-type", "application/json");
        let request = request.body(Broken(0, kind)).unwrap();
        hyper.clone().oneshot(request).await.unwrap_err();
        let body = reqwest::Body::wrap(Broken(0, kind));
        client.post(&url).body(body).send().await.unwrap_err();
    }
    assert_eq!(sessions.stats().health_calls, asked);
    assert_eq!(sipher.session_calls(), 1);
}

/// If no connection can be made, that is not the caller's fault.
#[tokio::test]
async fn a_server_that_is_gone_and_comes_back_with_nothing_costs_no_request() {
    let sipher = FakeSipher::new();
    let mut served = sipher.serve().await.unwrap();
    let sessions = manager(&sipher, &served.base_url()).await;
    let url = format!("{}/v1/stealth/generate", served.base_url());
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(SessionLayer::new(sessions.clone()))
        .build();
    let call = || {
        let request = client.post(&url).header("content-type", "application/json");
        request.body("{}").send()
    };
    assert_eq!(call().await.unwrap().status(), 200);
    served.close().await.unwrap();
    call().await.unwrap_err();
    sipher.restart();
    served.reopen().unwrap();
    let text = call().await.unwrap().text().await.unwrap();
    assert!(text.contains("near"), "{text}");
}
