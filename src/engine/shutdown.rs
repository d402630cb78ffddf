//! The end of a manager: which of its sessions is left, deleted or given up next, and when all is over.
//!
//! Requests are waited for during half of the time. Then sessions that are still in use are left to expire, so that the others are
//! deleted in time.

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

/// How many end at once.
const SIDE_BY_SIDE: usize = 16;
/// How often it is looked whether something has changed that nobody tells of.
const LOOK: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(1);

/// A session on its way out.
pub(crate) trait Ending: Clone {
    fn is(&self, other: &Self) -> bool;

    fn partition(&self) -> &Partition;

    /// Whether other processes may use it as well.
    fn is_others_too(&self) -> bool;

    /// Whether no request bears it any more.
    fn is_drained(&self, now: Reading) -> bool;

    /// How long requests that were dropped still count.
    fn lingers_for(&self, now: Reading) -> Duration;

    /// How long the server keeps it by itself.
    fn left(&self, now: Reading) -> Duration;
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next<S> {
    /// Leave this session within so much time: others may go on with it.
    Leave(S, Duration),
    /// Delete it, within so much time. The call has been counted.
    Delete(S, Duration),
    /// It is left to expire.
    LeaveToExpire(S),
    /// Look again after so much time, or once something has ended.
    Wait(Duration),
    /// Nothing is left to do.
    Over,
}

/// A shutdown under way.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown<S> {
    begun: Reading,
    deadline: Duration,
    /// Requests in flight are waited for.
    drains: bool,
    /// The longest life last, so that it is taken first.
    waiting: Vec<S>,
    under_way: Vec<S>,
    given_up: VecDeque<S>,
    /// Creates that were given up while a call was on its way, and that nobody has been told of.
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

    /// These have been retired, also by creates that landed meanwhile.
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

    /// What was begun with a session has ended. Where it was only left, it may be this process's own to delete.
    pub(crate) fn ended(&mut self, session: S, is_to_be_deleted: bool) {
        self.under_way.retain(|other| !other.is(&session));
        if is_to_be_deleted {
            self.waiting.push(session);
        }
    }

    pub(crate) fn take_orphans(&mut self) -> u64 {
        mem::take(&mut self.orphans)
    }

    /// All that have not ended.
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

    /// The next session that others may use as well, and that nothing here bears any more.
    fn next_shared(&mut self, now: Reading) -> Option<S> {
        let is_next = |session: &S| session.is_others_too() && session.is_drained(now);
        let at = self.waiting.iter().rposition(is_next)?;
        Some(self.begin(at))
    }

    /// The next session that may be deleted now, its call counted; or how long there is none.
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
                    // The pace and the budget concern all the others as well.
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

    /// Those of keys that leave others a place come first.
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

    /// When something may have changed that nobody tells of.
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

    /// One that hangs gives its place to another in time.
    fn time_for_one(&self, left: Duration) -> Duration {
        if self.waiting.len() > SIDE_BY_SIDE {
            left / 2
        } else {
            left
        }
    }
}
