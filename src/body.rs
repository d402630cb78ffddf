//! Bodies that this crate reads before it sends them on.
//!
//! The [checked](crate::checked) layer reads answers, and the [inline](crate::inline) layer reads requests. The
//! bodies that they send on yield the same bytes, trailers and errors.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::model::inlining::NotInlined;

pin_project! {
    /// A body of which a part, or all, may have been read ahead.
    ///
    /// A `ReadAhead` yields the same bytes, trailers and errors as the original body. The bytes that were read ahead
    /// come as one frame.
    pub struct ReadAhead<B>
    where
        B: Body,
    {
        data: Bytes,
        trailers: Option<HeaderMap>,
        error: Option<B::Error>,
        #[pin]
        rest: Rest<B>,
    }
}

pin_project! {
    #[project = RestProj]
    enum Rest<B> {
        Untouched { #[pin] body: B },
        // This body was polled, so it must not move any more.
        Begun { body: Pin<Box<B>> },
        Ended,
    }
}

impl<B: Body> ReadAhead<B> {
    pub(crate) fn untouched(body: B) -> Self {
        Self {
            data: Bytes::new(),
            trailers: None,
            error: None,
            rest: Rest::Untouched { body },
        }
    }

    /// Takes the bytes if the body was read to its end without an error and has no trailers.
    #[cfg(feature = "reqwest")]
    pub(crate) fn take_whole(&mut self) -> Option<Bytes> {
        let is_whole = self.trailers.is_none() && self.whole().is_some();
        is_whole.then(|| std::mem::take(&mut self.data))
    }

    /// Returns the bytes if the body was read to its end without an error. There may still be trailers.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        (matches!(self.rest, Rest::Ended) && self.error.is_none()).then_some(&self.data)
    }

    /// Returns why the body was not read to its end, or `None` if it was.
    pub(crate) fn unread(&self) -> Option<NotInlined> {
        match self.rest {
            _ if self.error.is_some() => Some(NotInlined::BodyFailed),
            Rest::Ended => None,
            Rest::Untouched { .. } | Rest::Begun { .. } => Some(NotInlined::TooLong),
        }
    }

    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// Replaces the bytes that were read ahead.
    pub(crate) fn set_data(&mut self, data: Bytes) {
        self.data = data;
    }

    fn size_of_rest(&self) -> SizeHint {
        match &self.rest {
            Rest::Untouched { body } => body.size_hint(),
            Rest::Begun { body } => body.size_hint(),
            Rest::Ended => SizeHint::with_exact(0),
        }
    }
}

impl<B: Body> Body for ReadAhead<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if !this.data.is_empty() {
            let data = std::mem::take(this.data);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = this.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if let Some(error) = this.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match this.rest.project() {
            RestProj::Untouched { body } => ready!(body.poll_frame(cx)),
            RestProj::Begun { body } => ready!(body.as_mut().poll_frame(cx)),
            RestProj::Ended => None,
        };
        Poll::Ready(frame.map(|frame| Ok(frame?.map_data(into_bytes))))
    }

    fn is_end_stream(&self) -> bool {
        let nothing_read = self.data.is_empty() && self.trailers.is_none() && self.error.is_none();
        nothing_read
            && match &self.rest {
                Rest::Untouched { body } => body.is_end_stream(),
                Rest::Begun { body } => body.is_end_stream(),
                Rest::Ended => true,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let (read, rest) = (self.data.len() as u64, self.size_of_rest());
        let mut size = SizeHint::new();
        // A body with trailers reports no upper bound. With an exact length, a client would send `Content-Length` and
        // drop the trailers.
        if let Some(upper) = rest.upper().filter(|_| self.trailers.is_none()) {
            size.set_upper(upper.saturating_add(read));
        }
        size.set_lower(rest.lower().saturating_add(read));
        size
    }
}

/// tower-http's `FollowRedirect` requires a body that is `Default`. So a layer that sends this body can wrap it.
impl<B: Body + Default> Default for ReadAhead<B> {
    fn default() -> Self {
        Self::untouched(B::default())
    }
}

impl<B: Body> fmt::Debug for ReadAhead<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead")
            .field("read_ahead", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// Returns the data as `Bytes`. Data that is `Bytes` already is not copied.
fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

/// Reads a body into memory, up to a limit, before the body is sent on.
pub(crate) struct Peek<B: Body> {
    /// `None` once `poll` has returned the body.
    body: Option<Pin<Box<B>>>,
    first: Bytes,
    /// All bytes, those of `first` included. Empty until a second frame comes.
    all: BytesMut,
}

impl<B: Body> Peek<B> {
    pub(crate) fn into(body: B) -> Self {
        Self {
            body: Some(Box::pin(body)),
            first: Bytes::new(),
            all: BytesMut::new(),
        }
    }

    /// Returns the body to send on, and its bytes if it ended within `limit`.
    pub(crate) fn poll(
        &mut self,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<(Option<Bytes>, ReadAhead<B>)> {
        loop {
            let body = self.body.as_mut().expect("not polled after it was ready");
            let left = limit.saturating_sub(self.first.len().max(self.all.len()));
            if body.size_hint().lower() > left as u64 {
                return Poll::Ready(self.hand_on(None, None, false));
            }
            match ready!(body.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(self.hand_on(None, None, true)),
                Some(Err(error)) => return Poll::Ready(self.hand_on(None, Some(error), false)),
                Some(Ok(frame)) => match frame.map_data(into_bytes).into_data() {
                    Ok(data) => {
                        let is_too_long = data.len() > left;
                        self.keep(data);
                        if is_too_long {
                            return Poll::Ready(self.hand_on(None, None, false));
                        }
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            return Poll::Ready(self.hand_on(Some(trailers), None, true));
                        }
                    }
                },
            }
        }
    }

    fn keep(&mut self, data: Bytes) {
        if self.first.is_empty() {
            self.first = data;
        } else {
            if self.all.is_empty() {
                self.all.extend_from_slice(&self.first);
            }
            self.all.extend_from_slice(&data);
        }
    }

    fn hand_on(
        &mut self,
        trailers: Option<HeaderMap>,
        error: Option<B::Error>,
        is_whole: bool,
    ) -> (Option<Bytes>, ReadAhead<B>) {
        let data = if self.all.is_empty() {
            std::mem::take(&mut self.first)
        } else {
            std::mem::take(&mut self.all).freeze()
        };
        let rest = match self.body.take() {
            Some(body) if !is_whole => Rest::Begun { body },
            _ => Rest::Ended,
        };
        let whole = is_whole.then(|| data.clone());
        let body = ReadAhead {
            data,
            trailers,
            error,
            rest,
        };
        (whole, body)
    }
}
