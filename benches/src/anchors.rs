//! The anchors: what a user would have without sessions. These are the bare inner service, and constant headers that
//! are inserted by the simplest means.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response};
use pin_project_lite::pin_project;
use sipher_session::{BoxError, NoSession, SessionDefaults};
use tower::Service;
use tower_http::set_header::{SetRequestHeader, SetRequestHeaderLayer};

use crate::request::{API_KEY, Call, SESSION_ID, Sink, session_id};

type SinkFuture = <Sink as Service<Call>>::Future;

/// Inserts a constant by hand, in a service that does nothing else.
#[derive(Clone, Debug)]
pub struct ByHand(HeaderValue);

impl ByHand {
    /// A static value. A clone of it changes no reference count.
    pub fn with_static() -> Self {
        Self(HeaderValue::from_static(
            "sess_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ))
    }

    /// A value whose clones share a reference count.
    pub fn shared(value: &HeaderValue) -> Self {
        Self(value.clone())
    }

    /// A value with a reference count of its own, on cache lines of its own.
    pub fn own_copy(value: &HeaderValue) -> Self {
        #[repr(align(128))]
        struct Apart([u8; 128], usize);
        impl AsRef<[u8]> for Apart {
            fn as_ref(&self) -> &[u8] {
                &self.0[..self.1]
            }
        }
        let mut apart = Apart([0; 128], value.len());
        apart.0[..value.len()].copy_from_slice(value.as_bytes());
        let copy = HeaderValue::from_maybe_shared(Bytes::from_owner(apart));
        Self(copy.expect("it was one before"))
    }
}

impl Service<Call> for ByHand {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = SinkFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Call) -> Self::Future {
        request.headers_mut().insert(SESSION_ID, self.0.clone());
        Sink.call(request)
    }
}

/// Does everything that the session layer does with headers and extensions, and nothing else. It checks for one key, no
/// id, and no opt-out.
#[derive(Clone, Debug)]
pub struct SameHeaderWork {
    key: HeaderValue,
    id: HeaderValue,
}

impl SameHeaderWork {
    pub fn new(key: HeaderValue) -> Self {
        Self {
            key,
            id: session_id(),
        }
    }
}

impl Service<Call> for SameHeaderWork {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = SinkFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Call) -> Self::Future {
        let mut keys = request.headers().get_all(API_KEY).iter();
        let known = keys.next() == Some(&self.key) && keys.next().is_none();
        let extensions = request.extensions();
        let plain = extensions.get::<NoSession>().is_none()
            && extensions.get::<SessionDefaults>().is_none();
        if known && plain && !request.headers().contains_key(SESSION_ID) {
            request.headers_mut().insert(SESSION_ID, self.id.clone());
        }
        Sink.call(request)
    }
}

/// tower-http's layer, which has no sessions. All other cases are compared with it.
pub fn set_request_header() -> SetRequestHeader<Sink, HeaderValue> {
    use tower::Layer;
    SetRequestHeaderLayer::overriding(SESSION_ID, session_id()).layer(Sink)
}

/// Does nothing, with a future of the same shape as a session layer's.
#[derive(Clone, Debug)]
pub struct Identity;

pin_project! {
    #[project = IdentityProj]
    pub enum IdentityFuture {
        Calling { #[pin] future: SinkFuture, held: Option<Arc<()>> },
        Waiting { waiting: Option<Box<Call>> },
        Failed { error: Option<BoxError> },
    }
}

impl Future for IdentityFuture {
    type Output = Result<Response<()>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            IdentityProj::Calling { future, held } => {
                let response = std::task::ready!(future.poll(cx)).map_err(Into::into);
                drop(held.take());
                Poll::Ready(response)
            }
            IdentityProj::Waiting { .. } => Poll::Pending,
            IdentityProj::Failed { error } => {
                Poll::Ready(Err(error.take().expect("not polled after it was ready")))
            }
        }
    }
}

impl Service<Call> for Identity {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = IdentityFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Call) -> Self::Future {
        IdentityFuture::Calling {
            future: Sink.call(request),
            held: None,
        }
    }
}
