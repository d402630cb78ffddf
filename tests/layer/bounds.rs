//! The services that may stand below the layer, and the wrappers that the layer's service fits into: tower's own boxes
//! above and below, and bodies that are only `Send`.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use sipher_session::{
    CheckedLayer, InlineDefaultsLayer, SessionLayer,
    testing::{FakeBody, FakeSipher},
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    buffer::Buffer,
    limit::RateLimit,
    util::{BoxCloneService, BoxCloneSyncService, BoxService},
};

use crate::support::{SECOND, Setup, generate};

/// A request whose body is not `Sync`, like the bodies of hyper and axum.
type Unsync = Request<UnsyncBoxBody<Bytes, BoxError>>;

fn unsync() -> Unsync {
    generate().map(|body| body.map_err(BoxError::from).boxed_unsync())
}

/// A service whose future is not `Sync`, like that of any boxed service.
fn boxed(setup: &Setup) -> BoxCloneSyncService<Unsync, Response<FakeBody>, BoxError> {
    let sipher = setup.sipher.clone();
    BoxCloneSyncService::new(ServiceExt::<Unsync>::map_err(sipher, BoxError::from))
}

#[tokio::test(start_paused = true)]
async fn the_service_can_be_boxed_in_every_way_that_tower_has() {
    let setup = Setup::new();
    let service = || SessionLayer::new(setup.manager()).layer(boxed(&setup));
    BoxCloneSyncService::new(service())
        .oneshot(unsync())
        .await
        .unwrap();
    BoxCloneService::new(service())
        .oneshot(unsync())
        .await
        .unwrap();
    BoxService::new(service()).oneshot(unsync()).await.unwrap();
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_stack_of_all_layers_can_be_boxed_too() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = ServiceBuilder::new()
        .layer(CheckedLayer::new(manager.clone()))
        .layer(SessionLayer::new(manager.clone()).with_proof())
        .layer(InlineDefaultsLayer::new(manager))
        .service(setup.sipher.clone());
    BoxCloneSyncService::new(service)
        .oneshot(unsync())
        .await
        .unwrap();
    setup.sipher.assert_every_call_had_a_session();
}

/// The layer requires `Clone` of the service below it, and `RateLimit` is not `Clone`.
#[tokio::test(start_paused = true)]
async fn what_is_not_clone_stands_below_in_a_buffer() {
    let setup = Setup::new();
    let limited: RateLimit<_> = ServiceBuilder::new()
        .rate_limit(1, SECOND)
        .service(boxed(&setup));
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(setup.manager()))
        .service(Buffer::new(limited, 8));
    BoxCloneSyncService::new(service)
        .oneshot(unsync())
        .await
        .unwrap();
    setup.sipher.assert_every_call_had_a_session();
}

/// Accepts any request. Its future is `Sync`, like that of hyper-util's client.
#[derive(Clone)]
struct Answers;

impl<B> Service<Request<B>> for Answers {
    type Response = Response<Empty<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Empty::new())))
    }
}

/// The bounds of `ServiceBuilder::boxed_clone_sync`.
fn can_be_boxed<S, R>(service: S) -> S
where
    S: Service<R> + Clone + Send + Sync + 'static,
    S::Future: Send + Sync + 'static,
{
    service
}

#[test]
fn the_future_is_sync_where_the_inner_one_is_whatever_the_body() {
    let manager = Setup::new().manager();
    let sessions = || SessionLayer::new(manager.clone());
    let replayed = sessions().replay_once().layer(Answers);
    let _ = can_be_boxed::<_, Unsync>(sessions().layer(Answers));
    let _ = can_be_boxed::<_, Unsync>(sessions().with_proof().layer(Answers));
    let _ = can_be_boxed::<_, Request<Full<Bytes>>>(replayed);
    let _ = can_be_boxed::<_, Unsync>(InlineDefaultsLayer::new(manager.clone()).layer(Answers));
    let _ = can_be_boxed::<_, Unsync>(
        CheckedLayer::new(manager.clone()).layer(sessions().layer(Answers)),
    );
    let _ = can_be_boxed::<_, Unsync>(SessionLayer::new(manager.clone()).layer(FakeSipher::new()));
}
