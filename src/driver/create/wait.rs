//! When a create may make its next call.

use std::{mem, pin::pin, time::Duration};

use tokio::time::sleep;

use super::{Create, Fenced, Progress};
use crate::{
    clock::Reading,
    engine::gate::Clearance,
    error::Error,
    model::{budget::Purpose, failure},
};

impl Create {
    /// Waits until the first call may be made, as long as callers would.
    pub(crate) async fn queue(&mut self) -> Result<Result<(), Error>, Fenced> {
        let patience = self.core.patience();
        if self.progress == Progress::Asking {
            let now = self.core.now();
            self.core.gate().enter_queue(self.generation, now);
            self.progress = Progress::Queued;
        }
        let since = self.core.now();
        loop {
            let now = self.core.now();
            let wait = match self.clear(now)? {
                Clearance::Granted => return Ok(Ok(())),
                Clearance::Soon => failure::FLOOR,
                Clearance::Wait(wait, error) => {
                    // What concerns only these callers is theirs at once.
                    if !failure::concerns_all(&error)
                        || now.since(since).saturating_add(wait) > patience
                    {
                        return Ok(Err(error));
                    }
                    wait
                }
            };
            if !self.nap(wait).await {
                return Ok(Err(Error::shutdown()));
            }
        }
    }

    /// Waits for the next call; `false` if there is no time for one.
    pub(crate) async fn pause(&mut self, pause: Duration, begun: Reading) -> Result<bool, Fenced> {
        self.pause_at_least(Duration::ZERO, pause, begun).await
    }

    /// The same after an answer that says how long to wait at `least`.
    pub(crate) async fn pause_at_least(
        &mut self,
        least: Duration,
        pause: Duration,
        begun: Reading,
    ) -> Result<bool, Fenced> {
        let now = self.core.now();
        self.core.gate().begin_pause(self.generation, now);
        let goes_on = self.wait_for_next((now, least), pause, begun).await;
        self.core.gate().end_pause(self.generation);
        goes_on
    }

    async fn wait_for_next(
        &mut self,
        (since, least): (Reading, Duration),
        pause: Duration,
        begun: Reading,
    ) -> Result<bool, Fenced> {
        let mut wait = pause;
        loop {
            let waited = self.core.now().since(begun);
            let timeout = self.core.settings.create_timeout;
            if waited.saturating_add(wait) >= timeout || !self.nap(wait).await {
                return Ok(false);
            }
            // The server has answered others, and that ends a nap early. What it told this create holds all the same.
            let left = least.saturating_sub(self.core.now().since(since));
            if !left.is_zero() && !self.is_held_for_all() {
                wait = left;
                continue;
            }
            match self.clear(self.core.now())? {
                Clearance::Granted => return Ok(true),
                Clearance::Soon => wait = failure::FLOOR,
                // Another create has found out that nobody can connect to the server.
                Clearance::Wait(..) if self.is_held_for_all() => return Ok(false),
                Clearance::Wait(more, _) => wait = more,
            }
        }
    }

    /// Sleeps until then, or until another create gives up or the server answers again; `false` if the manager shuts down
    /// meanwhile.
    async fn nap(&mut self, duration: Duration) -> bool {
        let core = self.core.clone();
        let mut over = pin!(sleep(duration));
        loop {
            // Before the look: what another gives up after it is not missed.
            let changed = core.outage.changed();
            if self.is_held_for_all() {
                return true;
            }
            tokio::select! {
                biased;
                _ = core.closed() => return false,
                // Once: something in front of the server may answer other calls, and these never.
                () = changed => if !mem::replace(&mut self.was_woken, true) {
                    return true;
                },
                () = &mut over => return true,
            }
        }
    }

    fn tries_again_in_outage(&self) -> bool {
        self.progress == Progress::Pausing
            && self.purpose() != Purpose::Question
            && self.core.outage.is_on()
    }

    fn is_held_for_all(&self) -> bool {
        let (core, create) = (&self.core, Some(self.generation));
        let held = core.gate().check_reach(self.purpose(), create, core.now());
        held.is_err()
    }

    /// Asks for the next call.
    fn clear(&mut self, now: Reading) -> Result<Clearance, Fenced> {
        let mut gate = self.core.gate();
        if !gate.is_flying(self.partition.id, self.generation) {
            return Err(Fenced);
        }
        let (create, purpose) = (Some(self.generation), self.purpose());
        if self.tries_again_in_outage()
            && gate.check_reach(purpose, create, now).is_ok()
            && let Some(wait) = gate.retry_reach(now)
        {
            return Ok(wait);
        }
        let clearance = gate.clear(&self.partition, purpose, create, now);
        if matches!(clearance, Clearance::Granted) && self.progress == Progress::Queued {
            gate.leave_queue(self.partition.id, self.generation, now);
            self.progress = Progress::Pausing;
        }
        Ok(clearance)
    }
}
