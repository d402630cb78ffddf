//! Sessions that are handed out no more, and wait for their end on the server.
//!
//! Whatever leaves the cache comes here: replaced, evicted, invalidated. From here a session is deleted once nothing
//! that bears it is in flight, or left to expire once that is not worth a call any more.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    event::{Event, RetireReason},
    memo,
    observe::Observer,
    partition::PartitionId,
    session::LiveSession,
};
use crate::{
    api::{KeptId, SessionId},
    clock::Reading,
    error::Error,
};

/// How many are handed out to be deleted before the queue is looked at again.
const AT_ONCE: usize = 64;
/// An attendant looks at the queue at least this often, so that one on a stalled runtime is noticed.
pub(crate) const LOOK: Duration = Duration::from_secs(15);
/// An attendant that was not seen for so long is replaced.
const ABSENT: Duration = Duration::from_secs(60);
/// How often a delete is tried before its session is left to expire.
const MAX_TRIES: u32 = 3;

/// A session on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Retired {
    pub(crate) session: Arc<LiveSession>,
    tries: u32,
    /// In monotonic time.
    not_before: Duration,
    /// When to look at it, in monotonic time.
    due: Duration,
    error: Option<Error>,
}

impl Retired {
    pub(crate) fn new(session: Arc<LiveSession>) -> Self {
        Self {
            session,
            tries: 0,
            not_before: Duration::ZERO,
            due: Duration::ZERO,
            error: None,
        }
    }

    pub(crate) fn left_to_expire(&self, now: Reading) -> Event {
        let session = &self.session;
        let left = session.life.left(now);
        Event::LeftToExpire {
            session: session.reference(),
            left,
            error: self.error.clone(),
        }
    }
}

/// In the order in which they were made. A create that is refused may make two of one generation.
type Key = (u64, usize);

fn key(session: &Arc<LiveSession>) -> Key {
    (session.generation, Arc::as_ptr(session).addr())
}

#[derive(Debug, Default)]
struct Queue {
    retired: BTreeMap<Key, Retired>,
    /// All of them, the one that is to be looked at first in front: there may be too many to look at each of them every
    /// time.
    due: BTreeSet<(Duration, Key)>,
    /// Not worth a call while there is anything else to do; a shutdown deletes them all the same.
    expiring: Vec<Arc<LiveSession>>,
    /// When to forget those of them that have expired.
    tidy_at: Duration,
    /// Evicted while requests used them. They are still good, and whoever asks for one gets it back.
    pinned: HashMap<PartitionId, Arc<LiveSession>>,
    attended: Option<Attendance>,
    attendants: u64,
}

impl Queue {
    fn add(&mut self, retired: Retired) {
        let key = key(&retired.session);
        self.due.insert((retired.due, key));
        self.retired.insert(key, retired);
    }

    fn remove(&mut self, key: Key) {
        if let Some(retired) = self.retired.remove(&key) {
            self.due.remove(&(retired.due, key));
        }
    }

    fn set_due(&mut self, key: Key, due: Duration) {
        if let Some(retired) = self.retired.get_mut(&key) {
            self.due.remove(&(retired.due, key));
            retired.due = due;
            self.due.insert((due, key));
        }
    }
}

/// Who attends to the queue, and when that was last seen to be so.
#[derive(Clone, Copy, Debug)]
struct Attendance {
    attendant: u64,
    seen: Reading,
}

/// What there is to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Delete these, which stay here until it is done.
    Delete(Vec<Arc<LiveSession>>),
    /// Look again after so much time, or when woken.
    Wait(Duration),
    /// Nothing is left.
    Done,
}

/// Where sessions wait for their end.
#[derive(Debug)]
pub(crate) struct Retirement {
    queue: Mutex<Queue>,
    changed: Notify,
    observer: Arc<Observer>,
}

impl Retirement {
    pub(crate) fn new(observer: Arc<Observer>) -> Self {
        Self {
            queue: Mutex::default(),
            changed: Notify::new(),
            observer,
        }
    }

    /// Takes a session in; one that is here already stays as it is.
    pub(crate) fn retire(&self, session: &Arc<LiveSession>, reason: RetireReason) {
        if !session.in_flight.retire() {
            return;
        }
        if reason == RetireReason::Lost {
            memo::forget(session);
            // There is nothing to be deleted.
            self.observer.emit(Event::Retired {
                session: session.reference(),
                reason,
            });
            return;
        }
        self.admit(&mut self.queue(), session, reason);
    }

