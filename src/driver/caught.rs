//! Runs work in which code of the user may panic: a clock, a log subscriber or a metrics recorder.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    thread,
};

/// Returns the result of the work, or `None` if it panicked. After a panic it is not polled again, and it holds no
/// locks any more.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let step = |poll: thread::Result<Poll<T>>| match poll {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    };
    poll_fn(|cx| step(catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))))).await
}
