//! The service that the layer makes of another.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{SessionLayer, future::ResponseFuture};
use crate::{
    error::BoxError,
    manager::{SessionManager, admit::Admission, message::Outgoing},
};

/// Puts sessions on requests, and hands them to the inner service. See the [module](super) for an example.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    layer: SessionLayer,
}

impl<S> SessionService<S> {
    /// Wraps a service.
    pub fn new(inner: S, sessions: SessionManager) -> Self {
        Self::with(inner, SessionLayer::new(sessions))
    }

    pub(crate) fn with(inner: S, layer: SessionLayer) -> Self {
        Self { inner, layer }
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }

    pub(crate) fn layer(&self) -> &SessionLayer {
        &self.layer
    }

    pub(crate) fn respond<R>(&mut self, mut request: R) -> ResponseFuture<S, R>
    where
        R: Outgoing,
        S: Service<R> + Clone,
    {
        let proves = self.layer.proves();
        match self.layer.admit(&mut request) {
            Ok(Admission::Send(in_flight)) => {
                ResponseFuture::calling(self.inner.call(request), in_flight, proves)
            }
            Ok(Admission::Wait(admission)) => {
                // The service that was polled ready must be the one that is called: it may hold a permit.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::waiting(ready, request, admission, proves)
            }
            Err(error) => {
                // Not called, the ready service would keep its permit until somebody does.
                self.inner = self.inner.clone();
                ResponseFuture::failed(error)
            }
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S, Request<ReqBody>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        self.respond(request)
    }
}
