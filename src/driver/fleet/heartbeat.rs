//! The heartbeat: the one task that keeps contact with the store. The task runs while there are sessions to share.

use std::{
    collections::{HashMap, HashSet},
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use tokio::time::sleep;

use super::{
    Fleet, Inner,
    looks::{DOUBLES_EVERY, Look, MOST_AT_ONCE, first_of, has_room},
};
use crate::{
    clock::Reading,
    driver::{core::Core, fleet::membership, stage::Stage},
    engine::fleet::schedule::Schedule,
    error::Error,
    hot::session::LiveSession,
    runtime::runtime,
    store::Slot,
};

/// How often the heartbeat looks at the slot of each session, even if the store announces no change. So all processes
/// stop using a revoked session within 15 s. This holds even if this task stalls: the next request starts another one
/// after `GRACE`.
const LOOK: Duration = Duration::from_secs(10);
/// How long announced changes are collected before their slots are looked at.
const COLLECT: Duration = Duration::from_millis(50);
/// The pause before the defaults are looked at again after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// The shortest time between two searches for sessions that are not published yet.
const OWN: Duration = Duration::from_secs(1);
/// How often the task shows that it is alive while it waits for the store.
const TICK: Duration = Duration::from_millis(500);

impl Fleet {
    /// Called when a create has succeeded. Makes sure that the heartbeat runs.
    pub(crate) fn landed(&self, core: &Arc<Core>, session: &LiveSession, was_refused: bool) {
        let Some(inner) = self.inner() else { return };
        if membership(session).is_none() {
            inner.has_own.store(true, Ordering::Release);
            // If the store is down or has refused the session, the next look publishes it.
            if !(was_refused || inner.outage.is_down()) {
                inner.own.notify_one();
            }
        }
        self.start_heartbeat(core);
    }

    /// Called when a session is used. Takes over from a heartbeat whose runtime has ended or stalled.
    pub(crate) fn used(&self, core: &Arc<Core>, now: Reading) {
        if let Some(inner) = self.inner()
            && inner.watchdog.is_late(now.monotonic)
        {
            self.start_heartbeat(core);
        }
    }

    /// Tells the store what only this process knows: revocations and changed defaults. Called at shutdown.
    pub(crate) async fn last_words(&self, core: &Arc<Core>) {
        self.within((), async |inner| inner.last_words(core).await)
            .await;
    }

    /// Starts the heartbeat if it is needed and there is a runtime.
    pub(super) fn start_heartbeat(&self, core: &Arc<Core>) {
        let (Some(inner), Ok(runtime)) = (self.inner(), runtime()) else {
            return;
        };
        if core.is_copy() {
            return; // the sessions here belong to another process
        }
        if core.stage() == Stage::Open
            && let Some(worker) = inner.watchdog.begin(core.now().monotonic)
        {
            let core = core.clone();
            runtime.spawn(run(Worker { core, worker }));
        }
    }
}

/// Marks the worker as ended when it is dropped, also if its runtime ends. Then another worker may begin.
struct Worker {
    core: Arc<Core>,
    worker: u64,
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(inner) = self.core.fleet.inner() {
            inner.watchdog.lose(self.worker);
        }
    }
}

async fn run(present: Worker) {
    let Worker { core, worker } = &present;
    let Some(fleet) = core.fleet.inner() else {
        return;
    };
    loop {
        tokio::select! {
            biased;
            // The shutdown itself tells the store that this process stops using its sessions.
            _ = core.closed() => return,
            () = fleet.while_current(*worker, fleet.keep_in_touch(core, *worker)) => {}
        }
        if fleet.watchdog.end(*worker) {
            return;
        }
    }
}

impl Inner {
    async fn last_words(&self, core: &Arc<Core>) {
        // Failures are ignored: the other processes find out later.
        let revocations = async {
            let mut slots: Vec<_> = self.untold_slots(core).into_iter().collect();
            slots.sort_unstable();
            let (mut slots, mut under_way) = (slots.into_iter(), Vec::new());
            loop {
                while under_way.len() < MOST_AT_ONCE
                    && let Some(slot) = slots.next()
                {
                    under_way.push(Look::new(core, slot, self.catch_up(core, slot)));
                }
                if under_way.is_empty() {
                    break;
                }
                let _ = first_of(&mut under_way).await;
            }
        };
        let _ = tokio::join!(revocations, self.tell_defaults(core));
    }