    /// The cache has no room for a session. One that is in use is kept until it is not.
    pub(crate) fn evict(&self, session: Arc<LiveSession>, now: Reading) {
        let mut queue = self.queue();
        if session.retire_if_idle(now) {
            self.admit(&mut queue, &session, RetireReason::Evicted);
        } else if !session.in_flight.is_retired() {
            let displaced = queue.pinned.insert(session.partition.id, session);
            if let Some(displaced) = displaced.filter(|displaced| displaced.in_flight.retire()) {
                self.admit(&mut queue, &displaced, RetireReason::Replaced);
            }
        }
        self.changed.notify_one();
    }

    /// Gives back a session that was evicted while it was in use.
    pub(crate) fn unpin(&self, id: PartitionId) -> Option<Arc<LiveSession>> {
        self.queue().pinned.remove(&id)
    }

    pub(crate) fn unpin_this(&self, session: &Arc<LiveSession>) {
        let (mut queue, id) = (self.queue(), session.partition.id);
        if let Some(pinned) = queue.pinned.get(&id)
            && Arc::ptr_eq(pinned, session)
        {
            queue.pinned.remove(&id);
        }
    }

    pub(crate) fn pinned(&self, id: PartitionId) -> Option<Arc<LiveSession>> {
        self.queue().pinned.get(&id).cloned()
    }

    pub(crate) fn all_pinned(&self) -> Vec<Arc<LiveSession>> {
        self.queue().pinned.values().cloned().collect()
    }

    /// How many requests still use a session that is on its way out.
    pub(crate) fn in_flight(&self) -> usize {
        let queue = self.queue();
        let retired = queue.retired.values().map(|retired| &retired.session);
        retired
            .chain(&queue.expiring)
            .map(|session| session.in_flight.count())
            .sum()
    }

    /// Takes out everything, for the shutdown to deal with.
    pub(crate) fn take_all(&self) -> Vec<Retired> {
        let mut queue = self.queue();
        queue.due.clear();
        let retired = mem::take(&mut queue.retired);
        let mut all: Vec<_> = retired.into_values().collect();
        all.extend(mem::take(&mut queue.expiring).into_iter().map(Retired::new));
        all
    }

