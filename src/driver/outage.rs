//! While nobody can connect to the server: told once when it begins and once when it ends.

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
    /// A create has given up, or the server has answered.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// When the outage began, if it is on.
    since: Option<Reading>,
    /// When the server last answered anybody.
    answered: Option<Reading>,
    /// Why the free question is not answered.
    why: Option<String>,
}

impl Outage {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }

    /// Returns whether it is news.
    fn begin(&self, now: Reading) -> bool {
        let mut known = self.known();
        let is_news = known.since.is_none();
        known.since.get_or_insert(now);
        is_news
    }

    /// Returns when it began, if it was on.
    fn end(&self) -> Option<Reading> {
        let mut known = self.known();
        known.why = None;
        known.since.take()
    }

    /// For how long it has lasted, if it is on.
    pub(crate) fn lasts(&self, now: Reading) -> Option<Duration> {
        let since = self.known().since;
        since.map(|since| now.since(since))
    }

    fn last_answer(&self) -> Option<Reading> {
        self.known().answered
    }

    fn has_answered_since(&self, time: Reading) -> bool {
        let answered = self.last_answer();
        answered.is_some_and(|answered| answered.monotonic >= time.monotonic)
    }

    /// The free question was not answered.
    pub(crate) fn question_failed(&self, why: &BoxError) {
        let mut text = scrub::Scrubbed::new(&**why, &[]).to_string();
        let mut next = why.source();
        while let Some(cause) = next {
            let _ = write!(text, ": {}", scrub::Scrubbed::new(cause, &[]));
            next = cause.source();
        }
        self.known().why = Some(text);
    }

    /// The question was not answered, with why not as far as is known.
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

    /// Waits until a create has given up, or the server has answered. What happens after this was called is not missed.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

impl Core {
    /// A session call failed. Returns whether nobody can connect to the server, as far as is known.
    pub(crate) fn saw_failure(&self, partition: &Partition, error: &Error) -> bool {
        let is_outage = self.reaches_nobody(partition, error);
        if is_outage {
            self.unreached(error);
        }
        is_outage
    }

    /// The same of a delete. What a gateway says to that it may say to deletes alone: it is a sign, and the question finds out.
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

    /// The server has answered a session call of this key.
    pub(crate) fn answered_to(&self, partition: &Partition) {
        self.gate().let_through(partition.key_id);
        self.reached();
    }

    /// Whether a gateway says so to this key alone: others were answered after it was told the same before.
    fn is_own_trouble(&self, partition: &Partition, error: &Error) -> bool {
        let (answered, now) = (self.outage.last_answer(), self.now());
        let mut gate = self.gate();
        error.status().is_some() && gate.refused_by_gateway(partition.key_id, answered, now)
    }

    /// Nobody can connect to the server.
    pub(crate) fn unreached(&self, error: &Error) {
        let now = self.now();
        if self.outage.begin(now) {
            let error = error.clone();
            self.emit(Event::ServerDown { error });
        }
    }

    /// Waits until another create than this has given up a question that nobody answers.
    pub(crate) async fn unanswered(&self, create: u64) -> Error {
        let purpose = Purpose::Question;
        loop {
            // Before the look: what another gives up after it is not missed.
            let changed = self.outage.changed();
            let held = self.gate().check_reach(purpose, Some(create), self.now());
            if let Err(error) = held {
                return error;
            }
            changed.await;
        }
    }

    /// The server has answered.
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

    /// A create gives up, because nobody can connect to the server: the others need not wait for the same lesson. Returns the
    /// error with when another try is due.
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
    pub(crate) fn probes_reach(&self) -> bool {
        self.core.gate().probes_reach(self.generation)
    }

    /// Whether its last try could connect to the server. One that finds out for all and is not answered may have a trouble of its own: it
    /// waits alone, and another finds out.
    pub(crate) fn note_reach(&mut self, outcome: &Outcome) {
        let error = outcome.as_ref().err();
        let is_unreached = error
            .is_some_and(|error| failure::is_unreachable(error) && !self.is_own_trouble(error));
        self.unreached = is_unreached.then(|| self.purpose());
    }

    /// What a gateway says to this create alone, while others are answered, is no trouble of theirs.
    fn is_own_trouble(&self, error: &Error) -> bool {
        let (outage, key) = (&self.core.outage, self.partition.key_id);
        let has_own = |answered| self.core.gate().has_own_trouble(key, answered);
        error.status().is_some()
            && (outage.has_answered_since(self.begun) || has_own(outage.last_answer()))
    }

    /// Others need not wait for the same lesson.
    pub(crate) fn spare_others(&self, outcome: Outcome) -> Outcome {
        match self.unreached {
            Some(purpose) => {
                let spare = |error| self.core.spare_others(&self.partition, purpose, error);
                outcome.map_err(spare)
            }
            None => outcome,
        }
    }
}
