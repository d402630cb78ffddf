//! Decides whether a create or a check could make its call now. Nothing is counted.
//!
//! A create *comes behind* if the server has not accepted its API key. Such creates get only a part of the call budget.

use std::time::Duration;

use super::{Entry, Gate, LEAST_AT_ONCE};
use crate::{
    clock::Reading,
    engine::{cooldown::Cooldown, flight::Flight},
    error::{Error, ErrorKind},
    model::{
        budget::Purpose,
        failure::FLOOR,
        partition::{KeyId, Partition, PartitionId},
    },
};

/// For how long after a create could not reach the store the next creates of its partition rank behind others at the
/// store.
pub(super) const STORE_FAILED_FOR: Duration = Duration::from_secs(60);

/// When a request looks again whether a session may be checked, after today's checks of its key are used up.
const NEXT_LOOK: Duration = Duration::from_secs(10);

impl<W: Clone> Gate<W> {
    /// Checks whether a create or a check could make its call within `patience`. The call is not counted.
    ///
    /// # Errors
    ///
    /// Returns what holds the call back.
    pub(crate) fn check(
        &mut self,
        partition: &Partition,
        purpose: Purpose,
        patience: Duration,
        now: Reading,
    ) -> Result<(), Error> {
        self.check_holds(partition, purpose, now)?;
        if purpose == Purpose::Check && self.out_of_upkeep(partition, now).is_some() {
            return Err(over_budget(NEXT_LOOK));
        }
        if let Some(hold) = self
            .origin
            .as_ref()
            .filter(|hold| hold.left(now) > patience)
        {
            return Err(hold.error(now));
        }
        let wait = self.next_call_in(partition, purpose, now);
        if wait > patience {
            Err(over_budget(wait))
        } else {
            Ok(())
        }
    }

    /// Like `check`, for a check of whether a session of this partition is alive. Such a check begins with the free
    /// `GET /v1/health`, so it needs no token.
    ///
    /// # Errors
    ///
    /// Returns what holds the check back.
    pub(crate) fn check_hold(&self, partition: &Partition, now: Reading) -> Result<(), Error> {
        self.check_reach(Purpose::Question, None, now)?;
        let entry = self.partitions.get(&partition.id);
        let hold = entry.and_then(|entry| entry.hold(Purpose::Question));
        match hold.filter(|hold| hold.is_active(now)) {
            Some(hold) => Err(hold.error(now)),
            None => Ok(()),
        }
    }

    /// Ends the cooldowns of this key and its partitions, but not those for all keys. Returns whether there were any.
    pub(crate) fn clear_holds(&mut self, key: KeyId, now: Reading) -> bool {
        self.known_keys.forgive(key);
        let had_quota = self.clear_quota(key);
        let of_key = self.keys.remove(&key).flatten();
        let entries = self.partitions.values_mut();
        let entries = entries.filter(|entry| entry.key == Some(key));
        let own = entries.flat_map(|entry| [entry.hold.take(), entry.check_hold.take()]);
        let mut holds: Vec<_> = own.flatten().chain(of_key).collect();
        holds.retain(|hold| hold.is_active(now));
        !holds.is_empty() || had_quota
    }

    /// Returns why a partition has no session, for a request that has waited for one for `waited`. That is the cooldown
    /// that holds now, or ended during the wait. Returns `None` if there is none.
    pub(crate) fn why_not(
        &self,
        partition: &Partition,
        waited: Duration,
        now: Reading,
    ) -> Option<Error> {
        if let Err(error) = self.check_reach(Purpose::Create, None, now) {
            return Some(error);
        }
        let entry = self.partitions.get(&partition.id);
        let own = entry.and_then(|entry| entry.hold(Purpose::Create));
        let holds = [own, self.key_hold(partition), self.origin.as_ref()];
        let holds = holds.into_iter().flatten();
        let holds = holds.filter(|hold| hold.ended_within(waited, now));
        let last = holds.max_by_key(|hold| hold.left(now))?;
        let error = last.error(now);
        let again = error.retry_after().unwrap_or_default().max(FLOOR);
        Some(error.with_retry_after(again))
    }

