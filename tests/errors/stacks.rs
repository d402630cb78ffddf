//! Errors pass through tower's own middleware, above and below the layer.

use std::{future::Ready, time::Duration};

use http::Response;
use sipher_session::{BoxError, Error, SessionLayer, testing::FakeBody};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    buffer::BufferLayer,
    load_shed::LoadShedLayer,
    retry::{Policy, RetryLayer},
    timeout::TimeoutLayer,
};

use crate::{
    Call, assert_is_quota,
    support::{Setup, generate},
    without_quota,
};

#[derive(Clone)]
struct Twice(bool);

impl<R, E> Policy<Call, R, E> for Twice {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Call, _: &mut Result<R, E>) -> Option<Ready<()>> {
        std::mem::take(&mut self.0).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Call) -> Option<Call> {
        Some(request.clone())
    }
}

async fn fails<S>(service: S)
where
    S: Service<Call, Response = Response<FakeBody>, Error = BoxError>,
{
    let error = service.oneshot(generate()).await.unwrap_err();
    assert_is_quota(Error::find(&error));
    assert_is_quota(Error::find(&*error));
    assert_is_quota(error.downcast_ref());
}

/// Sends requests with one of tower's layers above the session layer, and then below it.
async fn fails_over<L, O, I>(setup: &Setup, layer: L)
where
    L: Layer<sipher_session::SessionService<sipher_session::testing::FakeSipher>, Service = O>
        + Layer<sipher_session::testing::FakeSipher, Service = I>,
    O: Service<Call, Response = Response<FakeBody>, Error = BoxError>,
    I: Service<Call, Response = Response<FakeBody>> + Clone,
    I::Error: Into<BoxError>,
{
    fails(layer.layer(setup.service(&setup.manager()))).await;
    let inner = layer.layer(setup.sipher.clone());
    fails(SessionLayer::new(setup.manager()).layer(inner)).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_found_through_timeout_load_shed_and_buffer() {
    let setup = without_quota();
    fails_over(&setup, TimeoutLayer::new(Duration::from_secs(50))).await;
    fails_over(&setup, LoadShedLayer::new()).await;
    fails_over(&setup, BufferLayer::<Call>::new(4)).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_found_through_retries() {
    let setup = without_quota();
    fails(RetryLayer::new(Twice(true)).layer(setup.service(&setup.manager()))).await;
    let inner = RetryLayer::new(Twice(true)).layer(setup.sipher.clone());
    fails(SessionLayer::new(setup.manager()).layer(inner)).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_found_through_all_of_them_at_once() {
    let setup = without_quota();
    let service = ServiceBuilder::new()
        .load_shed()
        .buffer(4)
        .timeout(Duration::from_secs(50))
        .retry(Twice(true))
        .layer(SessionLayer::new(setup.manager()))
        .service(setup.sipher.clone());
    fails(service).await;
}
