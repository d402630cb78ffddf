//! Runs a script in virtual time.

mod calm;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;
use sipher_session::{
    CallBudget, Event, Events, OnNoSession, SessionDefaults, SessionLayer, SessionManager,
    api::Transport,
    testing::{Exchange, FakeSipher, TestClock, Tier},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    inline::{Inline, Layers},
    production,
    recorder::{Bodies, Passed},
    script::{self, Call, End, FREE, MADE_UP, Script, WRONG},
    trace::{Entry, Line, Trace, Unprinted},
    wire::Wire,
};

/// The complete record of a run.
pub(crate) struct Run {
    pub(crate) lines: Vec<Line>,
    pub(crate) log: Vec<Exchange>,
    pub(crate) elsewhere: Vec<Exchange>,
    /// Only in lives with inline defaults.
    pub(crate) bodies: Vec<Passed>,
    /// The labels of the keys in the server's log.
    pub(crate) labels: Vec<String>,
    pub(crate) weather: BTreeMap<String, u64>,
    pub(crate) budget: CallBudget,
    /// Every text that the crate has produced.
    pub(crate) said: Vec<String>,
    pub(crate) keys: Vec<String>,
}

/// The current key and defaults of the handle, and those that it is just changing to.
pub(crate) struct Desk {
    pub(crate) key: usize,
    pub(crate) defaults: SessionDefaults,
    pub(crate) pending: Option<(usize, SessionDefaults)>,
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) wire: Wire,
    pub(crate) clock: TestClock,
    desk: Arc<Mutex<Desk>>,
    numbers: Arc<Mutex<u64>>,
    pub(crate) replays: bool,
    pub(crate) inline: Option<Inline>,
    said: Arc<Mutex<Vec<String>>>,
}

/// A manager and the layers that all callers share.
struct Handle {
    manager: SessionManager,
    layers: Layers,
}

impl Handle {
    fn new(manager: SessionManager, proves: bool, inlines: bool) -> Self {
        let layer = SessionLayer::new(manager.clone());
        let layer = if proves { layer.with_proof() } else { layer };
        let layers = Layers::new(layer, &manager, inlines);
        Self { manager, layers }
    }
}

pub(crate) fn run(script: &Script) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(live(script))
}

async fn live(script: &Script) -> Run {
    let sipher = server(script);
    let keys = keys(&sipher);
    let clock = TestClock::new();
    let trace = Trace::new(clock.clone());
    let wire = Wire {
        sipher,
        elsewhere: FakeSipher::seeded(1),
        keys: Arc::new(keys),
        trace: trace.clone(),
        calls: Arc::default(),
        under_way: Arc::default(),
        is_eager: false,
        is_opaque: script.is_opaque,
        sent: Arc::default(),
        // A little shorter than the manager's setting: at its very end, the session may already be deleted.
        linger: script.settings.linger.mul_f64(0.9),
        bodies: Bodies::default(),
    };
    let inline = Inline::of(script.seed);
    let desk = Desk {
        key: Inline::key(inline),
        defaults: script::defaults(0),
        pending: None,
    };
    let world = World {
        wire,
        clock,
        desk: Arc::new(Mutex::new(desk)),
        numbers: Arc::default(),
        replays: script.settings.replays,
        inline,
        said: Arc::default(),
    };
    let handle = Handle::new(world.manager(script), script.proves, inline.is_some());
    let budget = handle.manager.call_budget();
    let mut events = handle.manager.events();
    let mut weather = BTreeMap::new();
    let mut callers = JoinSet::new();
    world
        .play(script, &handle, &mut events, &mut weather, &mut callers)
        .await;
    world.end(script, handle, &mut events, &mut callers).await;
    let labels = ["pro 1", "pro 2", "enterprise 1", "free 1", "unknown"];
    Run {
        lines: trace.with(std::mem::take),
        log: world.wire.sipher.log(),
        elsewhere: world.wire.elsewhere.log(),
        bodies: std::mem::take(&mut *world.wire.bodies.all()),
        labels: labels.map(str::to_owned).into(),
        weather,
        budget,
        said: std::mem::take(&mut *world.said()),
        keys: world.wire.keys.to_vec(),
    }
}

