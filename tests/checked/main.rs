//! Checked layers read an answer that names its chain. They withhold the answer if the chain is not the session's.
#![allow(clippy::unwrap_used)] // for the helper functions

#[path = "../support/mod.rs"]
mod support;

mod again;
mod bodies;
mod order;
#[cfg(feature = "reqwest-middleware")]
mod over_reqwest;
mod requests;
mod wrong;

use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use sipher_session::{
    BoxError, CheckedLayer, Proof, SessionManager,
    api::Bytes,
    checked::{Checked, CheckedBody},
    testing::{FakeBody, FakeSipher},
};
use support::{Call, Setup};
use tower::{Layer, Service, ServiceExt, service_fn};

type Answer = Response<CheckedBody<FakeBody>>;

fn checked(setup: &Setup, manager: &SessionManager) -> Checked<FakeSipher> {
    CheckedLayer::new(manager.clone()).layer(setup.sipher.clone())
}

async fn send(setup: &Setup, manager: &SessionManager, call: Call) -> Result<Answer, BoxError> {
    checked(setup, manager).oneshot(call).await
}

fn post(path: &str, body: &'static str) -> Call {
    Request::post(format!("https://sipher.sip-protocol.org{path}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(body))
        .unwrap()
}

fn proof<B>(response: &Response<B>) -> Option<Proof> {
    response.extensions().get().copied()
}

fn is_confirmed<B>(response: &Response<B>) -> bool {
    matches!(proof(response), Some(Proof::Confirmed { .. }))
}

/// Returns the chain in the answer that the caller gets.
async fn chain(answer: Answer) -> String {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    body["data"]["chain"].as_str().unwrap().to_owned()
}

/// A server that gives every request the same answer, whatever the request carries.
fn answering<B, F>(
    answer: F,
) -> impl Service<
    Request<CheckedBody<Full<Bytes>>>,
    Response = Response<B>,
    Error = BoxError,
    Future: Send,
> + Clone
where
    F: Fn() -> Response<B> + Clone + Send,
    B: Send,
{
    service_fn(move |_| {
        let answer = answer.clone();
        async move { Ok(answer()) }
    })
}

fn json(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder()
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .body(Full::new(body.into()))
        .unwrap()
}
