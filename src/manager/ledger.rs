//! What is going on and what is held back, for every partition that has no session or needs another.
//!
//! Nothing in here is ever evicted to make room: who floods the manager with unknown keys pushes out no back-off. It
//! stays small by itself, because every entry was paid for with a session call or belongs to a create under way.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::{
    budget::{Bucket, CallBudget, Purpose},
    partition::{KeyId, Partition, PartitionId},
    policy::{self, FLOOR, Reach},
    session::LiveSession,
};
use crate::{
    clock::Reading,
    error::{Error, ErrorKind},
};

/// How a create ended, for everybody who waited for it.
pub(crate) type Outcome = Result<Arc<LiveSession>, Error>;

/// How long a lapsed hold is remembered, so that the next failure still counts as one more in a row.
const REMEMBER: Duration = Duration::from_secs(10 * 60);

/// How much later than its own deadline a create counts as lost.
const GRACE: Duration = Duration::from_secs(1);

/// A create under way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) generation: u64,
    /// When its first call went out, or when it began to wait for that.
    begun: Reading,
    pub(crate) outcome: watch::Receiver<Option<Outcome>>,
    /// Whether it was counted as a possible orphan, because it did not end in time.
    pub(crate) given_up: Arc<AtomicBool>,
}

/// A failure that holds others back.
#[derive(Debug)]
struct Hold {
    since: Reading,
    pause: Duration,
    error: Error,
    failures: u32,
}

impl Hold {
    fn left(&self, now: Reading) -> Duration {
        self.pause.saturating_sub(now.since(self.since))
    }

    fn error(&self, now: Reading) -> Error {
        self.error.clone().with_retry_after(self.left(now))
    }

    fn is_forgotten(&self, now: Reading) -> bool {
        now.since(self.since) > self.pause + REMEMBER
    }
}

#[derive(Debug, Default)]
struct Entry {
    flight: Option<Flight>,
    hold: Option<Hold>,
    last_call: Option<Reading>,
}

/// Whether a call may be made now.
#[derive(Debug)]
pub(crate) enum Clearance {
    /// Yes, and it has been counted.
    Granted,
    /// Not before so much time has passed; the error is for those who cannot wait.
    Wait(Duration, Error),
}

/// The state of everything that is not a live session.
#[derive(Debug)]
pub(crate) struct Ledger {
    partitions: HashMap<PartitionId, Entry>,
    keys: HashMap<KeyId, Hold>,
    origin: Option<Hold>,
    bucket: Bucket,
    /// Creates that wait for their first call.
    queued: usize,
    /// Every create that has not ended, also those that nobody waits for any more, by generation.
    under_way: HashMap<u64, Arc<AtomicBool>>,
    /// When to tidy up next: at so many entries.
    tidy_at: usize,
}

impl Ledger {
    pub(crate) fn new(budget: CallBudget) -> Self {
        Self {
            partitions: HashMap::new(),
            keys: HashMap::new(),
            origin: None,
            bucket: Bucket::new(budget),
            queued: 0,
            under_way: HashMap::new(),
            tidy_at: 64,
        }
    }

    pub(crate) fn flight(&self, id: PartitionId) -> Option<&Flight> {
        self.partitions.get(&id)?.flight.as_ref()
    }

    pub(crate) fn is_flying(&self, id: PartitionId, generation: u64) -> bool {
        self.flight(id)
            .is_some_and(|flight| flight.generation == generation)
    }

    /// How long until the create under way counts as lost. A moment later than its own deadline, at which one whose
    /// runtime is well ends by itself.
    pub(crate) fn overdue_in(
        &self,
        id: PartitionId,
        timeout: Duration,
        now: Reading,
    ) -> Option<Duration> {
        Some(
            timeout
                .saturating_add(GRACE)
                .saturating_sub(now.since(self.flight(id)?.begun)),
        )
    }

    /// Decides whether a create would have a chance to be called within `patience`, without counting it.
    ///
    /// # Errors
    ///
    /// What holds it back.
    pub(crate) fn check(
        &self,
        partition: &Partition,
        patience: Duration,
        now: Reading,
    ) -> Result<(), Error> {
        let own = self
            .partitions
            .get(&partition.id)
            .and_then(|entry| entry.hold.as_ref());
        let key = self.keys.get(&partition.key_id);
        // A failure that concerns only them is theirs at once; only the pace of all is worth waiting for.
        if let Some(hold) = [own, key]
            .into_iter()
            .flatten()
            .find(|hold| !hold.left(now).is_zero())
        {
            return Err(hold.error(now));
        }
        if let Some(hold) = self
            .origin
            .as_ref()
            .filter(|hold| hold.left(now) > patience)
        {
            return Err(hold.error(now));
        }
        let wait = self.bucket.wait_for(self.queued + 1, now.monotonic);
        if wait > patience {
            Err(over_budget(wait))
        } else {
            Ok(())
        }
    }

    /// Enters a create that is about to start.
    pub(crate) fn begin(
        &mut self,
        id: PartitionId,
        generation: u64,
        outcome: watch::Receiver<Option<Outcome>>,
        now: Reading,
    ) -> Flight {
        self.tidy(now);
        self.queued += 1;
        let flight = Flight {
            generation,
            begun: now,
            outcome,
            given_up: Arc::default(),
        };
        self.under_way.insert(generation, flight.given_up.clone());
        self.partitions.entry(id).or_default().flight = Some(flight.clone());
        flight
    }