    /// Puts back what was taken out and not dealt with.
    pub(crate) fn put_back(&self, sessions: impl Iterator<Item = Arc<LiveSession>>) {
        let mut queue = self.queue();
        sessions.for_each(|session| queue.add(Retired::new(session)));
    }

    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Something about a session has changed.
    pub(crate) fn look_at(&self, session: &Arc<LiveSession>) {
        self.queue().set_due(key(session), Duration::ZERO);
        self.wake();
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Makes the caller attend to the queue, if there is something in it and nobody does.
    pub(crate) fn attend(&self, now: Reading) -> Option<u64> {
        let mut queue = self.queue();
        let is_empty = queue.retired.is_empty() && queue.pinned.is_empty();
        let attended = queue
            .attended
            .is_some_and(|last| now.since(last.seen) < ABSENT);
        if is_empty || attended {
            return None;
        }
        queue.attendants += 1;
        let attendant = queue.attendants;
        queue.attended = Some(Attendance {
            attendant,
            seen: now,
        });
        Some(attendant)
    }

    /// The attendant is gone, however that came.
    pub(crate) fn dismiss(&self, attendant: u64) {
        self.queue()
            .attended
            .take_if(|present| present.attendant == attendant);
    }

    /// Whether nobody has taken over from an attendant, who is seen to be there by asking.
    pub(crate) fn is_attended_by(&self, attendant: u64, now: Reading) -> bool {
        see(&mut self.queue(), attendant, now)
    }

    /// Decides what to do next. Sessions that are not worth a call any more are let go.
    pub(crate) fn next(&self, attendant: u64, now: Reading) -> Next {
        let mut queue = self.queue();
        if !see(&mut queue, attendant, now) {
            return Next::Done;
        }
        self.settle_pinned(&mut queue, now);
        if queue.tidy_at <= now.monotonic {
            queue.expiring.retain(|session| session.life.may_go_on(now));
            queue.tidy_at = now.monotonic.saturating_add(LOOK);
        }
        let ready = self.take_stock(&mut queue, now);
        if !ready.is_empty() {
            return Next::Delete(ready);
        }
        match queue.due.first() {
            Some((due, _)) => Next::Wait(due.saturating_sub(now.monotonic)),
            None if !queue.pinned.is_empty() => Next::Wait(pinned_wait(&queue, now)),
            None => {
                // Under the same lock as the look: whatever comes later starts its own attendant.
                queue.attended = None;
                Next::Done
            }
        }
    }

    /// A session has been deleted, or need not be.
    pub(crate) fn remove(&self, session: &Arc<LiveSession>) {
        self.queue().remove(key(session));
    }

    /// A session has been deleted by hand.
    pub(crate) fn remove_id(&self, id: &SessionId) {
        let (mut queue, id) = (self.queue(), KeptId::from(id));
        let retired = queue.retired.values().map(|retired| &retired.session);
        let meant: Vec<_> = retired
            .filter(|session| session.id == id)
            .map(key)
            .collect();
        meant.into_iter().for_each(|key| queue.remove(key));
    }

    /// A session could not be deleted for now; `tried` says whether a call was made.
    pub(crate) fn postpone(
        &self,
        session: &Arc<LiveSession>,
        until: Duration,
        tried: Option<Error>,
    ) {
        let mut queue = self.queue();
        if let Some(retired) = queue.retired.get_mut(&key(session)) {
            retired.not_before = until;
            retired.tries += u32::from(tried.is_some());
            retired.error = tried.or_else(|| retired.error.take());
        }
        queue.set_due(key(session), Duration::ZERO);
    }

    /// It has been retired.
    fn admit(&self, queue: &mut Queue, session: &Arc<LiveSession>, reason: RetireReason) {
        memo::forget(session);
        self.observer.emit(Event::Retired {
            session: session.reference(),
            reason,
        });
        queue.add(Retired::new(session.clone()));
        self.changed.notify_one();
    }

    /// Looks at those that are due. Returns some of those that can be deleted now, and lets go of those that need not be.
    fn take_stock(&self, queue: &mut Queue, now: Reading) -> Vec<Arc<LiveSession>> {
        let (mut ready, mut still_due, mut let_go) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((due, key)) = queue.due.first().copied()
            && due <= now.monotonic
            && ready.len() < AT_ONCE
        {
            queue.due.remove(&(due, key));
            let Some(retired) = queue.retired.get_mut(&key) else {
                continue;
            };
            let wait = wait_for(retired, now);
            if !retired.session.life.is_worth_deleting(now) || retired.tries >= MAX_TRIES {
                let_go.extend(queue.retired.remove(&key));
            } else if wait.is_zero() {
                ready.push(retired.session.clone());
                still_due.push((due, key));
            } else {
                // Now and then in any case: the clocks may be set, and not everybody says that he is done.
                retired.due = now.monotonic.saturating_add(wait.min(LOOK));
                queue.due.insert((retired.due, key));
            }
        }
        queue.due.extend(still_due);
        for retired in let_go {
            self.observer.emit(retired.left_to_expire(now));
            queue.expiring.push(retired.session);
        }
        ready
    }

    /// What was evicted in use goes the way of all once it is idle.
    fn settle_pinned(&self, queue: &mut Queue, now: Reading) {
        // Whoever retired one of them by name has taken it in.
        queue
            .pinned
            .retain(|_, session| !session.in_flight.is_retired());
        let idle = |_: &PartitionId, session: &mut Arc<LiveSession>| session.retire_if_idle(now);
        let idle = queue.pinned.extract_if(idle).map(|(_, session)| session);
        let mut idle: Vec<_> = idle.collect();
        // The map has no order of its own.
        idle.sort_by_key(|session| session.generation);
        for session in idle {
            self.admit(queue, &session, RetireReason::Evicted);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes that an attendant is there; `false` if another has taken over.
fn see(queue: &mut Queue, attendant: u64, now: Reading) -> bool {
    let present = queue
        .attended
        .as_mut()
        .filter(|present| present.attendant == attendant);
    present.map(|present| present.seen = now).is_some()
}

/// How long until something is to be done about a session.
fn wait_for(retired: &Retired, now: Reading) -> Duration {
    let session = &retired.session;
    let worth_it = session.life.worth_deleting_for(now);
    if session.in_flight.count() > 0 {
        // The lease wakes us when it goes.
        return worth_it;
    }
    let lingers = session.in_flight.lingers_for(now);
    let postponed = retired.not_before.saturating_sub(now.monotonic);
    lingers.max(postponed).min(worth_it)
}

fn pinned_wait(queue: &Queue, now: Reading) -> Duration {
    let left = queue.pinned.values().map(|session| {
        let lingers = session.in_flight.lingers_for(now);
        let until = session.life.usable_for(now);
        if lingers.is_zero() || session.in_flight.count() > 0 {
            Duration::MAX
        } else {
            lingers.min(until)
        }
    });
    // A lease on a session that is not retired yet does not wake anybody.
    left.min()
        .unwrap_or_default()
        .clamp(Duration::from_millis(100), Duration::from_secs(1))
}
