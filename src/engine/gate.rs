//! The *gate*: decides whether a session call may be made now. It knows what is under way and what is held back, for
//! every partition that needs a session. A partition is an API key with one set of defaults.
//!
//! A *hold* is a cooldown: calls that it concerns wait, or fail at once. An attempt *flies* while it is in charge of
//! its partition.
//!
//! No entry is evicted to make room. Otherwise a flood of unknown API keys could evict a cooldown, and the held-back
//! calls would go out. The gate stays small anyway: each entry cost a session call, or belongs to a create under way.

mod check;
mod entry;
mod gateway;
mod pauses;
mod place;
mod reach;
#[cfg(test)]
mod tests;
mod tidy;
mod upkeep;

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

pub(crate) use self::place::Place;
use self::{
    check::over_budget, entry::Entry, gateway::Gateway, reach::Unreachable, upkeep::Upkeep,
};
use super::{
    budget::Bucket,
    cooldown::{Cooldown, hold, hold_after},
    flight::{Flight, Status, overdue_after},
    known_keys::KnownKeys,
    queue::Queue,
};
use crate::{
    clock::Reading,
    error::Error,
    model::{
        budget::{CallBudget, Purpose},
        failure,
        failure::{FLOOR, Reach},
        partition::{KeyId, Partition, PartitionId},
    },
};

/// At least this many creates may ask the store at once, however small the call budget is. Most of them end without a
/// session call.
const LEAST_AT_ONCE: usize = 16;
/// A create that has waited for the store longer than this gives up its place among those that may ask the store at
/// once. Example: one shard of the store hangs. Creates that wait for it must not keep out creates whose shard answers.
const QUICK: Duration = Duration::from_secs(2);

/// Whether a call may be made now.
#[derive(Debug)]
pub(crate) enum Clearance {
    /// The call may be made, and has been counted.
    Granted,
    /// The call may be made after so much time. The error is for requests that cannot wait that long.
    Wait(Duration, Error),
    /// Another create is probing whether a cooldown is over. Ask again a moment later.
    Soon,
}

/// What is under way and held back, for all partitions, API keys and the origin. `W` is the handle by which requests
/// wait for an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Gate<W> {
    partitions: BTreeMap<PartitionId, Entry<W>>,
    keys: BTreeMap<KeyId, Option<Cooldown>>,
    origin: Option<Cooldown>,
    unreachable: Unreachable,
    gateway: Gateway,
    bucket: Bucket,
    upkeep: Upkeep,
    queue: Queue,
    /// Creates that wait for their first call, with keys that the server has not accepted yet. They rank behind those
    /// of `queue`.
    behind: Queue,
    /// Creates and checks that pause between two calls.
    pausing: Queue,
    /// Creates that are asking the store, and do not know yet whether they will make a call.
    sharing: Queue,
    /// The same, for creates whose partition could not reach the store in the last minute.
    failing: Queue,
    pub(crate) known_keys: KnownKeys,
    /// Every create that has not ended, by generation. This includes creates that no request waits for any more.
    under_way: BTreeMap<u64, Arc<Status>>,
    /// The number of entries at which outdated entries are removed next.
    tidy_at: usize,
}

impl<W: Clone> Gate<W> {
    /// Creates an empty gate. `create_timeout` is how long one create may take.
    pub(crate) fn new(budget: CallBudget, create_timeout: Duration) -> Self {
        Self {
            partitions: BTreeMap::new(),
            keys: BTreeMap::new(),
            origin: None,
            unreachable: Unreachable::default(),
            gateway: Gateway::default(),
            bucket: Bucket::new(budget),
            upkeep: Upkeep::new(budget.upkeep_per_day),
            queue: Queue::new(overdue_after(create_timeout)),
            behind: Queue::new(overdue_after(create_timeout)),
            pausing: Queue::new(overdue_after(create_timeout)),
            sharing: Queue::new(QUICK),
            failing: Queue::new(QUICK),
            known_keys: KnownKeys::default(),
            under_way: BTreeMap::new(),
            tidy_at: 64,
        }
    }

    pub(crate) fn flight(&self, id: PartitionId) -> Option<&Flight<W>> {
        self.partitions.get(&id)?.flight.as_ref()
    }

    pub(crate) fn is_flying(&self, id: PartitionId, generation: u64) -> bool {
        self.flight(id)
            .is_some_and(|flight| flight.generation == generation)
    }

    /// Returns how many creates and checks are in any queue.
    #[cfg(test)]
    pub(crate) fn places(&mut self, now: Reading) -> usize {
        let asking = self.sharing.len(now) + self.failing.len(now);
        self.before_deletes(now) + asking
    }

    /// Returns how many creates and checks wait for their first call.
    #[cfg(test)]
    pub(crate) fn queued(&mut self, now: Reading) -> usize {
        self.queue.len(now) + self.behind.len(now)
    }

