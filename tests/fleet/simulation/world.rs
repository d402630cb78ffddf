//! Runs a script in virtual time.

mod asking;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use fastrand::Rng;
use sipher_session::{
    CallBudget, OnStoreDown, SessionManager,
    api::Transport,
    store::MemoryStore,
    testing::{Exchange, FakeSipher, Fault, TestClock, Tier},
};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, sleep_until},
};

use super::{
    process::{Process, change, session_call, shut_down},
    script::{self, Deed, End, Place, Script},
    trace::{Entry, Line, Trace, Who},
    wire::Wire,
};
use crate::flaky::{Flaky, Grants, Published, Said, Trouble};

/// How long it takes until all work that trouble held back is tried again.
const HOLD: Duration = Duration::from_secs(180);

/// The complete record of a run.
pub(crate) struct Run {
    pub(crate) lines: Vec<Line>,
    pub(crate) log: Vec<Exchange>,
    pub(crate) grants: Vec<Said>,
    pub(crate) budgets: HashMap<usize, CallBudget>,
}

struct World<'a> {
    script: &'a Script,
    sipher: FakeSipher,
    keys: Vec<String>,
    store: MemoryStore,
    store_clock: TestClock,
    ways: Vec<Flaky>,
    grants: Grants,
    clocks: Vec<TestClock>,
    trace: Trace,
    calls: Arc<AtomicU64>,
    running: BTreeMap<usize, Process>,
    lives: usize,
    numbers: u64,
    changes: u64,
    work: JoinSet<()>,
    budgets: HashMap<usize, CallBudget>,
}

pub(crate) fn run(script: &Script) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(live(script))
}

async fn live(script: &Script) -> Run {
    let sipher = FakeSipher::seeded(script.seed);
    let keys = (0..2).map(|_| sipher.api_key(Tier::Enterprise)).collect();
    sipher.set_latency(script.latency);
    let store_clock = TestClock::new();
    turn(&store_clock, script.store_ahead);
    let store = MemoryStore::new(store_clock.clone());
    let grants = Grants::default();
    let way =
        |_: &Place| Flaky::new(store.clone(), Published::default()).with_grants(grants.clone());
    let clock = |place: &Place| {
        let clock = TestClock::new();
        turn(&clock, place.ahead);
        clock
    };
    let mut world = World {
        script,
        keys,
        ways: script.places.iter().map(way).collect(),
        clocks: script.places.iter().map(clock).collect(),
        sipher,
        store,
        store_clock,
        grants: grants.clone(),
        trace: Trace::new(),
        calls: Arc::default(),
        running: BTreeMap::new(),
        lives: 0,
        numbers: 0,
        changes: 0,
        work: JoinSet::new(),
        budgets: HashMap::new(),
    };
    world.play().await;
    world.calm().await;
    world.end().await;
    let grants = std::mem::take(&mut *grants.lock().unwrap());
    Run {
        lines: world.trace.take(),
        log: world.sipher.log(),
        grants,
        budgets: world.budgets,
    }
}

fn turn(clock: &TestClock, millis: i64) {
    let by = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 {
        clock.set_back(by);
    } else {
        clock.suspend(by);
    }
}