/// Creates the server. It has been up for an hour when the life begins.
fn server(script: &Script) -> FakeSipher {
    let sipher = FakeSipher::seeded(script.seed);
    turn(&sipher.clock(), script.skew);
    if let Some(is_there) = script.common_store {
        sipher.set_common_store(is_there);
    }
    sipher.replicas(script.replicas);
    sipher.restart();
    sipher.clock().suspend(Duration::from_secs(3_600));
    if script.replicas > 1 && production::is_production(script.seed) {
        for replica in 1..script.replicas {
            sipher.restart_replica(replica);
            sipher.clock().suspend(Duration::from_secs(600));
        }
        sipher.route_by_draw(script.seed);
    }
    if script.edges > 1 {
        return sipher.edges_drawn(script.edges, script.seed);
    }
    sipher
}

fn keys(sipher: &FakeSipher) -> Vec<String> {
    let tiers = [Tier::Pro, Tier::Pro, Tier::Enterprise, Tier::Free];
    let mut keys: Vec<_> = tiers.map(|tier| sipher.api_key(tier)).into();
    debug_assert_eq!((keys.len() - 1, keys.len()), (FREE, WRONG));
    keys.push("sk_pro_that_nobody_has".to_owned());
    keys.extend((0..MADE_UP).map(|n| format!("sk_pro_that_{n}_have_made_up")));
    keys
}

fn turn(clock: &TestClock, seconds: i64) {
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        clock.set_back(by);
    } else {
        clock.suspend(by);
    }
}

pub(crate) fn value(defaults: &SessionDefaults) -> Value {
    serde_json::to_value(defaults).expect("defaults are JSON")
}

impl World {
    fn manager(&self, script: &Script) -> SessionManager {
        let settings = &script.settings;
        let builder = SessionManager::builder()
            .api_key(self.wire.keys[Inline::key(self.inline)].as_str())
            .defaults(script::defaults(0))
            .transport(Transport::new(self.wire.clone()))
            .clock(self.clock.clone())
            .seed(script.seed)
            .ttl(settings.ttl)
            .create_timeout(settings.create_timeout)
            .max_wait(settings.max_wait)
            .linger(settings.linger)
            .max_sessions(settings.max_sessions)
            .call_budget(settings.per_minute, settings.burst);
        let builder = match settings.verify_every {
            Some(every) => builder.verify_every(every),
            None => builder,
        };
        let builder = match self.inline {
            Some(inline) => inline.set(builder),
            None => builder,
        };
        let policy = if settings.send_without {
            OnNoSession::SendWithout
        } else {
            OnNoSession::Fail
        };
        builder
            .on_no_session(policy)
            .build()
            .expect("good settings")
    }

    /// Runs everything up to the end of the manager.
    async fn play(
        &self,
        script: &Script,
        handle: &Handle,
        events: &mut Events,
        tally: &mut BTreeMap<String, u64>,
        callers: &mut JoinSet<()>,
    ) {
        let start = now();
        let owner = tokio::spawn(self.clone().own(
            handle.manager.clone(),
            script.hand.clone(),
            start,
        ));
        let mut calls = script.calls.iter().peekable();
        let mut weather = script.weather.iter().peekable();
        loop {
            let call_at = calls.peek().map_or(Duration::MAX, |(at, _)| *at);
            if let Some((at, what)) = weather.next_if(|(at, _)| *at <= call_at) {
                sleep_until(start + *at).await;
                *tally.entry(self.befall(what)).or_default() += 1;
            } else if let Some((at, call)) = calls.next() {
                sleep_until(start + *at).await;
                self.told(events);
                self.spawn(handle, call, callers);
            } else {
                break;
            }
        }
        sleep_until(start + script.until).await;
        if script.abrupt {
            owner.abort();
        }
        let _ = owner.await;
        self.desk().pending = None;
        self.told(events);
        if !script.abrupt {
            self.calm_down(script, handle, events, callers).await;
        }
    }

