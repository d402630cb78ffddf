//! The request that every case sends, and the inner service that receives it.
//!
//! Requests are created once and reused. The inner service moves each request into a slot of its thread. While nothing
//! is timed, the requests are taken back from there.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::Full;
use tower::Service;

pub const SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

pub const BASE_URL: &str = "https://sipher-api.sip-protocol.org";
/// The URL of a request to Sipher.
pub const OURS: &str = "https://sipher-api.sip-protocol.org/v1/stealth/generate";
/// A URL of the same length, with another last letter in the host.
pub const NOT_OURS: &str = "https://sipher-api.sip-protocol.orb/v1/stealth/generate";

pub type Call = Request<Full<Bytes>>;

/// A call with four headers, and room for more.
pub fn call(url: &str) -> Call {
    let mut headers = HeaderMap::with_capacity(12);
    for (name, value) in [
        (header::ACCEPT, "application/json"),
        (header::CONTENT_TYPE, "application/json"),
        (header::USER_AGENT, "agent/1.0"),
        (HeaderName::from_static("traceparent"), "00-1-2-01"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let mut request = Request::post(url)
        .body(Full::from("{\"keys\":1}"))
        .expect("a request");
    *request.headers_mut() = headers;
    request
}

/// A call with this API key.
pub fn call_with_key(url: &str, key: &str) -> Call {
    let mut request = call(url);
    request.headers_mut().insert(API_KEY, secret(key));
    request
}

/// A header value with an allocation of its own, like one that was received or made from a `String`.
pub fn secret(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("visible ASCII");
    value.set_sensitive(true);
    value
}

/// A session id in the server's form.
pub fn session_id() -> HeaderValue {
    secret(&format!("sess_{}", "0123456789abcdef".repeat(4)))
}

thread_local! {
    static ARRIVED: RefCell<Vec<Call>> = RefCell::new(Vec::with_capacity(64));
}

/// The bare inner service. It takes the request and answers at once.
#[derive(Clone, Copy, Debug)]
pub struct Sink;

impl Service<Call> for Sink {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: Call) -> Self::Future {
        ARRIVED.with_borrow_mut(|arrived| arrived.push(request));
        ready(Ok(Response::new(())))
    }
}

/// Takes back the requests that arrived on this thread, in order.
pub fn take_back(mut each: impl FnMut(Call)) {
    ARRIVED.with_borrow_mut(|arrived| arrived.drain(..).for_each(&mut each));
}