impl World<'_> {
    async fn play(&mut self) {
        let start = Instant::now();
        for place in 0..self.script.places.len() {
            self.start(place);
        }
        for (at, deed) in &self.script.plan {
            sleep_until(start + *at).await;
            self.hear();
            self.deed(deed);
        }
        sleep_until(start + self.script.until).await;
        self.hear();
    }

    fn start(&mut self, at: usize) {
        if self.running.contains_key(&at) {
            return;
        }
        let place = &self.script.places[at];
        self.lives += 1;
        let life = self.lives;
        let who = Who { place: at, life };
        let wire = Wire {
            who,
            sipher: self.sipher.clone(),
            trace: self.trace.clone(),
            calls: self.calls.clone(),
            linger: place.linger.mul_f64(0.9),
            by_hand: false,
        };
        let builder = SessionManager::builder()
            .api_key(self.keys[place.key].as_str())
            .defaults(script::defaults(place.home))
            .transport(Transport::new(wire.clone()))
            .clock(self.clocks[at].clone())
            .seed(self.script.seed.wrapping_mul(1_000) + life as u64)
            .ttl(place.ttl)
            .create_timeout(place.create_timeout)
            .max_wait(place.max_wait)
            .linger(place.linger)
            .call_budget(place.per_minute, place.burst)
            .store(self.ways[at].clone())
            .member_lease(self.script.lease);
        let builder = if place.verify_adopted {
            builder.verify_adopted()
        } else {
            builder
        };
        let policy = if place.fails_without_store {
            OnStoreDown::Fail
        } else {
            OnStoreDown::OwnSession
        };
        let manager = builder.on_store_down(policy).build().unwrap();
        self.budgets.insert(life, manager.call_budget());
        self.trace.add(Entry::Starts(who));
        let process = Process {
            who,
            events: manager.events(),
            manager,
            wire,
            hands: Vec::new(),
        };
        self.running.insert(at, process);
    }

    fn deed(&mut self, deed: &Deed) {
        if !matches!(deed, Deed::Request { .. }) {
            self.trace.add(Entry::Deed(deed.clone()));
        }
        match deed {
            Deed::Request {
                place,
                gives_up_after,
                held_up,
            } => {
                self.request(*place, *gives_up_after, *held_up, false);
            }
            Deed::Leak(place) => {
                self.request(*place, Duration::from_secs(90), Duration::ZERO, true);
            }
            Deed::StoreForward(by) => self.store_clock.suspend(*by),
            Deed::StoreBack(by) => self.store_clock.set_back(*by),
            Deed::ByLayer { place, is_delete } => {
                let Some(process) = self.running.get(place) else {
                    return;
                };
                let (wire, is_delete) = (process.wire.clone(), *is_delete);
                self.hand(*place, move |who, manager| {
                    session_call(who, manager, wire, is_delete)
                });
            }
            Deed::Start(place) => self.start(*place),
            Deed::Kill(place) => self.kill(*place),
            Deed::Shutdown(place, deadline) => {
                if let Some(process) = self.running.remove(place) {
                    let trace = self.trace.clone();
                    self.work.spawn(shut_down(process, *deadline, trace));
                }
            }
            Deed::Store(place, trouble) => self.ways[*place].set(*trouble),
            Deed::Flush => {
                self.store.clear();
                self.grants.lock().unwrap().push(Said::Flushed);
            }
            Deed::Fault { what, on, times } => {
                self.sipher
                    .fault(Fault::new(what.clone()).on(*on).times(*times));
            }
            Deed::Clear => self.sipher.clear_faults(),
            Deed::Invalidate(place) => {
                let trace = self.trace.clone();
                self.hand(*place, |who, manager| async move {
                    let Ok(session) = manager.session().await else {
                        return;
                    };
                    if manager.invalidate(session.generation()) {
                        let id = session.id().as_str().to_owned();
                        trace.add(Entry::Invalidated { who, id });
                    }
                });
            }
            Deed::Change {
                place,
                to,
                is_patch,
                gives_up_after,
            } => {
                let (trace, to) = (self.trace.clone(), script::defaults(*to));
                let (is_patch, gives_up_after) = (*is_patch, *gives_up_after);
                let n = self.changes;
                self.changes += 1;
                self.hand(*place, move |who, manager| {
                    change(trace, (who, n), manager, to, is_patch, gives_up_after)
                });
            }
            Deed::SetBack(place, by) => self.clocks[*place].set_back(*by),
            Deed::SetForward(place, by) => self.clocks[*place].suspend(*by),
            Deed::Sleep(by) => {
                for clock in self.clocks.iter().chain([&self.store_clock]) {
                    clock.suspend(*by);
                }
                self.sipher.clock().suspend(*by);
                self.trace.add(Entry::Asleep);
            }
        }
    }

    /// All trouble is over, and time passes under traffic.
    async fn calm(&mut self) {
        self.sipher.clear_faults();
        for way in &self.ways {
            way.set(Trouble::default());
        }
        self.trace.add(Entry::Calm);
        for place in 0..self.script.places.len() {
            self.start(place);
        }
        let (_, ttl) = self.script.ttl();
        let start = Instant::now();
        // By this time, all consequences of the trouble have ended.
        let end = start + HOLD + ttl.mul_f64(1.5) + self.script.lease;
        let mut is_well = false;
        let rng = &mut Rng::with_seed(self.script.seed);
        while Instant::now() < end {
            if !is_well && start.elapsed() > HOLD {
                is_well = true;
                self.trace.add(Entry::Well);
            }
            sleep(ttl.mul_f64(0.08 * rng.f64())).await;
            self.all_ask();
            self.hear();
        }
        for look in 0..6 {
            let from = self.numbers;
            self.all_ask();
            sleep(Duration::from_secs(20)).await;
            if self.last(from) {
                break;
            }
            // If a renewal was in flight, look again at once. A later look might meet the next renewal.
            if look % 2 == 1 {
                sleep(ttl / 10).await;
            }
        }
    }

    fn all_ask(&mut self) {
        for place in 0..self.script.places.len() {
            self.request(place, Duration::from_secs(90), Duration::ZERO, false);
        }
    }

    /// Records the sessions of the requests from number `from` on. Returns whether requests of one partition carry the same session.
    fn last(&mut self, from: u64) -> bool {
        let log = self.sipher.log();
        let find = |n: u64| {
            let path = format!("/v1/sim/{n}");
            let exchange = log.iter().rev().find(|exchange| exchange.path == path)?;
            match &exchange.session {
                sipher_session::testing::SessionUse::Live { id, .. } => Some(id.clone()),
                _ => None,
            }
        };
        let last = self.running.values().map(|process| {
            let key = self.script.places[process.who.place].key;
            let defaults = serde_json::to_string(&process.manager.defaults()).unwrap();
            let id = find(from + process.who.place as u64);
            (process.who, format!("{key} {defaults}"), id)
        });
        let last: Vec<_> = last.collect();
        let agree = last.iter().all(|(_, partition, id)| {
            let mut alike = last.iter().filter(|(_, other, _)| other == partition);
            alike.all(|(.., other)| other == id)
        });
        self.trace.add(Entry::Last(last));
        agree
    }

    async fn end(&mut self) {
        self.hear();
        for process in std::mem::take(&mut self.running).into_values() {
            if self.script.end == End::Killed {
                process.hands.iter().for_each(AbortHandle::abort);
                continue;
            }
            let ending = shut_down(process, Duration::from_secs(20), self.trace.clone());
            if self.script.end == End::AtOnce {
                self.work.spawn(ending);
            } else {
                ending.await;
            }
        }
        while self.work.join_next().await.is_some() {}
        // Time for requests on their way to arrive, and for the rest of the network's tasks to end.
        sleep(Duration::from_secs(60)).await;
        self.trace.add(Entry::End {
            live: self.sipher.live_sessions(),
            tasks: tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks(),
        });
    }

    fn hear(&mut self) {
        for process in self.running.values_mut() {
            process.tell(&self.trace);
        }
    }
}
