//! What all handles of one manager share, and the way from "this partition" to a lease on its session.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use moka::{notification::RemovalCause, policy::EvictionPolicy, sync::Cache};
use tokio::{
    runtime::Handle,
    sync::{broadcast, watch},
    time::timeout,
};

use super::{
    Lease, SessionManager,
    admit::OnNoSession,
    budget::CallBudget,
    create::Create,
    event::{Event, RetireReason},
    janitor,
    ledger::{Flight, Ledger, Outcome},
    life, log,
    observe::{Observer, Stats},
    partition::{Partition, PartitionId},
    retire::Retirement,
    session::LiveSession,
    shutdown::{self, ShutdownReport},
};
use crate::{
    api::{SessionId, Transport},
    clock::{Clock, Reading},
    error::{Error, ErrorKind},
    scope::BaseUrl,
};

/// How far the manager's own life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    ShuttingDown,
    /// The last handle is gone, and nobody asked for a shutdown.
    Abandoned,
}

/// What was decided once, at start-up.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) base: BaseUrl,
    pub(crate) ttl: Duration,
    pub(crate) create_timeout: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) linger: Duration,
    pub(crate) on_no_session: OnNoSession,
    pub(crate) max_sessions: u64,
    pub(crate) budget: CallBudget,
}

/// What all handles of one manager share. Tasks hold it too, and so keep no handle alive.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) transport: Transport,
    pub(crate) observer: Arc<Observer>,
    pub(crate) retirement: Arc<Retirement>,
    clock: Arc<dyn Clock>,
    rng: Mutex<Rng>,
    live: Cache<PartitionId, Arc<LiveSession>>,
    /// Taken before the lock inside `retirement`, never after it.
    ledger: Mutex<Ledger>,
    generations: AtomicU64,
    stage: watch::Sender<Stage>,
    /// The shutdown under way or done.
    ending: Mutex<Option<watch::Receiver<Option<ShutdownReport>>>>,
}