    /// Runs the work until another worker has taken over. Each poll checks this, so a task that stalled for a while
    /// begins no further step of the store.
    async fn while_current(&self, worker: u64, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.watchdog.is_by(worker) {
                work.as_mut().poll(context)
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    async fn keep_in_touch(&self, core: &Arc<Core>, worker: u64) {
        let mut alone = Alone::default();
        loop {
            tokio::select! {
                biased;
                () = self.keep_sessions(core, worker, &mut alone) => {}
                // The defaults are looked at in a loop of their own, because switching to a change may take as long as
                // a create.
                () = self.keep_to_defaults(core) => {}
            }
            // A change of the defaults has to reach the store even if there is no session.
            let looked = self.look_at_defaults(core).await;
            let is_over = alone.lasts(core.now().monotonic) >= self.sharing.member_lease;
            if looked.is_ok() || !self.is_untold() || is_over {
                return;
            }
            sleep(RETRY).await;
        }
    }

    /// Looks at each slot at intervals, and when the store announces a change, until no slot is left.
    ///
    /// The task also goes on while the store has to be told something. Example: the user invalidates the last session
    /// while the store is down. The task ends after `member_lease` at the latest: by then, processes that cannot reach
    /// the store have stopped using the session. If the store has not been reached by then, the revocation is sent once
    /// this process has a session again.
    async fn keep_sessions(&self, core: &Arc<Core>, worker: u64, alone: &mut Alone) {
        let mut changes = self.store.changes();
        let (mut schedule, mut under_way) = (Schedule::default(), Vec::new());
        let (mut listed_at, mut listed_until) = (Duration::ZERO, Duration::ZERO);
        let mut own = HashMap::new();
        loop {
            let now = core.now().monotonic;
            if listed_until <= now {
                own = self.own(core);
                let used = self.slots_in_use(&own);
                alone.note(used.is_empty(), now);
                if alone.lasts(now) >= self.sharing.member_lease {
                    return;
                }
                let untold = self.untold_slots(core);
                let slots = used.into_iter().chain(untold).collect();
                schedule.set(&slots, now, |slot| self.outage.is_at(slot));
                (listed_at, listed_until) = (now, now.saturating_add(self.interval()));
                if schedule.is_empty() {
                    return;
                }
            }
            while let Some(slot) = schedule.next(now, has_room(&under_way, schedule.late(now), now))
            {
                let own = own.get(&slot).cloned().unwrap_or_default();
                under_way.push(Look::new(core, slot, self.look(core, slot, own)));
            }
            let wait = listed_until.saturating_sub(now);
            let wait = match schedule.wait(now) {
                Some(next) if !next.is_zero() => wait.min(next),
                // A slot is due, but the limit of looks is reached.
                Some(_) => wait.min(DOUBLES_EVERY),
                None => wait,
            };
            let wait = if under_way.is_empty() {
                wait
            } else {
                wait.min(TICK)
            };
            self.watchdog.expect(worker, now.saturating_add(wait));
            tokio::select! {
                biased;
                (slot, is_ok) = first_of(&mut under_way), if !under_way.is_empty() => {
                    schedule.done(slot, is_ok, core.now().monotonic, self.interval());
                }
                change = changes.next() => {
                    // Several changes often come together, and one look is enough for all.
                    let at = core.now().monotonic.saturating_add(COLLECT);
                    match change {
                        Some(slot) if schedule.announced(slot, at) => {}
                        Some(slot) if self.joined(slot).is_empty() => {}
                        Some(_) => listed_until = Duration::ZERO,
                        None => schedule.hurry_all(at),
                    }
                }
                // Searching all sessions takes time, so a search begins at most once in `OWN`.
                () = self.own.notified() => listed_until = listed_until.min(listed_at + OWN),
                () = self.wake.notified() => {
                    let now = core.now().monotonic;
                    let slots = self.untold_slots(core);
                    if !slots.into_iter().all(|slot| schedule.announced(slot, now)) {
                        listed_until = Duration::ZERO;
                    }
                }
                () = sleep(wait) => {}
            }
        }
    }

    async fn keep_to_defaults(&self, core: &Arc<Core>) {
        let mut changes = self.store.changes();
        loop {
            let wait = match self.look_at_defaults(core).await {
                Ok(()) => self.interval(),
                Err(_) => RETRY.min(self.interval()),
            };
            let home = self.slot_of_defaults(core);
            let is_told = async {
                while let Some(slot) = changes.next().await {
                    if Some(slot) == home {
                        changes.has_others(slot);
                        break;
                    }
                }
                sleep(COLLECT).await;
            };
            tokio::select! {
                biased;
                () = is_told => {}
                () = sleep(wait) => {}
            }
        }
    }

    async fn look_at_defaults(&self, core: &Arc<Core>) -> Result<(), Error> {
        let told = self.tell_defaults(core).await;
        // Read the changes of others even if writing the own ones failed: the two may fail for different reasons.
        let followed = self.follow_defaults(core).await;
        told.and(followed)
    }

    pub(super) fn interval(&self) -> Duration {
        LOOK.min(self.sharing.member_lease / 4)
    }

    /// Returns the slots for which there is something to tell the store.
    fn untold_slots(&self, core: &Core) -> HashSet<Slot> {
        let now = core.now().monotonic;
        let mut slots = self.releases.slots(now);
        slots.extend(self.revoked.slots(now));
        slots
    }

    fn slots_in_use(&self, own: &HashMap<Slot, Vec<Arc<LiveSession>>>) -> HashSet<Slot> {
        let joined = self.joined_slots();
        joined.into_iter().chain(own.keys().copied()).collect()
    }
}

/// Since when this process has had no session, in monotonic time.
#[derive(Debug, Default)]
struct Alone(Option<Duration>);

impl Alone {
    fn note(&mut self, is_alone: bool, now: Duration) {
        self.0 = is_alone.then(|| self.0.unwrap_or(now));
    }

    fn lasts(&self, now: Duration) -> Duration {
        self.0
            .map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}
