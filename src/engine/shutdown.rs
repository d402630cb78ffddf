//! Decides the steps of a manager's shutdown: which session is *left* to other processes of the fleet, deleted, or left
//! to expire next, and when the shutdown is over.
//!
//! The shutdown waits for requests in flight during the first half of its time. Sessions that are still in use after
//! that are left to expire, so that the others can be deleted in time.

use std::{collections::VecDeque, mem, time::Duration};

use super::gate::{Clearance, Gate};
use crate::{
    clock::Reading,
    model::{
        budget::Purpose,
        failure::{self, FLOOR},
        partition::{KeyId, Partition},
    },
};

/// How many deletes and leaves are under way at once.
const SIDE_BY_SIDE: usize = 16;
/// How often the shutdown looks for changes that no request and no task reports.
const LOOK: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(1);

/// A session at the shutdown of its manager.
pub(crate) trait Ending: Clone {
    fn is(&self, other: &Self) -> bool;

    fn partition(&self) -> &Partition;

    /// Returns whether other processes of the fleet may use the session as well.
    fn is_others_too(&self) -> bool;

    /// Returns whether no request of this process uses the session any more.
    fn is_drained(&self, now: Reading) -> bool;

    /// Returns how much longer dropped requests count as using the session.
    fn lingers_for(&self, now: Reading) -> Duration;

    /// Returns how much of the session's life is left on the server.
    fn left(&self, now: Reading) -> Duration;
}

/// The next step of a shutdown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next<S> {
    /// Leave this session to the other processes that use it. This may take so long at most.
    Leave(S, Duration),
    /// Delete the session. This may take so long at most. The gate has already counted the call.
    Delete(S, Duration),
    /// Leave the session to expire.
    LeaveToExpire(S),
    /// Look again after this time, or once a delete or a leave has ended.
    Wait(Duration),
    /// Nothing is left to do.
    Over,
}

/// A shutdown under way.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown<S> {
    begun: Reading,
    deadline: Duration,
    /// Whether the shutdown still waits for requests in flight.
    drains: bool,
    /// Sorted by the life that is left. The session with the most is last, and is taken first.
    waiting: Vec<S>,
    under_way: Vec<S>,
    given_up: VecDeque<S>,
    /// Creates that were given up while a call was on its way, and that were not reported yet.
    orphans: u64,
}

impl<S: Ending> Shutdown<S> {
    pub(crate) fn new(deadline: Duration, now: Reading) -> Self {
        Self {
            begun: now,
            deadline,
            drains: true,
            waiting: Vec::new(),
            under_way: Vec::new(),
            given_up: VecDeque::new(),
            orphans: 0,
        }
    }

    /// Adds retired sessions. Creates that end during the shutdown add more.
    pub(crate) fn admit(&mut self, retired: impl Iterator<Item = S>, now: Reading) {
        self.waiting.extend(retired);
        self.waiting.sort_by_key(|session| session.left(now));
    }

    pub(crate) fn next<W: Clone>(&mut self, gate: &mut Gate<W>, now: Reading) -> Next<S> {
        let left = self.left(now);
        if self.drains && self.elapsed(now) >= self.deadline / 2 {
            self.drains = false;
            self.give_up(|session| !session.is_drained(now));
        }
        if left.is_zero() {
            self.give_up(|_| true);
            self.orphans += gate.give_up_all();
        }
        if let Some(session) = self.given_up.pop_front() {
            return Next::LeaveToExpire(session);
        }
        let mut wait = self.look_again(now);
        if self.under_way.len() < SIDE_BY_SIDE {
            if let Some(session) = self.next_shared(now) {
                return Next::Leave(session, left);
            }
            match self.clear_next(gate, now) {
                Ok(session) => return Next::Delete(session, self.time_for_one(left)),
                Err(soonest) => wait = wait.min(soonest),
            }
        }
        let creating = gate.is_creating() && !left.is_zero();
        if self.waiting.is_empty() && self.under_way.is_empty() && !creating {
            return Next::Over;
        }
        Next::Wait(wait)
    }