    /// Returns when a call of this partition was last granted.
    #[cfg(test)]
    pub(crate) fn last_call(&self, id: PartitionId) -> Option<Reading> {
        self.partitions.get(&id)?.last_call
    }

    fn key_hold(&self, partition: &Partition) -> Option<&Cooldown> {
        self.keys.get(&partition.key_id)?.as_ref()
    }

    /// Records a create that is about to start, and the queue that it waits in first.
    pub(crate) fn begin(
        &mut self,
        id: PartitionId,
        generation: u64,
        waiters: W,
        place: Place,
        now: Reading,
    ) -> Flight<W> {
        self.tidy(now);
        match place {
            Place::Queue => self.queue.enter(generation, now),
            Place::Behind => self.behind.enter(generation, now),
            Place::Store if self.store_error(id, now).is_some() => {
                self.failing.enter(generation, now);
            }
            Place::Store => self.sharing.enter(generation, now),
            Place::Nowhere => {}
        }
        let flight = Flight {
            generation,
            begun: now,
            status: Arc::default(),
            waiters,
        };
        if place == Place::Nowhere {
            self.probe_reach(Purpose::Question, generation, now);
        }
        self.under_way.insert(generation, flight.status.clone());
        self.partitions.entry(id).or_default().flight = Some(flight.clone());
        flight
    }

    /// Moves a create that has to make a call into the queue for calls.
    pub(crate) fn enter_queue(&mut self, generation: u64, now: Reading) {
        // Not `leave_all`: if this create probes whether the server can be reached, it goes on probing.
        self.leave_places(generation);
        self.queue.enter(generation, now);
    }

    /// Takes a create out of the queue, because its first call is about to go out.
    pub(crate) fn leave_queue(&mut self, id: PartitionId, generation: u64, now: Reading) {
        self.leave_queues(generation);
        self.prolong(id, generation, now);
    }

    /// Restarts the time after which the create counts as lost.
    pub(crate) fn prolong(&mut self, id: PartitionId, generation: u64, now: Reading) {
        let flight = self
            .partitions
            .get_mut(&id)
            .and_then(|entry| entry.flight.as_mut());
        if let Some(flight) = flight.filter(|flight| flight.generation == generation) {
            flight.begun = now;
        }
    }

    /// Ends a create, so that another one may start. Returns whether it was still in charge of its partition, which
    /// means that no other create had taken its place.
    pub(crate) fn end(&mut self, id: PartitionId, generation: u64) -> bool {
        self.under_way.remove(&generation);
        self.leave_all(generation);
        let flying = self.is_flying(id, generation);
        if let Some(entry) = self.partitions.get_mut(&id).filter(|_| flying) {
            entry.flight = None;
        }
        flying
    }

    /// Fences off the create under way, so that another one can take its place. If it still gets a session, that
    /// session will not be used.
    pub(crate) fn fence(&mut self, id: PartitionId) -> Option<Flight<W>> {
        let fenced = self.partitions.get_mut(&id)?.flight.take()?;
        self.leave_all(fenced.generation);
        Some(fenced)
    }

    /// Forgets the creates of the parent process after a fork.
    pub(crate) fn begin_anew(&mut self) {
        let generations = mem::take(&mut self.under_way).into_keys();
        for generation in generations {
            self.leave_all(generation);
        }
        for entry in self.partitions.values_mut() {
            entry.flight = None;
        }
    }

    fn leave_all(&mut self, generation: u64) {
        self.leave_places(generation);
        self.end_probe_of_reach(generation);
    }

    fn leave_places(&mut self, generation: u64) {
        for queue in [&mut self.pausing, &mut self.sharing, &mut self.failing] {
            queue.leave(generation);
        }
        self.leave_queues(generation);
    }

    /// Like [`fence`](Self::fence), for a create that did not end in time. Returns whether it leaves a possible orphan:
    /// a session on the server that nobody here knows.
    pub(crate) fn give_up(&mut self, id: PartitionId) -> bool {
        self.fence(id).is_some_and(|flight| flight.status.give_up())
    }

