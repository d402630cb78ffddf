//! Retired sessions. No request gets them any more. They wait to be deleted on the server, or to expire.
//!
//! Every session that leaves the cache comes here, whether it was replaced, evicted or invalidated. Once no request
//! has it in flight, it is deleted. If little of its life is left, it is left to expire instead.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::{capacity::Told, observe::Observer, outbox::Locked};
use crate::{
    api::SessionId,
    clock::Reading,
    engine::retired::{LOOK, Retired, Waiting},
    error::Error,
    hot::{memo, session::LiveSession},
    lock::Lock,
    model::{event::Event, partition::PartitionId, reason::RetireReason},
};

/// If a worker was not seen for this long, another one replaces it.
const ABSENT: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Queue {
    waiting: Waiting,
    /// Sessions that are left to expire, because little of their life is left. Only a shutdown deletes them.
    expiring: Vec<Arc<LiveSession>>,
    /// When to remove the expired sessions from `expiring` next.
    tidy_at: Duration,
    /// Sessions that were evicted while requests used them. They are still good: the next request for the same
    /// partition gets its session back.
    pinned: HashMap<PartitionId, Arc<LiveSession>>,
    worker: Option<Worker>,
    workers: u64,
    told: Told,
}

/// The task that works on the queue, and when it last showed that it is alive.
#[derive(Clone, Copy, Debug)]
struct Worker {
    number: u64,
    seen: Reading,
}

/// What the worker does next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Delete these sessions. They stay in the queue until that is done.
    Delete(Vec<Arc<LiveSession>>),
    /// Look again after this time, or when woken.
    Wait(Duration),
    /// Nothing is left.
    Done,
}

/// The queue of retired sessions.
#[derive(Debug)]
pub(crate) struct Retirement {
    queue: Lock<Queue>,
    changed: Notify,
    observer: Arc<Observer>,
    max_sessions: u64,
}

impl Retirement {
    pub(crate) fn new(observer: Arc<Observer>, max_sessions: u64) -> Self {
        Self {
            queue: Lock::default(),
            changed: Notify::new(),
            observer,
            max_sessions,
        }
    }

    /// Retires a session and queues it. Does nothing if it is retired already.
    pub(crate) fn retire(&self, session: &Arc<LiveSession>, reason: RetireReason) {
        if !session.in_flight.retire() {
            return;
        }
        if reason == RetireReason::Lost {
            memo::forget(session);
            // The server has lost the session, so there is nothing to delete.
            self.observer.emit(Event::Retired {
                session: session.reference(),
                reason,
            });
            return;
        }
        self.admit(&mut self.queue(), session, reason);
    }

    /// Called when the cache evicts a session. If requests use the session, it is pinned: it is kept here, and not
    /// retired before it is idle.
    pub(crate) fn evict(&self, session: Arc<LiveSession>, now: Reading) {
        let mut queue = self.queue();
        if session.retire_if_idle(now) {
            self.admit(&mut queue, &session, RetireReason::Evicted);
        } else if !session.in_flight.is_retired() {
            let displaced = queue.pinned.insert(session.partition.id, session);
            if let Some(displaced) = displaced.filter(|displaced| displaced.in_flight.retire()) {
                self.admit(&mut queue, &displaced, RetireReason::Replaced);
            }
            self.tell_crowded(&mut queue, now);
        }
        self.changed.notify_one();
    }

    /// Removes and returns the pinned session of a partition, that is one that was evicted while in use.
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

    /// Returns how many requests still use a queued session.
    pub(crate) fn in_flight(&self) -> usize {
        let sessions = self.sessions().into_iter();
        sessions.map(|session| session.in_flight.count()).sum()
    }

    /// Returns the queued sessions.
    pub(crate) fn sessions(&self) -> Vec<Arc<LiveSession>> {
        let queue = self.queue();
        let sessions = queue.waiting.sessions().chain(&queue.expiring);
        sessions.cloned().collect()
    }

    /// Removes everything, for the shutdown to handle.
    pub(crate) fn take_all(&self) -> Vec<Retired> {
        let mut queue = self.queue();
        let mut all = mem::take(&mut queue.waiting).into_all();
        all.extend(mem::take(&mut queue.expiring).into_iter().map(Retired::new));
        all
    }

    /// Forgets everything, because it belongs to another process, after a fork.
    pub(crate) fn begin_anew(&self) {
        let mut queue = self.queue();
        let workers = queue.workers;
        *queue = Queue {
            workers,
            ..Queue::default()
        };
    }