impl Core {
    pub(crate) fn new(
        settings: Settings,
        transport: Transport,
        clock: Arc<dyn Clock>,
        rng: Rng,
    ) -> Self {
        let observer = Arc::new(Observer::new(clock.clone()));
        let retirement = Arc::new(Retirement::new(observer.clone()));
        let (evicted, now) = (retirement.clone(), clock.clone());
        let live = Cache::builder()
            .max_capacity(settings.max_sessions)
            // The default policy throws a new entry out before an old one that was used more often.
            .eviction_policy(EvictionPolicy::lru())
            // By moka's own clock; only so that what ended long ago does not stay in memory.
            .time_to_live(settings.ttl)
            .eviction_listener(move |_, session, cause| {
                if cause == RemovalCause::Size {
                    evicted.evict(session, now.now());
                }
            })
            .build();
        Self {
            ledger: Mutex::new(Ledger::new(settings.budget)),
            settings,
            transport,
            observer,
            retirement,
            clock,
            rng: Mutex::new(rng),
            live,
            generations: AtomicU64::new(0),
            stage: watch::Sender::new(Stage::Open),
            ending: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Reading {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(crate) fn with_rng<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn emit(&self, event: Event) {
        self.observer.emit(event);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.observer.subscribe()
    }

    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Moves on from being open; returns whether this was the first to do so.
    pub(crate) fn close(&self, to: Stage) -> bool {
        self.stage.send_if_modified(|stage| {
            let open = *stage == Stage::Open;
            if open {
                *stage = to;
            }
            open
        })
    }

    /// Waits until the manager is not open any more.
    pub(crate) async fn closed(&self) -> Stage {
        let mut stage = self.stage.subscribe();
        let closed = stage.wait_for(|stage| *stage != Stage::Open).await;
        closed.map_or(Stage::Abandoned, |stage| *stage)
    }

    /// Waits until the last handle is gone.
    pub(crate) async fn abandoned(&self) {
        let mut stage = self.stage.subscribe();
        let _ = stage.wait_for(|stage| *stage == Stage::Abandoned).await;
    }

    pub(crate) fn linger_until(&self) -> Duration {
        self.now().monotonic + self.settings.linger
    }

    pub(crate) fn wake_janitor(&self) {
        self.retirement.wake();
    }

    /// Every session that is not retired, whether its id may still be sent or not.
    pub(crate) fn sessions(&self) -> Vec<Arc<LiveSession>> {
        let cached = self.live.iter().map(|(_, session)| session);
        cached
            .chain(self.retirement.pinned())
            .filter(|session| !session.in_flight.is_retired())
            .collect()
    }

    /// The current session of a partition, if a request may be given it.
    pub(crate) fn current(&self, id: PartitionId, now: Reading) -> Option<Arc<LiveSession>> {
        self.live.get(&id).filter(|session| session.is_usable(now))
    }

    /// Makes a session the current one of its partition, and retires the one it replaces.
    pub(crate) fn install(
        self: &Arc<Self>,
        session: &Arc<LiveSession>,
    ) -> Option<Arc<LiveSession>> {
        let id = session.partition.id;
        let before = self.live.get(&id).or_else(|| self.retirement.unpin(id));
        self.live.insert(id, session.clone());
        if let Some(before) = &before {
            self.retirement.retire(before, RetireReason::Replaced);
        }
        // Evictions happen now, not at some later use.
        self.live.run_pending_tasks();
        before
    }

    /// Ends that a session is handed out.
    pub(crate) fn retire(&self, session: &Arc<LiveSession>, reason: RetireReason) {
        let id = session.partition.id;
        if self
            .live
            .get(&id)
            .is_some_and(|current| Arc::ptr_eq(&current, session))
        {
            self.live.invalidate(&id);
        }
        self.retirement.unpin(id);
        self.retirement.retire(session, reason);
    }

    /// The same for all that are meant.
    pub(crate) fn retire_all(
        self: &Arc<Self>,
        reason: RetireReason,
        is_meant: impl Fn(&LiveSession) -> bool,
    ) {
        for session in self
            .sessions()
            .into_iter()
            .filter(|session| is_meant(session))
        {
            self.retire(&session, reason);
        }
        janitor::start(self);
    }

    /// Ends that the session of this generation is handed out, and that a create that has begun is used.
    pub(crate) fn invalidate(self: &Arc<Self>, is_meant: impl Fn(&LiveSession) -> bool) -> bool {
        let Some(session) = self
            .sessions()
            .into_iter()
            .find(|session| is_meant(session))
        else {
            return false;
        };
        {
            // Under the lock, so that a create which lands meanwhile is either before this or fenced.
            let mut ledger = self.ledger();
            ledger.fence(session.partition.id);
            self.retire(&session, RetireReason::Invalidated);
        }
        janitor::start(self);
        true
    }

    pub(crate) fn stats(&self) -> Stats {
        let now = self.now();
        let sessions = self.sessions();
        let in_flight = sessions.iter().map(|session| session.in_flight.count());
        let in_flight = in_flight.sum::<usize>() + self.retirement.in_flight();
        Stats {
            live_sessions: sessions
                .iter()
                .filter(|session| session.is_usable(now))
                .count() as u64,
            in_flight: in_flight as u64,
            ..self.observer.stats()
        }
    }

    /// Nobody is left to delete what there still is.
    pub(crate) fn report_abandoned(&self) {
        let now = self.now();
        let retired = self
            .retirement
            .take_all()
            .into_iter()
            .map(|retired| retired.session);
        let alive = self.sessions().into_iter().chain(retired);
        let left_to_expire = alive
            .filter(|session| !session.life.left(now).is_zero())
            .count();
        self.observer.add_orphans(self.ledger().give_up_all());
        let possible_orphans = self.observer.possible_orphans();
        if left_to_expire > 0 || possible_orphans > 0 {
            self.emit(Event::Abandoned {
                left_to_expire,
                possible_orphans,
            });
        }
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        let ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending
            .as_ref()
            .is_some_and(|report| report.borrow().is_some())
    }

    /// Joins the shutdown, or starts it on this runtime.
    pub(crate) fn shut_down(
        self: &Arc<Self>,
        deadline: Duration,
    ) -> watch::Receiver<Option<ShutdownReport>> {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        // A shutdown whose runtime went away before it was done is done again.
        let is_running = |report: &watch::Receiver<_>| report.has_changed().is_ok();
        if let Some(report) = ending
            .as_ref()
            .filter(|r| r.borrow().is_some() || is_running(r))
        {
            return report.clone();
        }
        {
            // Under the lock, so that no create begins after this.
            let _ledger = self.ledger();
            self.close(Stage::ShuttingDown);
        }
        let (done, report) = watch::channel(None);
        tokio::spawn(log::shutdown(
            deadline,
            shutdown::run(self.clone(), deadline, done),
        ));
        ending.insert(report).clone()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("settings", &self.settings)
            .field("stage", &self.stage())
            .field("sessions", &self.live.entry_count())
            .finish_non_exhaustive()
    }
}

impl SessionManager {
    /// The hit: a lease on the partition's current session, without waiting.
    ///
    /// A session that is due for renewal is still handed out, and its renewal started.
    pub(crate) fn try_lease(&self, id: PartitionId) -> Option<Lease> {
        let core = self.core();
        let now = core.now();
        let session = core.live.get(&id)?;
        match session.life.phase(now) {
            life::Phase::Over => return None,
            life::Phase::Fresh => {}
            life::Phase::Aging => core.renew(&session, now),
        }
        Lease::on(&session, self)
    }

    /// The miss: waits for a create, at most `max_wait`.
    pub(crate) async fn lease(self, partition: Arc<Partition>) -> Result<Lease, Error> {
        let max_wait = self.core().settings.max_wait;
        timeout(max_wait, self.wait_for_lease(&partition))
            .await
            .unwrap_or_else(|_| {
                let text = format!("no session within the `max_wait` of {max_wait:?}");
                Err(Error::new(ErrorKind::Timeout, text))
            })
    }

    /// The miss of a request: what it goes with is decided by [`OnNoSession`] when there is no session.
    pub(crate) async fn lease_or_without(
        self,
        partition: Arc<Partition>,
    ) -> Result<Option<Lease>, Error> {
        let core = self.core().clone();
        match self.lease(partition).await {
            Ok(lease) => Ok(Some(lease)),
            Err(error) if error.kind() == ErrorKind::Shutdown => Err(error),
            Err(error) => match core.settings.on_no_session {
                OnNoSession::Fail => Err(error),
                OnNoSession::SendWithout => {
                    core.observer.sent_without(&error);
                    Ok(None)
                }
            },
        }
    }

    async fn wait_for_lease(&self, partition: &Arc<Partition>) -> Result<Lease, Error> {
        let core = self.core();
        loop {
            if let Some(lease) = self.try_lease(partition.id) {
                return Ok(lease);
            }
            let mut flight = match core.join(partition)? {
                Joined::Session(session) => match Lease::on(&session, self) {
                    Some(lease) => return Ok(lease),
                    None => continue,
                },
                Joined::Flight(flight) => flight,
            };
            let overdue_in = core.overdue_in(partition.id);
            tokio::select! {
                biased;
                stage = core.closed() => {
                    debug_assert_ne!(stage, Stage::Open);
                    return Err(Error::shutdown());
                }
                outcome = flight.outcome.wait_for(Option::is_some) => match outcome.as_deref() {
                    Ok(Some(Ok(session))) if session.is_usable(core.now()) => {
                        if let Some(lease) = Lease::on(session, self) {
                            return Ok(lease);
                        }
                    }
                    Ok(Some(Err(error))) => return Err(error.clone()),
                    // It was retired as soon as it was there, or its task is gone: once more.
                    Ok(_) | Err(_) => {}
                },
                () = tokio::time::sleep(overdue_in) => {}
            }
        }
    }
}

enum Joined {
    Session(Arc<LiveSession>),
    Flight(Flight),
}

impl Core {
    /// Finds the create under way for a partition, or starts it.
    fn join(self: &Arc<Self>, partition: &Arc<Partition>) -> Result<Joined, Error> {
        let runtime = runtime()?;
        let mut ledger = self.ledger();
        if self.stage() != Stage::Open {
            return Err(Error::shutdown());
        }
        let now = self.now();
        if let Some(session) = self.current(partition.id, now) {
            return Ok(Joined::Session(session));
        }
        if let Some(session) = self
            .retirement
            .unpin(partition.id)
            .filter(|s| s.is_usable(now))
        {
            self.install(&session);
            return Ok(Joined::Session(session));
        }
        self.give_up_overdue(&mut ledger, partition.id, now);
        if let Some(flight) = ledger.flight(partition.id) {
            return Ok(Joined::Flight(flight.clone()));
        }
        ledger.check(partition, self.patience(), now)?;
        Ok(Joined::Flight(self.start(
            &mut ledger,
            partition,
            &runtime,
            now,
        )))
    }

    /// Starts a renewal in the background, unless there is one or it was not long ago that one failed.
    fn renew(self: &Arc<Self>, session: &Arc<LiveSession>, now: Reading) {
        // A renewal that does not end is given up by then, and another begun.
        let again_at = now.monotonic + self.settings.create_timeout;
        if !session.begin_renewal(now.monotonic, again_at) {
            return;
        }
        let partition = &session.partition;
        let Ok(runtime) = runtime() else { return };
        let mut ledger = self.ledger();
        self.give_up_overdue(&mut ledger, partition.id, now);
        if ledger.flight(partition.id).is_some() || self.stage() != Stage::Open {
            return;
        }
        match ledger.check(partition, self.patience(), now) {
            Ok(()) => drop(self.start(&mut ledger, partition, &runtime, now)),
            Err(error) => {
                let due = now.monotonic + error.retry_after().unwrap_or_default();
                session.renew_again_at(due);
            }
        }
    }

    fn start(
        self: &Arc<Self>,
        ledger: &mut Ledger,
        partition: &Arc<Partition>,
        runtime: &Handle,
        now: Reading,
    ) -> Flight {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let (done, outcome) = watch::channel::<Option<Outcome>>(None);
        let flight = ledger.begin(partition.id, generation, outcome, now);
        let create = Create::new(self.clone(), partition.clone(), &flight, done);
        runtime.spawn(log::create(generation, partition, create.run()));
        flight
    }

    /// A create that does not end, because its runtime is stalled or gone, makes room for another.
    fn give_up_overdue(&self, ledger: &mut Ledger, id: PartitionId, now: Reading) {
        if ledger.overdue_in(id, self.settings.create_timeout, now) == Some(Duration::ZERO) {
            ledger.give_up(id);
            self.emit(Event::PossibleOrphan { error: None });
        }
    }

    fn overdue_in(&self, id: PartitionId) -> Duration {
        let ledger = self.ledger();
        ledger
            .overdue_in(id, self.settings.create_timeout, self.now())
            .unwrap_or_default()
    }

    /// How long a create may wait for its first call.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.max_wait.min(self.settings.create_timeout)
    }

    pub(crate) fn forget(self: &Arc<Self>, id: &SessionId) {
        self.invalidate(|session| session.id == *id);
    }
}

fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|_| {
        Error::new(
            ErrorKind::NoRuntime,
            "a session call needs a tokio runtime, and there is none here",
        )
    })
}
