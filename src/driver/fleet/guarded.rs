//! A store that panics has failed, and nothing more: the create, the heartbeat and whoever waits for them go on.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    error::BoxError,
    store::{
        Announcer, Changes, Claim, Found, Kept, Left, Member, Record, SessionStore, Slot,
        StoreFuture,
    },
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
    fn step<'a, T: Send + 'a>(
        &'a self,
        begin: impl FnOnce(&'a dyn SessionStore) -> StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        match caught(|| begin(&*self.0)) {
            Ok(step) => Box::pin(Step(Some(step))),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl SessionStore for Guarded {
    fn get(&self, slot: Slot) -> StoreFuture<'_, Found> {
        self.step(|store| store.get(slot))
    }

    fn claim(
        &self,
        slot: Slot,
        member: Member,
        after: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Claim> {
        self.step(|store| store.claim(slot, member, after, lease))
    }

    fn publish(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, bool> {
        self.step(|store| store.publish(slot, member, record, lease))
    }

    fn release(
        &self,
        slot: Slot,
        member: Member,
        generation: u64,
        pause: Duration,
    ) -> StoreFuture<'_, ()> {
        self.step(|store| store.release(slot, member, generation, pause))
    }

    fn keep(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, Kept> {
        self.step(|store| store.keep(slot, member, record, lease))
    }

    fn leave(&self, slot: Slot, member: Member, generation: u64) -> StoreFuture<'_, Left> {
        self.step(|store| store.leave(slot, member, generation))
    }

    fn revoke(&self, slot: Slot, generation: u64) -> StoreFuture<'_, ()> {
        self.step(|store| store.revoke(slot, generation))
    }

    /// Without them, everything is found out by looking.
    fn changes(&self) -> Changes {
        caught(|| self.0.changes()).unwrap_or_else(|_| Announcer::new().subscribe())
    }
}
