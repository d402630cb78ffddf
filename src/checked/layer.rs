//! The checked layer and its service.

use std::task::{Context, Poll};

use http::{Method, Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    CheckedBody, CheckedReplayLayer,
    future::{Answering, CheckedFuture},
    rules,
};
use crate::{
    api::SessionDefaults,
    error::BoxError,
    front::{
        expectation::Expectation, in_flight::InFlightRequest, manager::SessionManager,
        message::Outgoing,
    },
    inline::carrier::Carrier,
    layer::{ResponseFuture, SessionLayer, SessionService},
    scope::{Scope, session_id_in},
};

/// A [`SessionLayer`] that also reads the answer. It withholds an answer that is for another chain than the
/// session's. Made by [`SessionLayer::checked`], or here with the manager's defaults.
///
/// See the [module](super) for which answers are checked, and what the caller gets.
#[derive(Clone, Debug)]
pub struct CheckedLayer(SessionLayer);

impl CheckedLayer {
    /// Makes a layer that uses the manager's defaults.
    pub fn new(sessions: SessionManager) -> Self {
        Self::over(SessionLayer::new(sessions))
    }

    pub(crate) fn over(layer: SessionLayer) -> Self {
        Self(layer.with_proof())
    }

    /// Makes this layer use exactly these defaults instead of the manager's, like [`SessionLayer::defaults`].
    #[must_use]
    pub fn defaults(self, defaults: SessionDefaults) -> Self {
        Self(self.0.defaults(defaults))
    }

    /// Changes nothing: a checked layer always adds a proof. The method exists so that the order of calls does not
    /// matter.
    #[must_use]
    pub fn with_proof(self) -> Self {
        self
    }

    /// Says that the inner service sends requests with a relative URI to Sipher, like
    /// [`SessionLayer::inner_is_sipher`].
    #[must_use]
    pub fn inner_is_sipher(self) -> Self {
        Self(self.0.inner_is_sipher())
    }

    /// Changes nothing: the layer checks already.
    #[must_use]
    pub fn checked(self) -> Self {
        self
    }

    /// Makes this layer also send a request a second time if the first sending showed a sign of a restart, like
    /// [`SessionLayer::replay_once`].
    pub fn replay_once(self) -> CheckedReplayLayer {
        CheckedReplayLayer::over(self.0)
    }

    #[cfg(feature = "reqwest-middleware")]
    pub(super) fn layer(&self) -> &SessionLayer {
        &self.0
    }

    /// Returns whether the answer to this request can be checked. The answer has to name the chain that was used, and
    /// the server has to merge the session's chain into a body that names none.
    pub(super) fn may_check<R: Outgoing>(&self, request: &R) -> bool {
        let is_route = |(method, path): (&Method, &str)| rules::is_route(method, path);
        request.method_and_path().is_some_and(is_route)
            && rules::is_plain_json(request.headers())
            && self.0.scope(request) == Scope::Sipher
    }

    /// Returns what to expect of the answer, if a layer further up has already given the request a session.
    pub(super) fn made_ready<R: Outgoing>(&self, request: &R) -> Option<Expectation> {
        let expectation = self.0.manager().expectation_of(request.headers())?;
        let (_, path) = request.method_and_path()?;
        let is_plain = session_id_in(path).is_none() && self.0.scope(request) == Scope::Sipher;
        is_plain.then_some(expectation)
    }
}

impl<S> Layer<S> for CheckedLayer {
    type Service = Checked<S>;

    fn layer(&self, inner: S) -> Checked<S> {
        Checked {
            inner: self.0.layer(inner),
            layer: self.clone(),
        }
    }
}

/// Puts sessions on requests, and withholds answers that are for another chain. See [`CheckedLayer`].
#[derive(Clone, Debug)]
pub struct Checked<S> {
    inner: SessionService<S>,
    layer: CheckedLayer,
}

impl<S> Checked<S> {
    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        self.inner.get_ref()
    }

    /// Returns the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        self.inner.get_mut()
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner.into_inner()
    }

    #[cfg(feature = "reqwest")]
    pub(super) fn layer(&self) -> &CheckedLayer {
        &self.layer
    }

    /// Sends a request. Its answer is checked if `checks` is set.
    pub(super) fn respond<R>(&mut self, request: R, checks: bool) -> Answering<S, R>
    where
        R: Carrier,
        S: Service<R> + Clone,
        S::Response: super::answer::Answer,
    {
        match self.layer.made_ready(&request) {
            Some(expectation) => {
                let future = self.inner.get_mut().call(request);
                let future = ResponseFuture::calling(future, InFlightRequest::default(), false);
                Answering::new(future, checks, Some(expectation))
            }
            None => Answering::new(self.inner.respond(request), checks, None),
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Checked<S>
where
    S: Service<Request<CheckedBody<ReqBody>>, Response = Response<ResBody>> + Clone,
    S::Error: Into<BoxError>,
    ReqBody: Body,
    ResBody: Body,
{
    type Response = Response<CheckedBody<ResBody>>;
    type Error = BoxError;
    type Future = CheckedFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner
            .poll_inner_ready::<Request<CheckedBody<ReqBody>>>(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        if self.layer.may_check(&request) {
            // Call the service that was polled ready, not a clone of it: it may hold a permit.
            let clone = self.clone();
            let ready = std::mem::replace(self, clone);
            CheckedFuture::asking(ready, request)
        } else {
            let request = request.map(CheckedBody::untouched);
            CheckedFuture::answering(self.respond(request, false))
        }
    }
}
