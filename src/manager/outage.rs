//! While nobody can connect to the server: told once when it begins and once when it ends.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, futures::Notified};

use super::{
    budget::Purpose, core::Core, create::Create, event::Event, flight::Outcome,
    partition::Partition, policy,
};
use crate::{clock::Reading, error::Error};

#[derive(Debug, Default)]
pub(crate) struct Outage {
    since: Mutex<Option<Reading>>,
    /// When it last answered anybody.
    answered: Mutex<Option<Reading>>,
    /// A create has given up, or the server has answered.
    changed: Notify,
}

impl Outage {
    fn since(&self) -> MutexGuard<'_, Option<Reading>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether it is news.
    fn begin(&self, now: Reading) -> bool {
        let mut since = self.since();
        let is_news = since.is_none();
        since.get_or_insert(now);
        is_news
    }

    /// For how long it has lasted, if it is on.
    pub(super) fn lasts(&self, now: Reading) -> Option<Duration> {
        let since = *self.since();
        since.map(|since| now.since(since))
    }

    fn answered(&self) -> MutexGuard<'_, Option<Reading>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_answered_since(&self, time: Reading) -> bool {
        let answered = *self.answered();
        answered.is_some_and(|answered| answered.monotonic >= time.monotonic)
    }

    pub(super) fn is_on(&self) -> bool {
        self.since().is_some()
    }

    /// Waits until a create has given up, or the server has answered. What happens after this was called is not missed.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

impl Core {
    /// A session call failed.
    pub(super) fn saw_failure(&self, error: &Error) {
        if policy::is_unreachable(error) {
            self.unreached(error);
        } else if error.is_by_application() {
            self.reached();
        }
    }

    /// Nobody can connect to the server.
    pub(super) fn unreached(&self, error: &Error) {
        let now = self.now();
        if self.outage.begin(now) {
            let error = error.clone();
            self.emit(Event::ServerDown { error });
        }
    }

    /// Waits until another create than this has given up a question that nobody answers.
    pub(super) async fn unanswered(&self, create: u64) -> Error {
        let purpose = Purpose::Question;
        loop {
            // Before the look: what another gives up after it is not missed.
            let changed = self.outage.changed();
            let held = self.ledger().check_reach(purpose, Some(create), self.now());
            if let Err(error) = held {
                return error;
            }
            changed.await;
        }
    }

    /// The server has answered.
    pub(super) fn reached(&self) {
        let now = self.now();
        *self.outage.answered() = Some(now);
        self.ledger().reached();
        let since = self.outage.since().take();
        if let Some(since) = since {
            self.outage.changed.notify_waiters();
            let lasted = now.since(since);
            self.emit(Event::ServerUp { lasted });
        }
    }

    /// A create gives up, because nobody can connect to the server: the others need not wait for the same lesson. Returns the
    /// error with when another try is due.
    pub(super) fn spare_others(
        &self,
        partition: &Partition,
        purpose: Purpose,
        error: Error,
    ) -> Error {
        let now = self.now();
        let error = self.ledger().unreachable(partition, purpose, error, now);
        self.outage.changed.notify_waiters();
        error
    }
}

impl Create {
    pub(super) fn probes_reach(&self) -> bool {
        self.core.ledger().probes_reach(self.generation)
    }

    /// Whether its last try could connect to the server. One that finds out for all and is not answered may have a trouble of its own: it
    /// waits alone, and another finds out.
    pub(super) fn note_reach(&mut self, outcome: &Outcome) {
        let error = outcome.as_ref().err();
        let is_unreached = error.is_some_and(|error| {
            // What a gateway says to this create alone, while others are answered, is no trouble of theirs.
            let is_own =
                error.status().is_some() && self.core.outage.has_answered_since(self.begun);
            policy::is_unreachable(error) && !is_own
        });
        self.unreached = is_unreached.then(|| self.purpose());
    }

    /// Others need not wait for the same lesson.
    pub(super) fn spare_others(&self, outcome: Outcome) -> Outcome {
        match self.unreached {
            Some(purpose) => {
                let spare = |error| self.core.spare_others(&self.partition, purpose, error);
                outcome.map_err(spare)
            }
            None => outcome,
        }
    }
}
