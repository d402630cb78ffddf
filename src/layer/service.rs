//! The service that the layer makes of the inner service.

use std::{
    mem,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use tower_service::Service;

use super::{SessionLayer, future::ResponseFuture};
use crate::{
    error::{BoxError, Error},
    front::{admit::Admission, manager::SessionManager, waiting::Waiting},
    inline::{
        carrier::{Carried, Carrier},
        course,
        course::{Course, Stack},
        presence,
    },
    model::inlining::NotInlined,
};

/// Puts sessions on requests, and passes them to the inner service. See the [module](super) for an example.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    layer: SessionLayer,
    /// Whether an inline layer below puts defaults into bodies. It makes itself known while the inner service is polled
    /// for readiness.
    has_inline_layer: bool,
}

impl<S> SessionService<S> {
    /// Wraps a service.
    pub fn new(inner: S, sessions: SessionManager) -> Self {
        Self::with(inner, SessionLayer::new(sessions))
    }

    pub(crate) fn with(inner: S, layer: SessionLayer) -> Self {
        Self {
            inner,
            layer,
            has_inline_layer: false,
        }
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

    /// Polls the inner service for readiness, and notes whether an inline layer stands below.
    #[inline]
    pub(crate) fn poll_inner_ready<R>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Service<R>,
        S::Error: Into<BoxError>,
    {
        if !self.layer.inlines() {
            return self.inner.poll_ready(cx).map_err(Into::into);
        }
        let inner = &mut self.inner;
        let (ready, is_there) = presence::watch(self.layer.manager(), || inner.poll_ready(cx));
        if ready.is_ready() {
            self.has_inline_layer = is_there;
        }
        ready.map_err(Into::into)
    }

    /// Looks for an inline layer again, for a caller that did not poll this service for readiness.
    fn look_below<R>(&mut self, request: &R)
    where
        R: Carrier,
        S: Service<R>,
    {
        if self.has_inline_layer || !matches!(request.carried(), Carried::Below) {
            return;
        }
        let (inner, cx) = (&mut self.inner, &mut Context::from_waker(Waker::noop()));
        let look = || drop(inner.poll_ready(cx));
        self.has_inline_layer = presence::watch(self.layer.manager(), look).1;
    }

    pub(super) fn stack(&self) -> Stack<'_> {
        Stack {
            manager: self.layer.manager(),
            has_inline_layer: self.has_inline_layer,
        }
    }

    pub(crate) fn respond<R>(&mut self, mut request: R) -> ResponseFuture<S, R>
    where
        R: Carrier,
        S: Service<R> + Clone,
    {
        if self.layer.collects(&request) {
            return self.respond_collecting(request);
        }
        let proves = self.layer.proves();
        match self.layer.admit(&mut request) {
            Ok(Admission::Send(in_flight)) if self.layer.may_inline(&request, &in_flight) => {
                self.look_below(&request);
                let course = course::beside(self.stack(), &mut request, in_flight, None);
                self.take().follow(course, request, None)
            }
            Ok(Admission::Send(in_flight)) => {
                ResponseFuture::calling(self.inner.call(request), in_flight, proves)
            }
            Ok(Admission::Wait(waiting)) => self.respond_later(request, waiting),
            Err(error) => self.refuse(error),
        }
    }

    /// Answers a request for which no session is at hand.
    #[cold]
    #[inline(never)]
    fn respond_later<R>(&mut self, mut request: R, waiting: Waiting) -> ResponseFuture<S, R>
    where
        R: Carrier,
        S: Service<R> + Clone,
    {
        if !self.layer.inlines() {
            return ResponseFuture::waiting(self.take(), request, waiting.wait(), None);
        }
        if self.layer.reads_stream(&request) {
            return self.respond_collecting(request);
        }
        self.look_below(&request);
        let course = course::instead(self.stack(), &mut request, waiting, None);
        self.take().follow(course, request, None)
    }

    /// Collects a stream before the session is chosen, so that the session is still good when the request is sent.
    #[cold]
    #[inline(never)]
    fn respond_collecting<R>(&mut self, request: R) -> ResponseFuture<S, R>
    where
        R: Carrier,
        S: Service<R> + Clone,
    {
        match request.collect(self.layer.manager().clone()) {
            Ok(collecting) => ResponseFuture::collecting(self.take(), collecting),
            Err(request) => self.take().set_out(request, None),
        }
    }

    /// Sends a request whose body is at hand, or lets it wait for a session.
    pub(super) fn set_out<R>(
        self,
        mut request: R,
        unread: Option<NotInlined>,
    ) -> ResponseFuture<S, R>
    where
        R: Carrier,
        S: Service<R>,
    {
        let course = self.layer.set_out(self.stack(), &mut request, unread);
        self.follow(course, request, unread)
    }

    pub(super) fn follow<R>(
        mut self,
        course: Result<Course, Error>,
        request: R,
        unread: Option<NotInlined>,
    ) -> ResponseFuture<S, R>
    where
        S: Service<R>,
    {
        match course {
            Ok(Course::Send(in_flight)) => {
                let proves = self.layer.proves();
                ResponseFuture::calling(self.inner.call(request), in_flight, proves)
            }
            Ok(Course::HandDown(handoff)) => {
                let proves = self.layer.proves();
                ResponseFuture::handed(self.inner.call(request), handoff, proves)
            }
            Ok(Course::Wait(waiting)) => {
                ResponseFuture::waiting(self, request, waiting.wait(), unread)
            }
            Err(error) => ResponseFuture::failed(error),
        }
    }

    /// Takes the service that was polled ready, and leaves a clone. The service that was polled must be called,
    /// because it may hold a permit. Dropping it without a call gives the permit back.
    fn take(&mut self) -> Self
    where
        S: Clone,
    {
        let clone = self.clone();
        mem::replace(self, clone)
    }

    #[cold]
    fn refuse<R>(&mut self, error: Error) -> ResponseFuture<S, R>
    where
        S: Service<R> + Clone,
    {
        drop(self.take());
        ResponseFuture::failed(error)
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
        self.poll_inner_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        self.respond(request)
    }
}
