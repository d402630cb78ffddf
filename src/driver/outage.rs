//! Reports once when the server can no longer be connected to, and once when it can again.

use std::{fmt::Write, sync::MutexGuard, time::Duration};

use tokio::sync::{Notify, futures::Notified};

use super::{core::Core, create::Create, flight::Outcome};
use crate::{
    api::scrub,
    clock::Reading,
    error::{BoxError, Error, ErrorKind},
    lock::Lock,
    model::{budget::Purpose, event::Event, failure, partition::Partition},
};

pub(crate) const AWAY: &str = "could not reach the server to ask whether it still has the session";

#[derive(Debug, Default)]
pub(crate) struct Outage {
    known: Lock<Known>,
    /// Notified when a create has given up, or the server has answered.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// When the outage began, if there is one.
    since: Option<Reading>,
    /// When the server last answered any call.
    answered: Option<Reading>,
    /// Why the last `GET /v1/health` got no answer.
    why: Option<String>,
}

impl Outage {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }

    /// Notes an outage. Returns whether it is new.
    fn begin(&self, now: Reading) -> bool {
        let mut known = self.known();
        let is_news = known.since.is_none();
        known.since.get_or_insert(now);
        is_news
    }

    /// Ends the outage. Returns when it began, if there was one.
    fn end(&self) -> Option<Reading> {
        let mut known = self.known();
        known.why = None;
        known.since.take()
    }

    /// Returns how long the outage has lasted, if there is one.
    pub(crate) fn lasts(&self, now: Reading) -> Option<Duration> {
        let since = self.known().since;
        since.map(|since| now.since(since))
    }

    /// Returns when the server last answered any call.
    pub(crate) fn last_answer(&self) -> Option<Reading> {
        self.known().answered
    }

    /// Notes why `GET /v1/health` got no answer.
    pub(crate) fn question_failed(&self, why: &BoxError) {
        let mut text = scrub::Scrubbed::new(&**why, &[]).to_string();
        let mut next = why.source();
        while let Some(cause) = next {
            let _ = write!(text, ": {}", scrub::Scrubbed::new(cause, &[]));
            next = cause.source();
        }
        self.known().why = Some(text);
    }

    /// Returns the error for an unanswered question, with the reason if it is known.
    pub(crate) fn unanswered(&self, text: &'static str) -> Error {
        let error = Error::new(ErrorKind::Unavailable, text);
        let why = self.known().why.clone();
        match why {
            Some(why) => error.with_source(why),
            None => error,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.known().since.is_some()
    }

    /// Waits until a create has given up, or the server has answered. Nothing is missed that happens after this call,
    /// even before the first poll.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

impl Core {
    /// Called when a session call has failed. Returns whether the server cannot be connected to, as far as is known.
    pub(crate) fn saw_failure(&self, partition: &Partition, error: &Error) -> bool {
        let is_outage = self.reaches_nobody(partition, error);
        if is_outage {
            self.unreached(error);
        }
        is_outage
    }

    /// Called when a delete has failed. Returns whether the server cannot be connected to, as far as is known. If a
    /// gateway has answered, no outage begins: it may refuse deletes alone. Its answer is a sign, so `GET /v1/health`
    /// is called and finds out.
    pub(crate) fn saw_failed_delete(&self, partition: &Partition, error: &Error) -> bool {
        let is_outage = self.reaches_nobody(partition, error);
        if is_outage && error.status().is_none() {
            self.unreached(error);
        }
        is_outage
    }

    fn reaches_nobody(&self, partition: &Partition, error: &Error) -> bool {
        if failure::is_unreachable(error) {
            return !self.is_own_trouble(partition, error);
        }
        if error.is_by_application() {
            self.answered_to(partition);
        }
        false
    }

    /// Called when the server has answered a session call of this key.
    pub(crate) fn answered_to(&self, partition: &Partition) {
        self.gate().let_through(partition.key_id);
        self.reached();
    }

    /// Returns whether a gateway refuses this key alone: it has refused this key before, and other calls were
    /// answered since.
    fn is_own_trouble(&self, partition: &Partition, error: &Error) -> bool {
        let (answered, now) = (self.outage.last_answer(), self.now());
        let mut gate = self.gate();
        error.status().is_some() && gate.refused_by_gateway(partition.key_id, answered, now)
    }

    /// Notes that the server cannot be connected to.
    pub(crate) fn unreached(&self, error: &Error) {
        let now = self.now();
        if self.outage.begin(now) {
            let error = error.clone();
            self.emit(Event::ServerDown { error });
        }
    }

    /// Waits until another create gives up because the server does not answer `GET /v1/health`. Returns that error.
    pub(crate) async fn unanswered(&self, create: u64) -> Error {
        let purpose = Purpose::Question;
        loop {
            // Subscribe before the check, so that no change after it is missed.
            let changed = self.outage.changed();
            let held = self.gate().check_reach(purpose, Some(create), self.now());
            if let Err(error) = held {
                return error;
            }
            changed.await;
        }
    }

    /// Called when the server has answered. Ends an outage.
    pub(crate) fn reached(&self) {
        let now = self.now();
        self.outage.known().answered = Some(now);
        self.gate().reached();
        if let Some(since) = self.outage.end() {
            self.outage.changed.notify_waiters();
            let lasted = now.since(since);
            self.emit(Event::ServerUp { lasted });
        }
    }

    /// Called when a create gives up because it cannot connect to the server. Lets other creates fail at once instead
    /// of trying as long. Returns the error, which says when the next try is due.
    pub(crate) fn spare_others(
        &self,
        partition: &Partition,
        purpose: Purpose,
        error: Error,
    ) -> Error {
        let now = self.now();
        let error = self.gate().unreachable(partition, purpose, error, now);
        self.outage.changed.notify_waiters();
        error
    }
}

impl Create {
    /// If this create could not reach the server, lets other creates fail at once instead of trying as long.
    pub(crate) fn spare_others(&self, outcome: Outcome) -> Outcome {
        match self.attempt.unreached() {
            Some(purpose) => {
                let spare = |error| self.core.spare_others(&self.partition, purpose, error);
                outcome.map_err(spare)
            }
            None => outcome,
        }
    }
}