    /// Puts back sessions that were removed but not handled.
    pub(crate) fn put_back(&self, sessions: impl Iterator<Item = Arc<LiveSession>>) {
        let mut queue = self.queue();
        sessions.for_each(|session| queue.waiting.add(session));
    }

    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Called when something about a session has changed. Makes the worker look at the session again.
    pub(crate) fn look_at(&self, session: &Arc<LiveSession>) {
        self.queue().waiting.look_at(session);
        self.wake();
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Makes the caller the worker, and returns its number. Returns `None` if there is no work, or if another worker is
    /// alive.
    pub(crate) fn begin_work(&self, now: Reading) -> Option<u64> {
        let mut queue = self.queue();
        let is_empty = queue.waiting.is_empty() && queue.pinned.is_empty();
        let is_worked_on = queue
            .worker
            .is_some_and(|last| now.since(last.seen) < ABSENT);
        if is_empty || is_worked_on {
            return None;
        }
        queue.workers += 1;
        let worker = queue.workers;
        queue.worker = Some(Worker {
            number: worker,
            seen: now,
        });
        Some(worker)
    }

    /// Called when a worker has ended, for whatever reason.
    pub(crate) fn dismiss(&self, worker: u64) {
        self.queue()
            .worker
            .take_if(|present| present.number == worker);
    }

    /// Returns whether this worker is still the present one. Also notes that it is alive.
    pub(crate) fn is_worked_on_by(&self, worker: u64, now: Reading) -> bool {
        see(&mut self.queue(), worker, now)
    }

    /// Decides what to do next. Sessions that are not worth a delete call are left to expire.
    pub(crate) fn next(&self, worker: u64, now: Reading) -> Next {
        let mut queue = self.queue();
        if !see(&mut queue, worker, now) {
            return Next::Done;
        }
        self.settle_pinned(&mut queue, now);
        if queue.tidy_at <= now.monotonic {
            queue.expiring.retain(|session| session.life.may_go_on(now));
            queue.tidy_at = now.monotonic.saturating_add(LOOK);
        }
        let (ready, let_go) = queue.waiting.take_stock(now);
        for retired in let_go {
            self.observer.emit(retired.left_to_expire(now));
            queue.expiring.push(retired.session);
        }
        if !ready.is_empty() {
            return Next::Delete(ready);
        }
        match queue.waiting.next_in(now) {
            Some(wait) => Next::Wait(wait),
            None if !queue.pinned.is_empty() => Next::Wait(pinned_wait(&queue, now)),
            None => {
                // Clear the worker under the lock under which the queue was found empty. So whoever queues a session
                // later finds no worker, and starts one.
                queue.worker = None;
                Next::Done
            }
        }
    }

    /// Called when a session was deleted, or need not be.
    pub(crate) fn remove(&self, session: &Arc<LiveSession>) {
        self.queue().waiting.remove(session);
    }

    /// Called when the user has deleted a session by hand.
    pub(crate) fn remove_id(&self, id: &SessionId) {
        self.queue().waiting.remove_id(id);
    }

    /// Called when a session cannot be deleted for now. `tried` is the error if a call was made.
    pub(crate) fn postpone(
        &self,
        session: &Arc<LiveSession>,
        until: Duration,
        tried: Option<Error>,
    ) {
        self.queue().waiting.postpone(session, until, tried);
    }

    fn tell_crowded(&self, queue: &mut Queue, now: Reading) {
        let max_sessions = self.max_sessions;
        if queue.told.crowded(now) {
            self.observer.emit(Event::Crowded { max_sessions });
        }
    }

    /// Returns how many sessions wait to be deleted.
    pub(crate) fn pending(&self) -> usize {
        self.queue().waiting.len()
    }

    /// Queues a session that has just been retired.
    fn admit(&self, queue: &mut Queue, session: &Arc<LiveSession>, reason: RetireReason) {
        memo::forget(session);
        self.observer.emit(Event::Retired {
            session: session.reference(),
            reason,
        });
        queue.waiting.add(session.clone());
        let pending = queue.waiting.len();
        // A shutdown needs no such event: its report says what happens to each session.
        if queue.told.deletes(pending) && reason != RetireReason::Shutdown {
            self.observer.emit(Event::DeletesPending { pending });
        }
        self.changed.notify_one();
    }

    /// Retires and queues the pinned sessions that are idle, or whose life is over. The latter is needed because a user
    /// may hold a lease for ever.
    fn settle_pinned(&self, queue: &mut Queue, now: Reading) {
        // A pinned session that was retired for another reason is in the queue already.
        queue
            .pinned
            .retain(|_, session| !session.in_flight.is_retired());
        let idle = |_: &PartitionId, session: &mut Arc<LiveSession>| {
            let is_over = session.life.usable_for(now).is_zero();
            session.retire_if_idle(now) || (is_over && session.in_flight.retire())
        };
        let idle = queue.pinned.extract_if(idle).map(|(_, session)| session);
        let mut idle: Vec<_> = idle.collect();
        // The map has no stable order.
        idle.sort_by_key(|session| session.generation);
        for session in idle {
            self.admit(queue, &session, RetireReason::Evicted);
        }
    }

    fn queue(&self) -> Locked<'_, Queue> {
        Locked::new(&self.queue, &self.observer)
    }
}

/// Notes that a worker is alive. Returns `false` if another one has taken over.
fn see(queue: &mut Queue, worker: u64, now: Reading) -> bool {
    let present = queue
        .worker
        .as_mut()
        .filter(|present| present.number == worker);
    present.map(|present| present.seen = now).is_some()
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
    // A request that stops using a pinned session does not wake the worker, because the session is not retired. So look
    // again after a second at most.
    left.min()
        .unwrap_or_default()
        .clamp(Duration::from_millis(100), Duration::from_secs(1))
}
