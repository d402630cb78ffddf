//! A store that panics has failed, and nothing more: the create, the heartbeat and whoever waits for them go on.

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

/// A user's store, each step of which ends in an answer or an error.
#[derive(Clone, Debug)]
pub(super) struct Guarded(pub(super) Arc<dyn SessionStore>);

/// One step; `None` once it has ended.
struct Step<'a, T>(Option<StoreFuture<'a, T>>);

/// Nothing of this crate is left half done: a step gets owned values, and what panicked is not polled again. The store itself may
/// be broken, and then says so again. What it said in the panic may be a secret.
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
    /// The call itself may panic as well.
    pub(super) fn step<T: Send + 'static>(
        &self,
        begin: impl FnOnce(&dyn SessionStore) -> StoreFuture<'_, T>,
    ) -> StoreFuture<'_, T> {
        match caught(|| begin(&*self.0)) {
            Ok(step) => Box::pin(Step(Some(step))),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    /// Without them, everything is found out by looking.
    pub(super) fn changes(&self) -> Changes {
        caught(|| self.0.changes()).unwrap_or_else(|_| Announcer::new().subscribe())
    }
}
