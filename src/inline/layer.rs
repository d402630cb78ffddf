//! The tower layer that puts defaults into bodies.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    InlineBody, course,
    course::Found,
    future::{Chosen, InlineFuture},
    handoff, head,
    head::Reading,
    presence,
};
use crate::{
    error::BoxError,
    front::manager::SessionManager,
    model::inlining::InlineDefaults,
    scope::{Scope, Unaddressed},
};

/// Puts the defaults of a request's session into the request's body, as the server would. It is a
/// [`tower_layer::Layer`] for the place directly below the [`SessionLayer`](crate::SessionLayer) of the same manager.
///
/// The setting [`inline_defaults`](crate::SessionManagerBuilder::inline_defaults) says what this layer does. With
/// `reqwest` and `reqwest-middleware` you do not need it: the session layer does the same there.
///
/// The inner service gets an `http::Request<InlineBody<B>>`. A JSON body is collected before its request is sent, to
/// its end or to 1,048,576 bytes. Afterwards the session is checked again, because collecting may take long.
///
/// A JSON request to Sipher fails with [`ErrorKind::Config`](crate::ErrorKind::Config) in two cases:
///
/// - It did not pass a session layer of the same manager. Put this layer directly below such a layer.
/// - It is sent a second time between the two layers. Put retries above the session layer.
///
/// See the [module](super) for an example.
#[derive(Clone, Debug)]
pub struct InlineDefaultsLayer {
    manager: SessionManager,
}

impl InlineDefaultsLayer {
    /// Makes a layer for requests that have passed a session layer of this manager.
    pub fn new(sessions: SessionManager) -> Self {
        Self { manager: sessions }
    }
}

impl<S> Layer<S> for InlineDefaultsLayer {
    type Service = InlineDefaultsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let manager = self.manager.clone();
        InlineDefaultsService { inner, manager }
    }
}

/// Puts defaults into bodies, and passes the requests to the inner service. See [`InlineDefaultsLayer`].
#[derive(Clone, Debug)]
pub struct InlineDefaultsService<S> {
    inner: S,
    manager: SessionManager,
}

impl<S> InlineDefaultsService<S> {
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

    /// Returns whether a session layer above must have left a decision on this request.
    fn needs_decision<B>(&self, request: &Request<B>) -> bool {
        self.manager.core().settings.inline.defaults != InlineDefaults::Off
            && head::reading(request.headers()) == Reading::Json
            && self.manager.scope(request, Unaddressed::Elsewhere) == Scope::Sipher
    }

    /// Takes the service that was polled ready, and leaves a clone. The service that was polled must be called,
    /// because it may hold a permit.
    fn take(&mut self) -> S
    where
        S: Clone,
    {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for InlineDefaultsService<S>
where
    S: Service<Request<InlineBody<ReqBody>>, Response = Response<ResBody>> + Clone,
    S::Error: Into<BoxError>,
    ReqBody: Body,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = InlineFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let ready = self.inner.poll_ready(cx);
        presence::show(&self.manager);
        ready.map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match course::decision(request.extensions_mut(), &self.manager) {
            Found::Untouched => {}
            Found::Session(handoff, unsent) => {
                let chosen = Chosen::Session(unsent);
                return InlineFuture::reading(self.take(), request, handoff, chosen);
            }
            Found::Open(handoff, waiting) => {
                let chosen = Chosen::None(waiting);
                return InlineFuture::reading(self.take(), request, handoff, chosen);
            }
            Found::Nothing if !self.needs_decision(&request) => {}
            Found::Nothing | Found::Used => {
                drop(self.take());
                return InlineFuture::failed(handoff::missing());
            }
        }
        InlineFuture::calling(self.inner.call(request.map(InlineBody::untouched)))
    }
}
