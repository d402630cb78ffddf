//! A create under way, as those see it who wait for it.

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

/// How a create ended, for everybody who waited for it.
pub(crate) type Outcome = Result<Arc<LiveSession>, Error>;

/// What is under way and what is held back.
pub(crate) type Gate = engine::gate::Gate<Waiters>;

/// A create under way.
pub(crate) type Flight = engine::flight::Flight<Waiters>;

/// What a create waits for, and what follows.
pub(crate) type Attempt = engine::attempt::Attempt<Arc<LiveSession>>;
pub(crate) type Step = engine::attempt::Step<Arc<LiveSession>>;
pub(crate) type Share = engine::attempt::Share<Arc<LiveSession>>;

/// How often a create shows that its runtime drives it.
const BEAT: Duration = Duration::from_secs(1);

/// What others wait for a create with.
#[derive(Clone, Debug)]
pub(crate) struct Waiters {
    pub(crate) outcome: Receiver<Outcome>,
    /// Where its task runs.
    pub(crate) runtime: runtime::Id,
}

impl Flight {
    /// How long until it counts as lost to a caller on this runtime.
    pub(crate) fn overdue_to(&self, caller: &Handle, timeout: Duration, now: Reading) -> Duration {
        self.overdue_in(timeout, now, self.waiters.runtime == caller.id())
    }

    /// Whether its task goes on while the caller waits for anything: it runs on the caller's own runtime, which has no thread
    /// but this one. Its own deadline ends it then.
    pub(crate) fn goes_on_with(&self, caller: &Handle) -> bool {
        self.waiters.runtime == caller.id()
            && caller.runtime_flavor() == RuntimeFlavor::CurrentThread
    }
}

/// Does the work of a create, and shows to callers on other runtimes that its own drives it.
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