    /// Returns whether the call is a create for a key that the server has not accepted, or refuses by now. Anybody can
    /// make up such keys, so these creates together get only a part of the call budget. While no key was accepted at
    /// all, returns `false`.
    pub(crate) fn comes_behind(
        &self,
        partition: &Partition,
        purpose: Purpose,
        now: Reading,
    ) -> bool {
        let key = partition.key_id;
        purpose == Purpose::Create
            && !self.known_keys.is_empty()
            && (!self.known_keys.is_accepted(key) || self.is_refused(key, now))
    }

    /// Returns whether the server has refused the key since it last accepted it. Returns `false` for the manager's own
    /// key, which always ranks with the accepted ones.
    fn is_refused(&self, key: KeyId, now: Reading) -> bool {
        let hold = self.keys.get(&key).and_then(Option::as_ref);
        let is_refused = |hold: &Cooldown| hold.is_refusal(now);
        !self.known_keys.is_own(key) && hold.is_some_and(is_refused)
    }

    /// Takes a token for a call, or returns how long until there is one.
    pub(super) fn take_token(
        &mut self,
        partition: &Partition,
        purpose: Purpose,
        create: Option<u64>,
        now: Reading,
    ) -> Result<(), Duration> {
        if self.comes_behind(partition, purpose, now) {
            self.take_behind(create, now)?;
        } else {
            self.comes_ahead(create, now);
            let waiting = self.behind.len(now);
            self.bucket.take(purpose, waiting, now.monotonic)?;
        }
        self.count_upkeep(partition.key_id, purpose, now);
        Ok(())
    }

    /// Takes a token for a create whose key was not accepted. A create that gets no token waits in `behind`, so that a
    /// token is kept for it. That also holds between two of its calls.
    fn take_behind(&mut self, create: Option<u64>, now: Reading) -> Result<(), Duration> {
        let taken = self.bucket.take_behind(now.monotonic);
        match (create, &taken) {
            (Some(create), Ok(())) => drop(self.behind.leave(create)),
            (Some(create), Err(_)) => self.behind.enter(create, now),
            (None, _) => {}
        }
        taken
    }

    /// Moves the create to the queue of accepted keys, if it still waits in `behind`: its key was accepted meanwhile.
    fn comes_ahead(&mut self, create: Option<u64>, now: Reading) {
        if let Some(create) = create
            && self.behind.leave(create)
        {
            self.queue.enter(create, now);
        }
    }

    /// Returns whether at least half of the call budget's burst is free.
    pub(crate) fn is_plenty(&self, now: Reading) -> bool {
        self.bucket.is_half_full(now.monotonic)
    }

    /// Returns how long until there is a token for one more call.
    pub(crate) fn next_call_in(
        &mut self,
        partition: &Partition,
        purpose: Purpose,
        now: Reading,
    ) -> Duration {
        let (ahead, behind) = (self.queue.len(now), self.behind.len(now));
        if self.comes_behind(partition, purpose, now) {
            self.bucket.wait_behind(behind + 1, ahead, now.monotonic)
        } else {
            self.bucket.wait_ahead(ahead + 1, behind, now.monotonic)
        }
    }

    pub(super) fn leave_queues(&mut self, generation: u64) {
        self.queue.leave(generation);
        self.behind.leave(generation);
    }

    /// Returns how many creates and checks have not ended.
    pub(crate) fn under_way(&self) -> u64 {
        self.under_way.len() as u64
    }

    /// Returns the partitions for which a create or a check is under way. Leaves out those that have run for `longest`.
    /// Their runtime has probably stalled, and only a waiting request would give them up.
    pub(crate) fn flying(
        &self,
        longest: Duration,
        now: Reading,
    ) -> impl Iterator<Item = PartitionId> {
        let is_driven = move |flight: &Flight<W>| now.since(flight.begun) < longest;
        let flying = move |(id, entry): (&PartitionId, &Entry<W>)| {
            entry.flight.as_ref().is_some_and(is_driven).then_some(*id)
        };
        self.partitions.iter().filter_map(flying)
    }