    /// Records that a delete or a leave has ended. `is_to_be_deleted` says that no other process uses the session, so
    /// this one has to delete it.
    pub(crate) fn ended(&mut self, session: S, is_to_be_deleted: bool) {
        self.under_way.retain(|other| !other.is(&session));
        if is_to_be_deleted {
            self.waiting.push(session);
        }
    }

    pub(crate) fn take_orphans(&mut self) -> u64 {
        mem::take(&mut self.orphans)
    }

    /// Takes all sessions that have not ended.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = S> {
        let waiting = self.waiting.drain(..).chain(self.given_up.drain(..));
        waiting.chain(self.under_way.drain(..))
    }

    pub(crate) fn left(&self, now: Reading) -> Duration {
        self.deadline.saturating_sub(self.elapsed(now))
    }

    fn elapsed(&self, now: Reading) -> Duration {
        now.since(self.begun)
    }

    fn give_up(&mut self, which: impl Fn(&S) -> bool) {
        let given_up = self.waiting.extract_if(.., |session| which(session));
        self.given_up.extend(given_up);
    }

    /// Returns the next session that other processes may use and that no request here uses any more.
    fn next_shared(&mut self, now: Reading) -> Option<S> {
        let is_next = |session: &S| session.is_others_too() && session.is_drained(now);
        let at = self.waiting.iter().rposition(is_next)?;
        Some(self.begin(at))
    }

    /// Returns the next session that may be deleted now, with its call counted. Otherwise returns how long to wait.
    fn clear_next<W: Clone>(&mut self, gate: &mut Gate<W>, now: Reading) -> Result<S, Duration> {
        let mut soonest = Duration::MAX;
        for at in self.in_order() {
            let session = &self.waiting[at];
            if session.is_others_too() || !session.is_drained(now) {
                continue;
            }
            match gate.clear(session.partition(), Purpose::LastDelete, None, now) {
                Clearance::Soon => soonest = soonest.min(FLOOR),
                Clearance::Granted => return Ok(self.begin(at)),
                Clearance::Wait(wait, error) => {
                    soonest = soonest.min(wait);
                    // The server's pace and the call budget hold back all other deletes as well.
                    if failure::concerns_all(&error) && wait > FLOOR {
                        break;
                    }
                }
            }
        }
        Err(soonest)
    }

    fn begin(&mut self, at: usize) -> S {
        let session = self.waiting.remove(at);
        self.under_way.push(session.clone());
        session
    }

    /// Returns the positions of the waiting sessions, in the order in which they are to be deleted. Sessions of a key
    /// that has half of the deletes under way come last.
    fn in_order(&self) -> impl Iterator<Item = usize> + use<S> {
        let all = (0..self.waiting.len()).rev();
        let (fair, others): (Vec<_>, Vec<_>) = all.partition(|at| {
            let key = self.waiting[*at].partition().key_id;
            !self.takes_half_of_the_places(key)
        });
        fair.into_iter().chain(others)
    }

    fn takes_half_of_the_places(&self, key: KeyId) -> bool {
        let under_way = self.under_way.iter();
        let of_key = under_way.filter(|session| session.partition().key_id == key);
        of_key.count() >= SIDE_BY_SIDE / 2
    }

    /// Returns how long until the shutdown looks for changes that no request and no task reports.
    fn look_again(&self, now: Reading) -> Duration {
        let lingers = self.waiting.iter().map(|session| session.lingers_for(now));
        let drained = if self.drains {
            (self.deadline / 2).saturating_sub(self.elapsed(now))
        } else {
            Duration::MAX
        };
        let next = [drained, self.left(now)].into_iter().chain(lingers);
        let next = next.filter(|wait| !wait.is_zero()).min();
        next.unwrap_or(SOON).min(LOOK)
    }

    /// Returns how long one delete may take. If many sessions wait, a delete that hangs has to end early enough for
    /// another one.
    fn time_for_one(&self, left: Duration) -> Duration {
        if self.waiting.len() > SIDE_BY_SIDE {
            left / 2
        } else {
            left
        }
    }
}