    /// The create's first call is about to go out, or never will.
    pub(crate) fn leave_queue(&mut self, id: PartitionId, generation: u64, now: Reading) {
        self.queued -= 1;
        let flight = self
            .partitions
            .get_mut(&id)
            .and_then(|entry| entry.flight.as_mut());
        if let Some(flight) = flight.filter(|flight| flight.generation == generation) {
            flight.begun = now;
        }
    }

    /// Takes the create out, if it is still the one; from then on, another may start.
    pub(crate) fn end(&mut self, id: PartitionId, generation: u64) -> bool {
        self.under_way.remove(&generation);
        let flying = self.is_flying(id, generation);
        if let Some(entry) = self.partitions.get_mut(&id).filter(|_| flying) {
            entry.flight = None;
        }
        flying
    }

    /// Whatever create is under way, its session will not be used.
    pub(crate) fn fence(&mut self, id: PartitionId) -> Option<Flight> {
        self.partitions.get_mut(&id)?.flight.take()
    }

    /// The same for one that did not end in time.
    pub(crate) fn give_up(&mut self, id: PartitionId) {
        if let Some(flight) = self.fence(id) {
            flight.given_up.store(true, Ordering::Release);
        }
    }

    pub(crate) fn is_creating(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Gives up whatever is under way; returns how many creates that were.
    pub(crate) fn give_up_all(&mut self) -> u64 {
        let given_up = self
            .under_way
            .values()
            .filter(|given_up| !given_up.swap(true, Ordering::AcqRel));
        given_up.count() as u64
    }

    /// Counts a call that is made right now, or says what is in its way.
    pub(crate) fn clear(
        &mut self,
        partition: &Partition,
        purpose: Purpose,
        now: Reading,
    ) -> Clearance {
        let holds = [self.origin.as_ref(), self.keys.get(&partition.key_id)];
        let longest = holds
            .into_iter()
            .flatten()
            .max_by_key(|hold| hold.left(now));
        if let Some(hold) = longest.filter(|hold| !hold.left(now).is_zero()) {
            return Clearance::Wait(hold.left(now), hold.error(now));
        }
        let entry = self.partitions.get(&partition.id);
        let floor = entry
            .and_then(|entry| entry.last_call)
            .map_or(Duration::ZERO, |last| FLOOR.saturating_sub(now.since(last)));
        if !floor.is_zero() {
            return Clearance::Wait(floor, over_budget(floor));
        }
        if purpose == Purpose::Delete && self.queued > 0 {
            let wait = self.bucket.wait_for(self.queued, now.monotonic).max(FLOOR);
            return Clearance::Wait(wait, over_budget(wait));
        }
        match self.bucket.take(purpose, now.monotonic) {
            Ok(()) => {
                self.partitions.entry(partition.id).or_default().last_call = Some(now);
                Clearance::Granted
            }
            Err(wait) => Clearance::Wait(wait, over_budget(wait)),
        }
    }

    /// A create succeeded: what held it back is forgotten.
    pub(crate) fn succeeded(&mut self, partition: &Partition) {
        self.keys.remove(&partition.key_id);
        if let Some(entry) = self.partitions.get_mut(&partition.id) {
            entry.hold = None;
        }
    }

    /// A call failed: holds back whom it concerns, and returns the error with when another try is due.
    pub(crate) fn failed(&mut self, partition: &Partition, error: Error, now: Reading) -> Error {
        let reach = policy::consequence(&error, 1).reach;
        let slot = match reach {
            Reach::Partition => &mut self.partitions.entry(partition.id).or_default().hold,
            Reach::Origin => &mut self.origin,
            Reach::Key => {
                let before = self.keys.remove(&partition.key_id);
                let hold = next_hold(before.as_ref(), error, now);
                let error = hold.error(now);
                self.keys.insert(partition.key_id, hold);
                return error;
            }
        };
        let hold = next_hold(slot.as_ref(), error, now);
        slot.insert(hold).error(now)
    }

    /// Forgets what no longer matters. The cost is paid for by the entries that were added since.
    fn tidy(&mut self, now: Reading) {
        if self.partitions.len() + self.keys.len() < self.tidy_at {
            return;
        }
        self.keys.retain(|_, hold| !hold.is_forgotten(now));
        self.partitions.retain(|_, entry| {
            entry.hold.take_if(|hold| hold.is_forgotten(now));
            entry.last_call.take_if(|last| now.since(*last) >= FLOOR);
            entry.flight.is_some() || entry.hold.is_some() || entry.last_call.is_some()
        });
        self.tidy_at = 2 * (self.partitions.len() + self.keys.len()).max(32);
    }
}

fn next_hold(before: Option<&Hold>, error: Error, now: Reading) -> Hold {
    let in_a_row =
        before.filter(|hold| hold.error.kind() == error.kind() && !hold.is_forgotten(now));
    let failures = in_a_row.map_or(1, |hold| hold.failures.saturating_add(1));
    let pause = policy::consequence(&error, failures).pause;
    Hold {
        since: now,
        pause,
        error,
        failures,
    }
}

fn over_budget(wait: Duration) -> Error {
    Error::new(
        ErrorKind::Budget,
        "the budget of session calls is used up for now",
    )
    .with_retry_after(wait)
}
