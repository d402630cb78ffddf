//! The size and type of the service and of its future.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use sipher_session::{SessionLayer, SessionService, layer::ResponseFuture};
use tower::{Layer, Service};

use crate::{
    begin,
    support::{Setup, generate},
};

#[test]
fn the_inner_service_can_be_reached() {
    let manager = Setup::new().manager();
    let mut service = SessionService::new(String::from("inner"), manager.clone());
    assert_eq!(service.get_ref(), "inner");
    service.get_mut().push('!');
    assert_eq!(service.clone().into_inner(), "inner!");
    let service = SessionLayer::new(manager).layer(service.into_inner());
    assert_eq!(service.into_inner(), "inner!");
}

/// An inner service whose future is large.
#[derive(Clone)]
struct Large;

struct LargeFuture(
    #[allow(dead_code)] [u8; 4096],
    Ready<Result<Response<()>, Infallible>>,
);

impl Future for LargeFuture {
    type Output = Result<Response<()>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.1).poll(cx)
    }
}

impl<B> Service<Request<B>> for Large {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = LargeFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> LargeFuture {
        LargeFuture([0; 4096], ready(Ok(Response::new(()))))
    }
}

/// The layer's future contains no box around the inner future, and does not keep the request after handing it on.
#[test]
fn the_future_is_the_inner_one_and_a_lease_whatever_the_request_weighs() {
    let inner = size_of::<LargeFuture>();
    for size in [
        size_of::<ResponseFuture<Large, Request<()>>>(),
        size_of::<ResponseFuture<Large, Request<[u8; 65_536]>>>(),
    ] {
        assert!((inner..=inner + 48).contains(&size), "{size} over {inner}");
    }
}

#[tokio::test(start_paused = true)]
async fn debug_shows_how_far_a_response_is_and_no_secret() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut service = setup.service(&manager);
    let waiting = begin(&mut service, generate()).await;
    assert!(format!("{waiting:?}").contains("Waiting"));
    waiting.await.unwrap();
    let calling = begin(&mut service, generate()).await;
    assert!(format!("{calling:?}").contains("Calling"));
    calling.await.unwrap();

    let shown = format!("{service:?} {:?}", SessionLayer::new(manager));
    let id = setup.last_id().unwrap();
    assert!(
        !shown.contains(&*setup.key) && !shown.contains(&id[5..]),
        "{shown}"
    );
}

#[test]
fn a_layer_is_made_and_used_without_a_runtime() {
    let manager = Setup::new().manager();
    let mut service = SessionLayer::new(manager).layer(Large);
    let elsewhere = Request::get("https://other.example/").body(()).unwrap();
    let mut response = Box::pin(service.call(elsewhere));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(response.as_mut().poll(&mut cx).is_ready());
}
