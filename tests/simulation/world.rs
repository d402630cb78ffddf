//! Runs a script in virtual time.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;
use sipher_session::{
    BoxError, CallBudget, Error, Event, Events, NoSession, OnNoSession, Proof, SessionDefaults,
    SessionLayer, SessionManager,
    api::Transport,
    testing::{Exchange, FakeSipher, Fault, Target, TestClock, Tier, What},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tower::{Layer, Service};

use crate::{
    script::{self, Call, Deed, End, FREE, Hand, Script, WRONG, Weather},
    trace::{Entry, Got, Line, Partition, Trace},
    wire::{BY_HAND, Seen, Wire},
};

/// Everything that is known of a run once it is over.
pub(crate) struct Run {
    pub(crate) lines: Vec<Line>,
    pub(crate) log: Vec<Exchange>,
    pub(crate) elsewhere: Vec<Exchange>,
    /// The labels that the server's log has for the keys.
    pub(crate) labels: Vec<String>,
    pub(crate) weather: BTreeMap<String, u64>,
    pub(crate) budget: CallBudget,
    /// Everything that the crate has put into words.
    pub(crate) said: Vec<String>,
    pub(crate) keys: Vec<String>,
}

/// What the handle stands for at present, and what it is just being changed to.
struct Desk {
    key: usize,
    defaults: SessionDefaults,
    pending: Option<(usize, SessionDefaults)>,
}

#[derive(Clone)]
struct World {
    wire: Wire,
    clock: TestClock,
    desk: Arc<Mutex<Desk>>,
    numbers: Arc<Mutex<u64>>,
    replays: bool,
    said: Arc<Mutex<Vec<String>>>,
}

type BoxFuture = Pin<Box<dyn Future<Output = Result<Response<Seen>, BoxError>> + Send>>;

pub(crate) fn run(script: &Script) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(live(script))
}

async fn live(script: &Script) -> Run {
    let sipher = FakeSipher::seeded(script.seed);
    let keys = keys(&sipher);
    sipher.replicas(script.replicas);
    turn(&sipher.clock(), script.skew);
    let clock = TestClock::new();
    let trace = Trace::new(clock.clone());
    let wire = Wire {
        sipher,
        elsewhere: FakeSipher::seeded(1),
        keys: Arc::new(keys),
        trace: trace.clone(),
        calls: Arc::default(),
        sent: Arc::default(),
        // At its very end the session may be gone.
        linger: script.settings.linger.mul_f64(0.9),
    };
    let desk = Desk {
        key: 0,
        defaults: script::defaults(0),
        pending: None,
    };
    let world = World {
        wire,
        clock,
        desk: Arc::new(Mutex::new(desk)),
        numbers: Arc::default(),
        replays: script.settings.replays,
        said: Arc::default(),
    };
    let manager = world.manager(script);
    let budget = manager.call_budget();
    let mut events = manager.events();
    let mut weather = BTreeMap::new();
    let mut callers = JoinSet::new();
    world
        .play(script, &manager, &mut events, &mut weather, &mut callers)
        .await;
    world.end(script, manager, &mut events, &mut callers).await;
    let labels = ["pro 1", "pro 2", "enterprise 1", "free 1", "unknown"];
    Run {
        lines: trace.with(std::mem::take),
        log: world.wire.sipher.log(),
        elsewhere: world.wire.elsewhere.log(),
        labels: labels.map(str::to_owned).into(),
        weather,
        budget,
        said: std::mem::take(&mut *world.said()),
        keys: world.wire.keys.to_vec(),
    }
}

