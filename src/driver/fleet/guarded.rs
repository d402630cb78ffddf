//! Turns a panic of the user's store into a failure, so that creates, the heartbeat and their callers go on.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    error::BoxError,
    store::{Announcer, Changes, SessionStore, StoreFuture},
};

/// A user's store, guarded against panics: each step ends in an answer or an error.
#[derive(Clone, Debug)]
pub(super) struct Guarded(pub(super) Arc<dyn SessionStore>);

/// One step; `None` once it has ended.
struct Step<'a, T>(Option<StoreFuture<'a, T>>);

/// Runs a piece of the store's work, and catches a panic. A panic leaves no state of this crate half changed: a step
/// gets owned values, and is not polled again. The store itself may be broken, and will then fail again. The panic's
/// message is dropped, because it may hold a secret.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, BoxError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "the shared store panicked".into())
}

impl<T> Future for Step<'_, T> {
    type Output = Result<T, BoxError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(step) = &mut self.0 else {
            return Poll::Pending;
        };
        let outcome = match caught(|| step.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(error) => Err(error),
        };
        self.0 = None;
        Poll::Ready(outcome)
    }
}

impl Guarded {
    /// Begins a step. The call that begins it may panic as well.
    pub(super) fn step<T: Send + 'static>(
        &self,
        begin: impl FnOnce(&dyn SessionStore) -> StoreFuture<'_, T>,
    ) -> StoreFuture<'_, T> {
        match caught(|| begin(&*self.0)) {
            Ok(step) => Box::pin(Step(Some(step))),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    /// Returns the store's announcements. If the store panics, there are none, and the fleet learns of changes only by
    /// looking.
    pub(super) fn changes(&self) -> Changes {
        caught(|| self.0.changes()).unwrap_or_else(|_| Announcer::new().subscribe())
    }
}
