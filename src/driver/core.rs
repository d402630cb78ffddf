//! The state that all handles of one manager share.

use std::{
    fmt, future,
    sync::{
        Arc, MutexGuard, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use moka::{notification::RemovalCause, policy::EvictionPolicy, sync::Cache};
use tokio::sync::{SetOnce, broadcast};

use super::{
    fleet::{Fleet, Sharing},
    fork::Owner,
    inquiry::Inquiry,
    known_ids::KnownIds,
    log,
    observe::{Observer, Stats},
    once::{self, Receiver},
    outage::Outage,
    outbox::{Locked, quietly},
    retired::Retirement,
    shortage::Shortage,
    shutdown,
};
use crate::{
    api::Transport,
    clock::{Clock, LAG, Reading, Span, Ticking, Ticks},
    driver::{flight::Gate, outside::Told, stage::Stage},
    hot::{
        memo,
        memo::{Memos, SPAN},
        session::LiveSession,
        signs::Suspicion,
    },
    lock::Lock,
    model::{
        event::Event, life::Phase, partition::PartitionId, reason::RetireReason,
        report::ShutdownReport, settings::Settings,
    },
    random::Random,
    runtime::runtime,
};

/// The longest life of a session. In a fleet, a session of another process may live longer than this manager's `ttl`.
const LONGEST_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The state that all handles of one manager share. Background tasks hold it too, but they do not keep the manager
/// open.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) transport: Transport,
    pub(crate) observer: Arc<Observer>,
    pub(crate) retirement: Arc<Retirement>,
    pub(crate) memos: Memos,
    pub(crate) known_ids: KnownIds,
    pub(crate) outside: Told,
    clock: Arc<dyn Ticking>,
    random: Random,
    pub(crate) owner: Owner,
    pub(crate) live: Cache<PartitionId, Arc<LiveSession>>,
    /// Locked before the lock inside `retirement`, never after it.
    gate: Lock<Gate>,
    shortage: Lock<Shortage>,
    generations: AtomicU64,
    pub(crate) suspicion: Suspicion,
    pub(crate) outage: Outage,
    pub(crate) inquiry: Inquiry,
    pub(crate) fleet: Fleet,
    /// Set once the manager is not open any more.
    stage: OnceLock<Stage>,
    /// Wakes the tasks that wait until the manager is closed. Set when no lock is held.
    closed: SetOnce<Stage>,
    /// The report of the shutdown that is running or done.
    ending: Lock<Option<Receiver<ShutdownReport>>>,
}

impl Core {
    pub(crate) fn new(
        settings: Settings,
        transport: Transport,
        clock: Arc<dyn Ticking>,
        random: Random,
        sharing: Option<Sharing>,
    ) -> Self {
        let observer = Arc::new(Observer::new(clock.clone()));
        let inquiry = Inquiry::new(settings.verify_after);
        let retirement = Arc::new(Retirement::new(observer.clone(), settings.max_sessions));
        let (evicted, now) = (retirement.clone(), clock.clone());
        let live = Cache::builder()
            .max_capacity(settings.max_sessions)
            // The default policy would evict a new entry before an old one that was used more often.
            .eviction_policy(EvictionPolicy::lru())
            // Removes sessions that ended long ago from memory, by moka's own clock. A time to live would do as well,
            // but it needs a queue of its own.
            .time_to_idle(if sharing.is_some() {
                LONGEST_TTL
            } else {
                settings.ttl
            })
            .eviction_listener(move |_, session, cause| match cause {
                RemovalCause::Size => quietly(|| evicted.evict(session, now.now())),
                RemovalCause::Expired => memo::forget(&session),
                RemovalCause::Explicit | RemovalCause::Replaced => {}
            })
            .build();
        Self {
            fleet: Fleet::new(sharing, clock.clone()),
            gate: Lock::new(Gate::new(settings.budget, settings.create_timeout)),
            shortage: Lock::default(),
            settings,
            transport,
            observer,
            retirement,
            memos: Memos::default(),
            known_ids: KnownIds::default(),
            outside: Told::default(),
            clock,
            random,
            owner: Owner::default(),
            live,
            generations: AtomicU64::new(0),
            suspicion: Suspicion::default(),
            outage: Outage::default(),
            inquiry,
            stage: OnceLock::new(),
            closed: SetOnce::new(),
            ending: Lock::default(),
        }
    }

    pub(crate) fn now(&self) -> Reading {
        self.clock.now()
    }

    /// Returns the monotonic time.
    pub(crate) fn uptime(&self) -> Duration {
        self.now().monotonic
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(crate) fn with_rng<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        self.random.with(draw)
    }

    /// Returns the next number for a create or a session of this manager.
    pub(crate) fn next_number(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns a number that no other process draws.
    pub(crate) fn unique_number(&self) -> u128 {
        self.random.unique()
    }

    pub(crate) fn gate(&self) -> Locked<'_, Gate> {
        Locked::new(&self.gate, &self.observer)
    }

    pub(crate) fn shortage(&self) -> MutexGuard<'_, Shortage> {
        self.shortage.lock()
    }

    pub(crate) fn emit(&self, event: Event) {
        self.observer.emit(event);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.observer.subscribe()
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage.get().copied().unwrap_or(Stage::Open)
    }

    /// Leaves the open stage. Returns whether this call was the first to do so.
    fn close(&self, to: Stage) -> bool {
        self.stage.set(to).is_ok()
    }

    /// Wakes the tasks that wait until the manager is closed. Call it without any lock: a waker may run other code.
    fn tell_closed(&self) {
        let _ = self.closed.set(self.stage());
    }

    /// Waits until the manager is not open any more.
    pub(crate) async fn closed(&self) -> Stage {
        *self.closed.wait().await
    }

    /// Waits until the last handle is gone.
    pub(crate) async fn abandoned(&self) {
        if self.closed().await != Stage::Abandoned {
            future::pending::<()>().await;
        }
    }

    /// Called when the server has lost one session: it may have restarted and lost all. Makes all other sessions
    /// suspect, so that no request gets one before the server was asked.
    ///
    /// If the lost session was suspect already, there was a sign of a restart before, which made the others suspect,
    /// too. A session that was created after that sign can be good, so this does nothing more.
    pub(crate) fn suspect_others(&self, lost: &LiveSession) {
        self.known_ids.forget_by_hand();
        if !lost.is_suspect(self.suspicion.signs()) {
            self.suspect(true);
        }
    }

    /// Returns whether a request may get this session without a check: it is neither over, retired nor suspect.
    pub(crate) fn is_good(&self, session: &LiveSession, now: Reading) -> bool {
        session.phase(now) != Phase::Over && self.is_in_order(session)
    }

    /// Returns whether the session is neither retired nor suspect. Its age does not matter here.
    pub(crate) fn is_in_order(&self, session: &LiveSession) -> bool {
        !session.in_flight.is_retired() && !session.is_suspect(self.suspicion.signs())
    }

    /// Returns since when, and for how long, a layer may give this session to more requests without a new decision.
    pub(crate) fn may_repeat(&self, session: &LiveSession) -> (Ticks, Duration) {
        let since = self.recent();
        let unchanged_for = session.unchanged_for(self.now());
        (since, unchanged_for.saturating_sub(LAG).min(SPAN))
    }

    pub(crate) fn recent(&self) -> Ticks {
        self.clock.recent_ticks()
    }

    #[inline]
    pub(crate) fn goes_on(&self, span: Span) -> bool {
        span.goes_on(&*self.clock)
    }

    /// Called when the head of the response to a request with this session has arrived. Reports a response that came
    /// after the session's end.
    pub(crate) fn answered(&self, session: &LiveSession) {
        let now = self.now();
        if session.life.left(now).is_zero() {
            self.observer.late(session);
        }
    }

    pub(crate) fn linger_until(&self) -> Duration {
        self.now().monotonic.saturating_add(self.settings.linger)
    }

    pub(crate) fn wake_reaper(&self) {
        self.retirement.wake();
    }

    /// Called when a request stops using a retired session. If it was the last such request, the session can be
    /// deleted.
    pub(crate) fn released(&self, session: &Arc<LiveSession>) {
        self.retirement.look_at(session);
    }

    pub(crate) fn stats(&self) -> Stats {
        let now = self.now();
        let sessions = self.sessions();
        let in_flight = sessions.iter().map(|session| session.in_flight.count());
        let in_flight = in_flight.sum::<usize>() + self.retirement.in_flight();
        Stats {
            live_sessions: sessions
                .iter()
                .filter(|session| self.is_good(session, now))
                .count() as u64,
            in_flight: in_flight as u64,
            pending_deletes: self.retirement.pending() as u64,
            health_calls: self.inquiry.asked(),
            ..self.observer.stats()
        }
    }

    /// Closes the manager when the last handle is gone. Every task ends at its next poll, and no session is deleted
    /// any more.
    pub(crate) fn abandon(&self) {
        self.own();
        // Count and close under the gate's lock. So a create that completes meanwhile is either counted here, or finds
        // the manager closed.
        let (left_to_expire, orphans) = {
            let mut gate = self.gate();
            if !self.close(Stage::Abandoned) {
                return;
            }
            let now = self.now();
            let retired = self.retirement.take_all().into_iter();
            let retired = retired.map(|retired| retired.session);
            let alive = self.sessions().into_iter().chain(retired);
            let alive = alive.filter(|session| session.life.may_go_on(now));
            (alive.count(), gate.give_up_all())
        };
        self.tell_closed();
        self.observer.add_orphans(orphans);
        let possible_orphans = self.observer.possible_orphans();
        if left_to_expire > 0 || possible_orphans > 0 {
            self.emit(Event::Abandoned {
                left_to_expire,
                possible_orphans,
            });
        }
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        let ending = self.ending.lock();
        ending.as_ref().is_some_and(|report| report.get().is_some())
    }

    /// Joins the shutdown that is running, or starts one on the caller's runtime. Without a runtime, no session can
    /// be deleted.
    pub(crate) fn shut_down(self: &Arc<Self>, deadline: Duration) -> Receiver<ShutdownReport> {
        self.own();
        let (done, report) = {
            let mut ending = Locked::new(&self.ending, &self.observer);
            // If the runtime of an earlier shutdown ended before the shutdown did, start it again.
            if let Some(report) = ending.as_ref().filter(|report| !report.is_closed()) {
                return report.clone();
            }
            // Close the manager under both locks. So no create begins after this, and a caller that joins the shutdown
            // finds the manager closed.
            let _gate = self.gate();
            self.close(Stage::ShuttingDown);
            let (done, report) = once::channel();
            (done, ending.insert(report).clone())
        };
        self.tell_closed();
        // From here on no request gets a session: the stage stops new creates, and this retires the sessions at hand.
        self.retire_all(RetireReason::Shutdown, |_| true);
        match runtime() {
            Ok(runtime) => {
                let shutdown = shutdown::run(self.clone(), deadline, done);
                runtime.spawn(log::shutdown(deadline, shutdown));
            }
            Err(_) => done.send(shutdown::give_up(self)),
        }
        report
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
