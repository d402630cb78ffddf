//! A Sipher that answers session calls without state. It remembers no session, so only the cost of the client is
//! measured.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use tokio::sync::watch;
use tower::Service;

/// The defaults of every session in the benches.
const DEFAULTS: &str = r#"{"chain":"near"}"#;

type Answer = Response<Full<Bytes>>;

#[derive(Clone)]
pub struct StubSipher {
    minted: Arc<AtomicU64>,
    ttl_seconds: u64,
    delay: Duration,
    /// Creates are answered while this is `true`.
    open: watch::Sender<bool>,
}

impl StubSipher {
    pub fn new(ttl_seconds: u64) -> Self {
        Self {
            minted: Arc::default(),
            ttl_seconds,
            delay: Duration::ZERO,
            open: watch::Sender::new(true),
        }
    }

    /// Delays every create by this time.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Makes creates wait, or lets them go on.
    pub fn open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Returns how many sessions the stub has created.
    pub fn creates(&self) -> u64 {
        self.minted.load(Ordering::Relaxed)
    }

    fn create(&self, defaults: &str) -> Answer {
        let n = self.minted.fetch_add(1, Ordering::Relaxed);
        self.record(201, &format!("sess_{n:064x}"), defaults)
    }

    fn record(&self, status: u16, id: &str, defaults: &str) -> Answer {
        let expires = self.ttl_seconds * 1000;
        let body = format!(
            r#"{{"success":true,"data":{{"sessionId":"{id}","defaults":{defaults},"createdAt":0,"expiresAt":{expires},"lastAccessedAt":0}}}}"#
        );
        json(status, body)
    }
}

fn json(status: u16, body: String) -> Answer {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(Full::from(body))
        .expect("a response")
}

impl Service<Request<Full<Bytes>>> for StubSipher {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let path = request.uri().path();
        let id = path.rsplit('/').next().unwrap_or_default();
        match *request.method() {
            Method::POST => {}
            Method::GET => return Box::pin(ready(Ok(self.record(200, id, DEFAULTS)))),
            _ => {
                let body =
                    format!(r#"{{"success":true,"data":{{"sessionId":"{id}","deleted":true}}}}"#);
                return Box::pin(ready(Ok(json(200, body))));
            }
        }
        let stub = self.clone();
        Box::pin(async move {
            let mut open = stub.open.subscribe();
            let _ = open.wait_for(|open| *open).await;
            if !stub.delay.is_zero() {
                tokio::time::sleep(stub.delay).await;
            }
            let Ok(body) = request.into_body().collect().await;
            Ok(stub.create(defaults_in(&body.to_bytes())))
        })
    }
}

/// Returns the object that the client sent as `defaults`, for the echo.
fn defaults_in(body: &[u8]) -> &str {
    let body = str::from_utf8(body).expect("JSON");
    let at = body.find(r#""defaults":"#).expect("a create") + r#""defaults":"#.len();
    let end = body[at..].find('}').expect("a flat object");
    &body[at..=at + end]
}
