//! The body of an answer: complete, broken off, or slow.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::FakeError;

/// The body of an answer from [`FakeSipher`](super::FakeSipher).
///
/// It always announces its full length, even if a fault breaks it off.
pub struct FakeBody {
    rest: Bytes,
    manner: Manner,
}

enum Manner {
    Whole,
    /// The connection is lost after this many more bytes.
    Breaks(usize),
    /// The next poll reports the lost connection.
    Broken,
    /// One byte at a time, each after a pause.
    Slow(Duration, Pin<Box<Sleep>>),
}

impl FakeBody {
    pub(super) fn whole(rest: Bytes) -> Self {
        let manner = Manner::Whole;
        Self { rest, manner }
    }

    pub(super) fn half(rest: Bytes) -> Self {
        let manner = Manner::Breaks(rest.len() / 2);
        Self { rest, manner }
    }

    pub(super) fn slow(rest: Bytes, pause: Duration) -> Self {
        let manner = Manner::Slow(pause, Box::pin(sleep(pause)));
        Self { rest, manner }
    }
}

impl Body for FakeBody {
    type Data = Bytes;
    type Error = FakeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FakeError>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let next = match &mut this.manner {
            Manner::Whole => this.rest.len(),
            Manner::Broken => return Poll::Ready(Some(Err(FakeError::Reset))),
            Manner::Breaks(0) => {
                // Return `Pending` once before the error. hyper sends its buffered bytes while it waits, and drops them
                // at an error.
                this.manner = Manner::Broken;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Manner::Breaks(left) => std::mem::take(left),
            Manner::Slow(pause, timer) => {
                ready!(timer.as_mut().poll(cx));
                *timer = Box::pin(sleep(*pause));
                1
            }
        };
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(next)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl fmt::Debug for FakeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeBody")
            .field("bytes_left", &self.rest.len())
            .finish_non_exhaustive()
    }
}
