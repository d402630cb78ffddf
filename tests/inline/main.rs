//! Defaults in the bodies of requests: what they survive, and that no request goes out without the defaults it should
//! have.
// For the helper functions, which also read virtual time.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod changes;
mod checked;
mod over_hyper;
#[cfg(feature = "reqwest-middleware")]
mod over_reqwest;
mod proofs;
mod settings;
mod stack;
mod survives;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use sipher_session::{
    BoxError, Error, ErrorKind, InlineDefaults, InlineDefaultsLayer, Inlined, Proof, SessionLayer,
    SessionManager, SessionService, api::Bytes, body::ReadAhead, inline::InlineDefaultsService,
    testing::FakeBody,
};
use support::{Call, Setup};
use tower::{Layer, Service, ServiceExt, service_fn};

const MODES: [InlineDefaults; 2] = [InlineDefaults::WithoutSession, InlineDefaults::Always];

type Stack<S> = SessionService<InlineDefaultsService<S>>;

fn manager(setup: &Setup, mode: InlineDefaults) -> SessionManager {
    setup.builder().inline_defaults(mode).build().unwrap()
}

/// The session layer over the inline layer over `inner`.
fn stack<S>(manager: &SessionManager, inner: S) -> Stack<S> {
    let inner = InlineDefaultsLayer::new(manager.clone()).layer(inner);
    SessionLayer::new(manager.clone()).with_proof().layer(inner)
}

async fn send(
    setup: &Setup,
    manager: &SessionManager,
    call: Call,
) -> Result<Response<FakeBody>, BoxError> {
    stack(manager, setup.sipher.clone()).oneshot(call).await
}

/// Returns the chain that the server used.
async fn chain(answer: Response<FakeBody>) -> String {
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let chain = body["data"]["chain"].as_str();
    chain
        .unwrap_or_else(|| panic!("{status}: {body}"))
        .to_owned()
}

fn post(body: &'static str) -> Call {
    json(Full::from(body))
}

fn json<B>(body: B) -> Request<B> {
    Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

fn inlined<B>(answer: &Response<B>) -> Inlined {
    proof(answer).inlined()
}

fn proof<B>(answer: &Response<B>) -> Proof {
    *answer.extensions().get().expect("a proof was asked for")
}

fn bears_session<B>(answer: &Response<B>) -> bool {
    matches!(proof(answer), Proof::Session { .. })
}

/// A service that answers with the request it got.
fn echo<B>() -> impl Service<
    Request<ReadAhead<B>>,
    Response = Response<Request<Bytes>>,
    Error = BoxError,
    Future: Send,
> + Clone
where
    B: http_body::Body<Data: Send, Error: Into<BoxError> + Send> + Send + 'static,
{
    service_fn(|request: Request<ReadAhead<B>>| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(Into::into)?.to_bytes();
        Ok(Response::new(Request::from_parts(head, body)))
    })
}

fn id(request: &Request<Bytes>) -> Option<&str> {
    request.headers().get("x-session-id")?.to_str().ok()
}

fn kind(error: &BoxError) -> ErrorKind {
    Error::find(&**error)
        .unwrap_or_else(|| panic!("{error}"))
        .kind()
}
