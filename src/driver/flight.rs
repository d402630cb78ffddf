//! A create under way, as seen by the requests that wait for it.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    runtime::{self, Handle, RuntimeFlavor},
    time::sleep,
};

use super::once::Receiver;
use crate::{
    clock::{Clock, Reading},
    engine::{self, flight::Status},
    error::Error,
    hot::session::LiveSession,
};

/// How a create ended, for all requests that waited for it.
pub(crate) type Outcome = Result<Arc<LiveSession>, Error>;

/// The creates that are under way, and which calls are held back.
pub(crate) type Gate = engine::gate::Gate<Waiters>;

/// A create under way.
pub(crate) type Flight = engine::flight::Flight<Waiters>;

/// The decisions of one create: what it waits for, and what follows.
pub(crate) type Attempt = engine::attempt::Attempt<Arc<LiveSession>>;
pub(crate) type Step = engine::attempt::Step<Arc<LiveSession>>;
pub(crate) type Share = engine::attempt::Share<Arc<LiveSession>>;

/// How often a create shows that its runtime is running.
const BEAT: Duration = Duration::from_secs(1);

/// What a request needs to wait for a create.
#[derive(Clone, Debug)]
pub(crate) struct Waiters {
    pub(crate) outcome: Receiver<Outcome>,
    /// The runtime that the create's task runs on.
    pub(crate) runtime: runtime::Id,
}

impl Flight {
    /// Returns how long a caller on this runtime waits until the create counts as lost.
    pub(crate) fn overdue_to(&self, caller: &Handle, timeout: Duration, now: Reading) -> Duration {
        self.overdue_in(timeout, now, self.waiters.runtime == caller.id())
    }

    /// Returns whether the create's task makes progress whenever the caller waits: both are on the same runtime, which
    /// has only this thread. Such a caller need not watch for a stalled create, because the task's own deadline ends
    /// it.
    pub(crate) fn goes_on_with(&self, caller: &Handle) -> bool {
        self.waiters.runtime == caller.id()
            && caller.runtime_flavor() == RuntimeFlavor::CurrentThread
    }
}

/// Does the work of a create. Meanwhile shows callers on other runtimes that this runtime is running.
pub(crate) async fn beating<T>(
    status: &Status,
    clock: &dyn Clock,
    work: impl Future<Output = T>,
) -> T {
    let beats = async {
        loop {
            status.beat(clock.now());
            sleep(BEAT).await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        never = beats => never,
    }
}
