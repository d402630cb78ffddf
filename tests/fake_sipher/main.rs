//! Tests of the fake Sipher: it behaves like recordings of the real server, and it has features of its own.
#![allow(clippy::unwrap_used)] // for the helper functions

mod checks;
mod faults;
mod merging;
mod over_reqwest;
mod production;
mod recorded;
mod replicas;
mod rules;
mod served;
mod state;
#[path = "../wire/merge.rs"]
mod wire;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use sipher_session::testing::{FakeError, FakeSipher};
use tower::ServiceExt;

/// A request with a JSON body. If `session` is empty, the request has no session id.
fn request(method: &str, path: &str, key: &str, session: &str, body: &str) -> Request<Full<Bytes>> {
    let uri = format!("{}{path}", FakeSipher::base_url());
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header("x-api-key", key);
    if !session.is_empty() {
        request = request.header("x-session-id", session);
    }
    let request = request.header("content-type", "application/json");
    request.body(Full::from(body.to_owned())).unwrap()
}

async fn send(
    sipher: &FakeSipher,
    request: Request<Full<Bytes>>,
) -> Result<(u16, Value), FakeError> {
    let answer = sipher.clone().oneshot(request).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

fn create_request(key: &str, defaults: &str) -> Request<Full<Bytes>> {
    let body = format!(r#"{{"defaults":{defaults}}}"#);
    request("POST", "/v1/sessions", key, "", &body)
}

/// Creates a session and returns its id.
async fn create(sipher: &FakeSipher, key: &str, defaults: &str) -> String {
    let (status, body) = send(sipher, create_request(key, defaults)).await.unwrap();
    assert_eq!(status, 201);
    body["data"]["sessionId"].as_str().unwrap().to_owned()
}

/// Returns the status of a call on a session itself.
async fn on(sipher: &FakeSipher, method: &str, key: &str, id: &str, body: &str) -> u16 {
    let path = format!("/v1/sessions/{id}");
    send(sipher, request(method, &path, key, "", body))
        .await
        .unwrap()
        .0
}

fn stealth_request(key: &str, session: &str) -> Request<Full<Bytes>> {
    request("POST", "/v1/stealth/generate", key, session, "{}")
}

/// Returns the chain that a stealth call with this session uses.
async fn stealth(sipher: &FakeSipher, key: &str, session: &str) -> String {
    let (status, body) = send(sipher, stealth_request(key, session)).await.unwrap();
    assert_eq!(status, 200);
    body["data"]["chain"].as_str().unwrap().to_owned()
}
