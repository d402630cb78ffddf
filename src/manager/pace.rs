//! When a create may make its next call.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    create::{Create, Progress},
    ledger::Clearance,
    policy,
};
use crate::{clock::Reading, error::Error};

impl Create {
    /// Waits until the first call may be made, as long as callers would.
    pub(super) async fn queue(&mut self) -> Option<Result<(), Error>> {
        let patience = self.core.patience();
        if self.progress == Progress::Asking {
            let now = self.core.now();
            self.core.ledger().enter_queue(self.generation, now);
            self.progress = Progress::Queued;
        }
        let since = self.core.now();
        loop {
            let now = self.core.now();
            let wait = match self.clear(now)? {
                Clearance::Granted => return Some(Ok(())),
                Clearance::Soon => policy::FLOOR,
                Clearance::Wait(wait, error) => {
                    // What concerns only these callers is theirs at once.
                    if !policy::concerns_all(&error)
                        || now.since(since).saturating_add(wait) > patience
                    {
                        return Some(Err(error));
                    }
                    wait
                }
            };
            if !self.nap(wait).await {
                return Some(Err(Error::shutdown()));
            }
        }
    }

    /// Waits for the next call; `false` if there is no time for one.
    pub(super) async fn pause(&mut self, pause: Duration, begun: Reading) -> Option<bool> {
        let now = self.core.now();
        self.core.ledger().begin_pause(self.generation, now);
        let goes_on = self.wait_for_next(pause, begun).await;
        self.core.ledger().end_pause(self.generation);
        goes_on
    }

    async fn wait_for_next(&mut self, pause: Duration, begun: Reading) -> Option<bool> {
        let mut wait = pause;
        loop {
            let waited = self.core.now().since(begun);
            let timeout = self.core.settings.create_timeout;
            if waited.saturating_add(wait) >= timeout || !self.nap(wait).await {
                return Some(false);
            }
            match self.clear(self.core.now())? {
                Clearance::Granted => return Some(true),
                Clearance::Soon => wait = policy::FLOOR,
                Clearance::Wait(more, _) => wait = more,
            }
        }
    }

    /// Sleeps; `false` if the manager shuts down meanwhile.
    async fn nap(&self, duration: Duration) -> bool {
        tokio::select! {
            biased;
            _ = self.core.closed() => false,
            () = sleep(duration) => true,
        }
    }

    /// Asks for the next call. `None` if another create has taken the place of this one.
    fn clear(&mut self, now: Reading) -> Option<Clearance> {
        let mut ledger = self.core.ledger();
        if !ledger.is_flying(self.partition.id, self.generation) {
            return None;
        }
        let clearance = ledger.clear(&self.partition, self.purpose(), Some(self.generation), now);
        if matches!(clearance, Clearance::Granted) && self.progress == Progress::Queued {
            ledger.leave_queue(self.partition.id, self.generation, now);
            self.progress = Progress::Pausing;
        }
        Some(clearance)
    }
}