    pub(crate) fn is_creating(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Gives up every create under way. Returns how many possible orphans that leaves.
    pub(crate) fn give_up_all(&mut self) -> u64 {
        self.under_way
            .values()
            .filter(|status| status.give_up())
            .count() as u64
    }

    /// Grants and counts a call that is about to be made, or returns what holds it back.
    ///
    /// `create` is the generation of the create that asks. It is `None` if no create asks.
    pub(crate) fn clear(
        &mut self,
        partition: &Partition,
        purpose: Purpose,
        create: Option<u64>,
        now: Reading,
    ) -> Clearance {
        if let Err(error) = self.check_reach(purpose, create, now) {
            return Clearance::Wait(error.retry_after().unwrap_or_default(), error);
        }
        if purpose == Purpose::Question {
            return Clearance::Granted;
        }
        let holds = [self.key_hold(partition), self.origin.as_ref()];
        if let Some(hold) = holds.into_iter().flatten().find(|hold| hold.is_active(now)) {
            return Clearance::Wait(hold.left(now), hold.error(now));
        }
        if self
            .key_hold(partition)
            .is_some_and(|hold| hold.is_probed_by_another(create, now))
        {
            return Clearance::Soon;
        }
        let last_call = self
            .partitions
            .get(&partition.id)
            .and_then(|entry| entry.last_call);
        let floor = last_call.map_or(Duration::ZERO, |last| FLOOR.saturating_sub(now.since(last)));
        if !floor.is_zero() {
            return Clearance::Wait(floor, over_budget(floor));
        }
        if let Some(wait) = self.wait_for_upkeep(partition, purpose, now) {
            return wait;
        }
        let queued = self.before_deletes(now);
        if purpose == Purpose::Delete && queued > 0 {
            // Queued creates and checks come before deletes, so a delete waits unless there are tokens for all of them.
            // It also waits if its own partition has an attempt under way: the pause that follows each call of a
            // partition would delay the create.
            let wait = self.bucket.wait_beside(queued, now.monotonic);
            if !wait.is_zero() || self.flight(partition.id).is_some() {
                let wait = wait.max(FLOOR);
                return Clearance::Wait(wait, over_budget(wait));
            }
        }
        if let Err(wait) = self.take_token(partition, purpose, create, now) {
            return Clearance::Wait(wait, over_budget(wait));
        }
        self.partitions.entry(partition.id).or_default().last_call = Some(now);
        if let (Some(create), Some(Some(hold))) = (create, self.keys.get_mut(&partition.key_id)) {
            hold.begin_probe(create, now);
        }
        if let Some(create) = create {
            self.probe_reach(purpose, create, now);
        }
        Clearance::Granted
    }

    /// Records that the create sent at `sent` succeeded. Ends the key's cooldown if it began before `sent`, and those
    /// of the partition.
    pub(crate) fn succeeded(&mut self, partition: &Partition, sent: Reading) {
        self.known_keys.succeeded(partition.key_id, sent);
        self.let_through(partition.key_id);
        if let Some(hold) = self.keys.get_mut(&partition.key_id) {
            hold.take_if(|hold| hold.began_before(sent));
        }
        if let Some(entry) = self.partitions.get_mut(&partition.id) {
            entry.hold = None;
            entry.check_hold = None;
            entry.store_error = None;
        }
    }

    /// Records that a check has found its session alive.
    pub(crate) fn checked(&mut self, partition: &Partition, now: Reading) {
        self.known_keys.accept(partition.key_id, now);
        self.let_through(partition.key_id);
        if let Some(Some(hold)) = self.keys.get_mut(&partition.key_id) {
            hold.end_probe();
        }
        if let Some(entry) = self.partitions.get_mut(&partition.id) {
            entry.check_hold = None;
        }
    }

    /// Records a failed call and begins a cooldown for the partition, the key or the origin, whichever the failure
    /// concerns. Returns the error with the time of the next try.
    pub(crate) fn failed(
        &mut self,
        partition: &Partition,
        purpose: Purpose,
        error: Error,
        now: Reading,
    ) -> Error {
        // No call was made: this error only reports a cooldown, so it must not begin another one.
        if error.is_held_back() {
            return error;
        }
        let reach = failure::consequence(&error, 1).reach;
        if let (false, Some(Some(hold))) =
            (reach == Reach::Key, self.keys.get_mut(&partition.key_id))
        {
            hold.end_probe();
        }
        match reach {
            Reach::Partition => {
                let entry = self.partitions.entry(partition.id).or_default();
                entry.key = Some(partition.key_id);
                hold(entry.hold_mut(purpose), error, now)
            }
            Reach::Key => {
                let elsewhere = self.known_keys.refusals_elsewhere(partition.key_id, now);
                let place = self.keys.entry(partition.key_id).or_default();
                hold_after(place, error, elsewhere, now)
            }
            Reach::Origin => hold(&mut self.origin, error, now),
        }
    }

    /// Records that another process of the fleet has failed with this key, and that no process may try it for `left`.
    /// Returns the error if the server has refused the key to this process as well.
    pub(crate) fn paused_elsewhere(
        &mut self,
        key: KeyId,
        left: Duration,
        now: Reading,
    ) -> Option<Error> {
        self.known_keys.paused_elsewhere(key, left, now);
        self.keys.get_mut(&key)?.as_mut()?.prolong(left, now)
    }
}