fn keys(sipher: &FakeSipher) -> Vec<String> {
    let tiers = [Tier::Pro, Tier::Pro, Tier::Enterprise, Tier::Free];
    let mut keys: Vec<_> = tiers.map(|tier| sipher.api_key(tier)).into();
    debug_assert_eq!((keys.len() - 1, keys.len()), (FREE, WRONG));
    keys.push("sk_pro_that_nobody_has".to_owned());
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

fn value(defaults: &SessionDefaults) -> Value {
    serde_json::to_value(defaults).expect("defaults are JSON")
}

impl World {
    fn manager(&self, script: &Script) -> SessionManager {
        let settings = &script.settings;
        let builder = SessionManager::builder()
            .api_key(self.wire.keys[0].as_str())
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

    /// Everything up to the end of the manager.
    async fn play(
        &self,
        script: &Script,
        manager: &SessionManager,
        events: &mut Events,
        tally: &mut BTreeMap<String, u64>,
        callers: &mut JoinSet<()>,
    ) {
        let start = now();
        let owner = tokio::spawn(
            self.clone()
                .own(manager.clone(), script.hand.clone(), start),
        );
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
                self.spawn(manager, call, callers);
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
            self.calm_down(script, manager, events, callers).await;
        }
    }

    /// All trouble ends; a while later a request must succeed.
    async fn calm_down(
        &self,
        script: &Script,
        manager: &SessionManager,
        events: &mut Events,
        callers: &mut JoinSet<()>,
    ) {
        while callers.join_next().await.is_some() {}
        let sipher = &self.wire.sipher;
        sipher.clear_faults();
        sipher.set_rate_limit(None);
        sipher.set_capacity(10_000);
        sipher.set_latency(Duration::ZERO);
        self.trace().add(Entry::Weather("calm".to_owned()));
        let burnt = script.has(|weather| matches!(weather, Weather::Burn(_)));
        // A key whose day is used up has to wait for the next.
        let minutes = if burnt { 25 * 60 } else { 20 };
        sleep(Duration::from_secs(60 * minutes)).await;
        let key = self.desk().key;
        let good = if key < FREE { None } else { Some(1) };
        let call = Call {
            key: good,
            defaults: None,
            no_session: false,
            elsewhere: false,
            gives_up_after: Duration::from_secs(90),
        };
        let n = *self.numbers();
        self.trace().add(Entry::Calm { n });
        self.spawn(manager, &call, callers);
        while callers.join_next().await.is_some() {}
        self.told(events);
    }

    fn spawn(&self, manager: &SessionManager, call: &Call, callers: &mut JoinSet<()>) {
        let n = {
            let mut numbers = self.numbers();
            *numbers += 1;
            *numbers - 1
        };
        callers.spawn(self.clone().call(manager.clone(), call.clone(), n));
    }

    async fn call(self, manager: SessionManager, call: Call, n: u64) {
        let trace = self.trace().clone();
        let base = if call.elsewhere {
            "https://elsewhere.example"
        } else {
            FakeSipher::base_url()
        };
        let mut request = Request::post(format!("{base}/v1/sim/{n}"))
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from("{}"))
            .expect("a request");
        if let Some(key) = call.key.filter(|_| !call.elsewhere) {
            let key = self.wire.keys[key].parse().expect("a header value");
            request.headers_mut().insert("x-api-key", key);
        }
        if let Some(defaults) = call.defaults {
            request.extensions_mut().insert(script::defaults(defaults));
        }
        if call.no_session {
            request.extensions_mut().insert(NoSession);
        }
        trace.add(Entry::Call {
            n,
            wants: self.wants(&call),
            without: call.no_session,
            elsewhere: call.elsewhere,
        });
        let answer = {
            let layer = SessionLayer::new(manager).with_proof();
            // The wire is always ready.
            let answer: BoxFuture = if self.replays {
                Box::pin(layer.replay_once().layer(self.wire.clone()).call(request))
            } else {
                Box::pin(layer.layer(self.wire.clone()).call(request))
            };
            if !call.elsewhere && !self.wire.has_sent(n) {
                trace.add(Entry::Waits { n });
            }
            timeout(call.gives_up_after, answer).await
        };
        let proof = match &answer {
            Ok(Ok(response)) => response.extensions().get::<Proof>().copied(),
            _ => None,
        };
        let outcome = match answer {
            Err(_) => Got::GaveUp,
            Ok(Ok(response)) => Got::Answer(response.status().as_u16()),
            Ok(Err(error)) => match error.downcast_ref::<Error>() {
                Some(error) => {
                    self.said().push(format!("{error} {error:?}"));
                    Got::Error(error.kind())
                }
                None => Got::Broke,
            },
        };
        trace.add(Entry::Got { n, outcome, proof });
    }

    /// Whose session with which defaults a request that starts now may bear.
    fn wants(&self, call: &Call) -> Vec<Partition> {
        let desk = self.desk();
        let now = Some((desk.key, desk.defaults.clone()));
        let identities = now.into_iter().chain(desk.pending.clone());
        let wants = identities.map(|(key, defaults)| {
            let own = call.defaults.map(script::defaults);
            Partition {
                key: call.key.unwrap_or(key),
                defaults: value(&own.unwrap_or(defaults)),
            }
        });
        let mut wants: Vec<_> = wants.collect();
        wants.dedup();
        wants
    }

    /// What the owner of the handle does, one thing after another.
    async fn own(self, manager: SessionManager, hand: Vec<(Duration, Hand)>, start: Instant) {
        for (
            at,
            Hand {
                deed,
                gives_up_after,
            },
        ) in hand
        {
            sleep_until(start + at).await;
            self.trace().add(Entry::Hand(format!("{deed:?}")));
            let done = timeout(gives_up_after, self.deed(&manager, &deed)).await;
            let done = match done {
                Err(_) => "gave up".to_owned(),
                Ok(done) => done.map_or_else(|e| format!("{:?}", e.kind()), |()| "done".to_owned()),
            };
            self.desk().pending = None;
            self.trace().add(Entry::Hand(format!("{deed:?}: {done}")));
        }
    }

    async fn deed(&self, manager: &SessionManager, deed: &Deed) -> Result<(), Error> {
        let (key, defaults) = {
            let desk = self.desk();
            (desk.key, desk.defaults.clone())
        };
        match deed {
            Deed::Update(which) => {
                let patch = script::defaults(*which);
                self.desk().pending = Some((key, defaults.merged_with(&patch)));
                manager.update_defaults(patch).await?;
                self.changed();
            }
            Deed::Replace(which) => {
                let defaults = script::defaults(*which);
                self.desk().pending = Some((key, defaults.clone()));
                manager.replace_defaults(defaults).await?;
                self.changed();
            }
            Deed::SetKey(key) => {
                self.desk().pending = Some((*key, defaults));
                manager.set_api_key(self.wire.keys[*key].as_str()).await?;
                self.changed();
            }
            Deed::Invalidate(later) => {
                let session = manager.session().await?;
                sleep(*later).await;
                let held = manager.invalidate(session.generation());
                let id = session.id().as_str().to_owned();
                self.trace().add(Entry::Invalidated { id, held });
            }
            Deed::InvalidateInRenewal(later) => {
                let session = manager.session().await?;
                sleep(session.renewal_in() + Duration::from_millis(1)).await;
                let slow = Fault::new(What::DelayAnswer(*later * 2)).on(Target::Create);
                self.wire.sipher.fault(slow);
                // Starts the renewal, and does not wait for it.
                manager.session().await?;
                sleep(*later).await;
                let held = manager.invalidate(session.generation());
                let id = session.id().as_str().to_owned();
                self.trace().add(Entry::Invalidated { id, held });
            }
            Deed::Delete => {
                let session = manager.session().await?;
                let id = session.id().as_str().to_owned();
                self.trace().add(Entry::ChangedByHand { id });
                let api = manager.api();
                BY_HAND.scope((), api.delete_session(session.id())).await?;
            }
            Deed::Patch(which) => {
                let session = manager.session().await?;
                let id = session.id().as_str().to_owned();
                self.trace().add(Entry::ChangedByHand { id });
                let api = manager.api();
                let defaults = script::defaults(*which);
                let patch = api.update_session(session.id(), &defaults);
                BY_HAND.scope((), patch).await?;
            }
            Deed::Warm => drop(manager.session().await?),
        }
        Ok(())
    }

    fn changed(&self) {
        let mut desk = self.desk();
        let Some((key, defaults)) = desk.pending.take() else {
            return;
        };
        let from = Partition {
            key: desk.key,
            defaults: value(&desk.defaults),
        };
        let to = Partition {
            key,
            defaults: value(&defaults),
        };
        (desk.key, desk.defaults) = (key, defaults);
        self.trace().add(Entry::Changed { from, to });
    }

    fn befall(&self, weather: &Weather) -> String {
        self.trace().add(Entry::Weather(format!("{weather:?}")));
        let sipher = &self.wire.sipher;
        match weather {
            Weather::Fault { what, on, times } => {
                sipher.fault(Fault::new(what.clone()).on(*on).times(*times));
                let name = format!("{what:?}");
                let end = name.find([' ', '{', '(']).unwrap_or(name.len());
                return name[..end].to_owned();
            }
            Weather::Clear => sipher.clear_faults(),
            Weather::Restart => sipher.restart(),
            Weather::Evict(which) => {
                let ids = self.known();
                if !ids.is_empty() {
                    sipher.evict(&ids[which % ids.len()]);
                }
            }
            Weather::Capacity(sessions) => sipher.set_capacity(*sessions),
            Weather::Latency(latency) => sipher.set_latency(*latency),
            Weather::RateLimit(limit) => sipher.set_rate_limit(*limit),
            Weather::Burn(key) => sipher.burn(&self.wire.keys[*key], 2_000),
            Weather::Suspend(asleep) => {
                self.clock.suspend(*asleep);
                sipher.clock().suspend(*asleep);
            }
            Weather::ServerForward(by) => sipher.clock().suspend(*by),
            Weather::ServerBack(by) => sipher.clock().set_back(*by),
            Weather::WallForward(by) => self.clock.suspend(*by),
            Weather::WallBack(by) => self.clock.set_back(*by),
        }
        let name = format!("{weather:?}");
        name.split('(').next().unwrap_or_default().to_owned()
    }

    /// The ids of sessions that were made and are alive.
    fn known(&self) -> Vec<String> {
        let ids: Vec<_> = self.trace().with(|lines| {
            let made = lines.iter().filter_map(|line| match &line.what {
                Entry::Whole {
                    status: 201,
                    record: Some(record),
                    ..
                } => Some(record.id.clone()),
                _ => None,
            });
            made.collect()
        });
        let alive = ids.into_iter().filter(|id| self.wire.sipher.is_live(id));
        alive.collect()
    }

    async fn end(
        &self,
        script: &Script,
        manager: SessionManager,
        events: &mut Events,
        callers: &mut JoinSet<()>,
    ) {
        let trace = self.trace();
        match script.end {
            End::HandleDropped => drop(manager),
            End::Shutdown(deadline) | End::Twice(deadline) | End::DroppedShutdown(deadline) => {
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
                    self.spawn(&manager, call, callers);
                }
                sleep(Duration::from_secs(1)).await;
                drop(manager);
            }
        }
        while callers.join_next().await.is_some() {}
        self.told(events);
        if let End::HandleDropped = script.end {
            self.alive();
        }
        // Whatever is under way ends by itself: the longest is a create that was given up.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        sleep(script.settings.create_timeout + Duration::from_secs(25)).await;
        let runtime = tokio::runtime::Handle::current();
        trace.add(Entry::Tasks(runtime.metrics().num_alive_tasks()));
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
                _ => Entry::Event(name),
            }
        });
        for event in all {
            self.trace().add(event);
        }
    }

    fn trace(&self) -> &Trace {
        &self.wire.trace
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self) -> MutexGuard<'_, Vec<String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn numbers(&self) -> MutexGuard<'_, u64> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Instant {
    Instant::now()
}