    fn spawn(&self, handle: &Handle, call: &Call, callers: &mut JoinSet<()>) {
        let n = {
            let mut numbers = self.numbers();
            *numbers += 1;
            *numbers - 1
        };
        callers.spawn(self.clone().call(handle.layers.clone(), call.clone(), n));
    }

    async fn end(
        &self,
        script: &Script,
        handle: Handle,
        events: &mut Events,
        callers: &mut JoinSet<()>,
    ) {
        let trace = self.trace();
        trace.add(Entry::CountedOutside(handle.manager.stats().outside));
        match script.end {
            End::HandleDropped => drop(handle),
            End::Shutdown(deadline) | End::Twice(deadline) | End::DroppedShutdown(deadline) => {
                let manager = &handle.manager;
                trace.add(Entry::ShutdownBegins);
                if let End::DroppedShutdown(_) = script.end {
                    drop(timeout(deadline / 3, manager.shutdown(deadline)).await);
                }
                let report = if let End::Twice(_) = script.end {
                    let other = manager.clone();
                    let (report, _) =
                        tokio::join!(manager.shutdown(deadline), other.shutdown(2 * deadline));
                    report
                } else {
                    manager.shutdown(deadline).await
                };
                self.said().push(format!("{report:?} {manager:?}"));
                trace.add(Entry::Report {
                    deleted: report.deleted + report.already_gone,
                    remaining: report.left_to_expire + report.failed,
                    orphans: report.possible_orphans,
                });
                self.alive();
                for (_, call) in script.calls.iter().take(5) {
                    self.spawn(&handle, call, callers);
                }
                sleep(Duration::from_secs(1)).await;
                drop(handle);
            }
        }
        while callers.join_next().await.is_some() {}
        self.told(events);
        if let End::HandleDropped = script.end {
            self.alive();
        }
        // Work that is in flight ends on its own. The longest is a create that was given up.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let runtime = tokio::runtime::Handle::current();
        let alive = || runtime.metrics().num_alive_tasks();
        if let End::HandleDropped = script.end {
            // All tasks end at their next poll, which is now.
            let under_way = self.wire.under_way.load(Ordering::Relaxed);
            trace.add(Entry::Tasks(alive() - under_way));
        }
        sleep(script.settings.create_timeout + Duration::from_secs(25)).await;
        trace.add(Entry::Tasks(alive()));
    }

    fn alive(&self) {
        let (known, total) = (self.known(), self.wire.sipher.live_sessions());
        self.trace().add(Entry::Alive { known, total });
    }

    fn told(&self, events: &mut Events) {
        let all = std::iter::from_fn(|| events.try_recv()).map(|event| {
            let text = format!("{event:?}");
            let end = text.find([' ', '{']).unwrap_or(text.len());
            let name = text[..end].to_owned();
            self.said().push(text);
            match event {
                Event::Abandoned {
                    left_to_expire,
                    possible_orphans,
                    ..
                } => Entry::Abandoned {
                    remaining: left_to_expire,
                    orphans: possible_orphans,
                },
                Event::Retired {
                    session, reason, ..
                } => Entry::Event(format!("Retired g{} {reason:?}", session.generation)),
                Event::Created { session, .. } => {
                    Entry::Event(format!("Created g{}", session.generation))
                }
                Event::Lost {
                    session, requests, ..
                } => Entry::Lost {
                    session: Unprinted(session.fingerprint),
                    requests,
                },
                Event::Outside { origin, .. } => Entry::ToldOutside { origin },
                Event::Late { session, .. } => Entry::ToldLate {
                    generation: session.generation,
                },
                _ => Entry::Event(name),
            }
        });
        for event in all {
            self.trace().add(event);
        }
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.wire.trace
    }

    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn said(&self) -> MutexGuard<'_, Vec<String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn numbers(&self) -> MutexGuard<'_, u64> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Instant {
    Instant::now()
}
