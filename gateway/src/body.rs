//! The bodies that pass through, piece by piece.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use sipher_session::BoxError;
use tokio::time::Instant;

use crate::{activity::InFlight, stall::Stall, token};

/// Why a body broke off.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The caller sends more than `max_body_bytes`.
    TooLong(u64),
    /// Nothing arrived from the caller for `idle_timeout`.
    Stalled(Duration),
    /// The caller's body ended before its end, or is malformed.
    Broken(hyper::Error),
    /// Nothing more arrived of the answer for `upstream_timeout`.
    AnswerStalled(Duration),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => {
                write!(
                    f,
                    "the body is longer than {limit} bytes (gateway.max_body_bytes)"
                )
            }
            Self::Stalled(after) => write!(
                f,
                "nothing more of the body arrived for {} (gateway.idle_timeout)",
                humantime::format_duration(*after)
            ),
            Self::Broken(_) => f.write_str("the body broke off, or is malformed"),
            Self::AnswerStalled(after) => write!(
                f,
                "nothing more of Sipher's answer arrived for {} (gateway.upstream_timeout)",
                humantime::format_duration(*after)
            ),
        }
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            _ => None,
        }
    }
}

/// When the last piece of a request went on to Sipher. From then on, Sipher's answer is awaited.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn moved(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

pin_project! {
    /// A caller's body: counted, and with a limit on its pauses.
    #[derive(Debug)]
    pub(crate) struct RequestBody {
        #[pin]
        inner: Incoming,
        passed: u64,
        limit: u64,
        idle_timeout: Duration,
        stall: Stall,
        progress: Progress,
    }
}

impl RequestBody {
    pub(crate) fn new(
        inner: Incoming,
        limit: u64,
        idle_timeout: Duration,
        progress: Progress,
    ) -> Self {
        Self {
            inner,
            passed: 0,
            limit,
            idle_timeout,
            stall: Stall::new(idle_timeout),
            progress,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let Poll::Ready(frame) = this.inner.poll_frame(cx) else {
            return match this.stall.poll(cx) {
                Poll::Ready(()) => failed(BodyError::Stalled(*this.idle_timeout)),
                Poll::Pending => Poll::Pending,
            };
        };
        this.stall.moved();
        this.progress.moved();
        let mut frame = match frame {
            None => return Poll::Ready(None),
            Some(Err(error)) => return failed(BodyError::Broken(error)),
            Some(Ok(frame)) => frame,
        };
        if let Some(data) = frame.data_ref() {
            *this.passed = this.passed.saturating_add(data.len() as u64);
            if *this.passed > *this.limit {
                return failed(BodyError::TooLong(*this.limit));
            }
        }
        if let Some(trailers) = frame.trailers_mut() {
            clean(trailers);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Removes what must not come in behind a body: the layers have decided on the headers in front of it.
fn clean(trailers: &mut HeaderMap) {
    for name in ["authorization", "x-api-key", "x-session-id"] {
        trailers.remove(name);
    }
    trailers.remove(token::HEADER);
}

fn failed<T>(error: BodyError) -> Poll<Option<Result<T, BoxError>>> {
    Poll::Ready(Some(Err(error.into())))
}

pin_project! {
    /// The body of an answer. The request is in flight until it is dropped.
    #[derive(Debug)]
    pub(crate) struct AnswerBody {
        #[pin]
        inner: Inner,
        pub(crate) in_flight: Option<InFlight>,
    }
}

pin_project! {
    #[project = InnerProj]
    #[derive(Debug)]
    enum Inner {
        Own { #[pin] body: Full<Bytes> },
        Sipher { #[pin] body: Incoming, timeout: Duration, stall: Stall },
    }
}

impl AnswerBody {
    pub(crate) fn own(body: impl Into<Bytes>) -> Self {
        let body = Full::new(body.into());
        let inner = Inner::Own { body };
        let in_flight = None;
        Self { inner, in_flight }
    }

    pub(crate) fn of_sipher(body: Incoming, timeout: Duration) -> Self {
        let stall = Stall::new(timeout);
        let inner = Inner::Sipher {
            body,
            timeout,
            stall,
        };
        let in_flight = None;
        Self { inner, in_flight }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().inner.project() {
            InnerProj::Own { body } => body.poll_frame(cx).map_err(|never| match never {}),
            InnerProj::Sipher {
                body,
                timeout,
                stall,
            } => match body.poll_frame(cx) {
                Poll::Ready(frame) => {
                    stall.moved();
                    Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
                }
                Poll::Pending => match stall.poll(cx) {
                    Poll::Ready(()) => failed(BodyError::AnswerStalled(*timeout)),
                    Poll::Pending => Poll::Pending,
                },
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Own { body } => body.is_end_stream(),
            Inner::Sipher { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Own { body } => body.size_hint(),
            Inner::Sipher { body, .. } => body.size_hint(),
        }
    }
}
