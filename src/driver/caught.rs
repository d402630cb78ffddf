//! Work in which something of the user's may panic: a clock, a subscriber, a recorder.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    thread,
};

/// `None` if it panicked. It is not polled again, and its locks are no longer held.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let step = |poll: thread::Result<Poll<T>>| match poll {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    };
    poll_fn(|cx| step(catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))))).await
}
