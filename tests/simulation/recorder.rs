//! Records the bodies that leave the client, as far as the server reads them.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use sipher_session::BoxError;
use tower::Service;

use crate::wire::{self, Seen, Wire};

/// A body, and the headers that describe it.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) n: Option<u64>,
    pub(crate) id: Option<String>,
    pub(crate) length: Option<String>,
    pub(crate) bytes: Vec<u8>,
    /// Whether the body was read to its end.
    pub(crate) is_whole: bool,
}

/// All bodies, in the order in which their requests were sent.
#[derive(Clone, Default)]
pub(crate) struct Bodies(Arc<Mutex<Vec<Passed>>>);

impl Bodies {
    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<Passed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a body. Returns its index.
    fn begin(&self, path: &str, headers: &HeaderMap) -> usize {
        let text = |name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let mut all = self.all();
        all.push(Passed {
            n: wire::number(path, text("x-request-id").as_deref()),
            id: text("x-session-id"),
            length: text("content-length"),
            bytes: Vec::new(),
            is_whole: false,
        });
        all.len() - 1
    }
}

/// The wire, with a record of the bodies.
#[derive(Clone)]
pub(crate) struct Recorder(pub(crate) Wire);

impl<B> Service<Request<B>> for Recorder
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    type Response = Response<Seen>;
    type Error = io::Error;
    type Future = <Wire as Service<Request<Recorded<B>>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let bodies = self.0.bodies.clone();
        let place = bodies.begin(request.uri().path(), request.headers());
        self.0.call(request.map(|body| Recorded {
            body,
            bodies,
            place,
        }))
    }
}

pub(crate) struct Recorded<B> {
    body: B,
    bodies: Bodies,
    place: usize,
}

impl<B> Body for Recorded<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let mut all = self.bodies.all();
        let passed = &mut all[self.place];
        match &frame {
            None => passed.is_whole = true,
            Some(Ok(frame)) => passed
                .bytes
                .extend_from_slice(frame.data_ref().map_or(&[], Bytes::as_ref)),
            Some(Err(_)) => {}
        }
        drop(all);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