    /// Returns whether the store is being asked by as many creates already as could make their calls within `patience`.
    /// One more would have to wait for its call too long.
    ///
    /// Creates whose partition could not reach the store in the last minute get at most half of the places. Example:
    /// one shard of the store hangs. Its creates must not keep out creates whose shard answers.
    ///
    /// # Errors
    ///
    /// Returns why the store could not be reached, if that half is taken.
    pub(crate) fn is_crowded(
        &mut self,
        id: PartitionId,
        patience: Duration,
        now: Reading,
    ) -> Result<bool, Error> {
        let places = self.bucket.most_within(patience).max(LEAST_AT_ONCE);
        let failing = self.failing.len(now);
        match self.store_error(id, now) {
            Some(error) if failing >= places / 2 => Err(error.with_retry_after(FLOOR)),
            _ => Ok(self.sharing.len(now) + failing >= places),
        }
    }

    /// Records for a while that a create of this partition failed because it could not reach the store.
    pub(crate) fn note_store_error(&mut self, id: PartitionId, error: &Error, now: Reading) {
        if error.kind() == ErrorKind::Store {
            let entry = self.partitions.entry(id).or_default();
            entry.store_error = Some((error.clone(), now));
        }
    }

    /// Returns why this partition's last create failed, if it could not reach the store in the last minute.
    pub(super) fn store_error(&self, id: PartitionId, now: Reading) -> Option<Error> {
        let (error, at) = self.partitions.get(&id)?.store_error.as_ref()?;
        (now.since(*at) < STORE_FAILED_FOR).then(|| error.clone())
    }

    /// Like [`check`](Self::check), but looks only at this partition and its key.
    ///
    /// # Errors
    ///
    /// Returns what holds the call back.
    pub(crate) fn check_holds(
        &self,
        partition: &Partition,
        purpose: Purpose,
        now: Reading,
    ) -> Result<(), Error> {
        let entry = self.partitions.get(&partition.id);
        if purpose == Purpose::Create {
            let left = entry.map(|entry| entry.wrong.left(now));
            wrong_again(left.unwrap_or_default())?;
        }
        self.check_reach(purpose, None, now)?;
        let own = entry.and_then(|entry| entry.hold(purpose));
        let holds = [own, self.key_hold(partition)];
        // A cooldown of the partition or the key fails the call at once. The origin's cooldown is not looked at here: a
        // call may wait for it.
        match holds.into_iter().flatten().find(|hold| hold.is_active(now)) {
            Some(hold) => Err(hold.error(now)),
            None => Ok(()),
        }
    }

    /// Records an answer that named another chain than its session. `generation` is that session's, and `uses` is how
    /// many requests had got it before.
    pub(crate) fn answered_wrong(
        &mut self,
        partition: &Partition,
        (generation, uses): (u64, u64),
        now: Reading,
    ) {
        let entry = self.partitions.entry(partition.id).or_default();
        entry.wrong.note(generation, uses, now);
    }
}

/// Returns an error if it is too early for another session, because the answers to the last ones were wrong. `left` is
/// how much longer to wait.
fn wrong_again(left: Duration) -> Result<(), Error> {
    if left.is_zero() {
        return Ok(());
    }
    let text = "one session after another was answered under other defaults, so that the next one is made later; \
                does a proxy take `X-Session-Id` away, or are there servers that do not share their sessions?";
    Err(Error::new(ErrorKind::WrongDefaults, text).with_retry_after(left))
}

pub(super) fn over_budget(wait: Duration) -> Error {
    Error::new(
        ErrorKind::Budget,
        "the budget of session calls is used up for now",
    )
    .with_retry_after(wait)
}
