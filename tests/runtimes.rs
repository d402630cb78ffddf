//! Runtimes that stall, or that are driven only from time to time, with a clock that the test sets.

#![allow(clippy::unwrap_used)] // for the helper functions

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderMap, Request, Response};
use sipher_session::{
    BoxError, ErrorKind, Event, SessionDefaults, SessionLayer, SessionManager,
    SessionManagerBuilder,
    api::Transport,
    clock::{Clock, Reading, SystemClock},
    testing::{FakeSipher, Fault, Operation, Target, TestClock, Tier, What},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};
use tower::{Layer, Service};

/// A clock that runs like the system's, as the server's clock does, and that a test can set forward.
#[derive(Clone, Debug)]
struct Turned(SystemClock, Arc<AtomicU64>);

impl Turned {
    fn new() -> Self {
        Self(SystemClock::new(), Arc::default())
    }

    fn pass(&self, seconds: u64) {
        self.1.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

impl Clock for Turned {
    fn now(&self) -> Reading {
        let (now, by) = (self.0.now(), self.1.load(Ordering::SeqCst));
        let by = Duration::from_millis(by);
        Reading {
            monotonic: now.monotonic + by,
            wall: now.wall + by,
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

fn setup() -> (FakeSipher, Turned, SessionManagerBuilder) {
    // The fake's clock needs a runtime to start.
    let sipher = runtime().block_on(async { FakeSipher::new() });
    // The server has been up for a day.
    sipher.clock().suspend(Duration::from_secs(86_400));
    let clock = Turned::new();
    let builder = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .clock(clock.clone())
        // The tests also pass without this setting, but would spend most of their time on health calls.
        .verify_after(Duration::from_secs(24 * 60 * 60))
        .transport(Transport::new(sipher.clone()));
    (sipher, clock, builder)
}

fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    let mut future = pin!(future);
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

fn with_key(key: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", key.parse().unwrap());
    headers
}

/// Begins creates on a runtime that stalls, so their tasks never run. None of them ever makes its first call.
fn begin_creates(stalled: &Runtime, manager: &SessionManager, count: usize) {
    let _entered = stalled.enter();
    for n in 0..count {
        let mut headers = with_key(&format!("sk_pro_{n}"));
        drop(poll_once(manager.apply(&mut headers)));
    }
}

#[test]
fn creates_on_a_runtime_that_stands_still_do_not_end_those_on_another() {
    let (sipher, clock, builder) = setup();
    let manager = builder.call_budget(60, 2).build().unwrap();
    let (stalled, other) = (runtime(), runtime());
    begin_creates(&stalled, &manager, 30);
    let own = sipher.api_key(Tier::Pro);
    let warm_up = || manager.ready(own.as_str(), SessionDefaults::new());
    let error = other.block_on(warm_up()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Budget, "others were first");
    clock.pass(60);
    other.block_on(warm_up()).unwrap();
    assert_eq!(sipher.live_sessions(), 1);
}

/// A program that makes a request every `every` seconds, on a runtime that stalls in between. Returns the number of
/// creates in two lives of a session.
fn one_block_on_for_each_request(
    every: u64,
    latency: Duration,
    mut drive: impl FnMut(&mut dyn FnMut() -> Answer),
) -> usize {
    let (sipher, clock, builder) = setup();
    sipher.set_latency(latency);
    let manager = builder.build().unwrap();
    let layer = SessionLayer::new(manager.clone());
    for _ in 0..2 * 3_600 / every {
        let mut service = layer.layer(tower::service_fn(|_: Request<()>| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, BoxError>(Response::new(()))
        }));
        drive(&mut || {
            let request = Request::get("https://sipher-api.sip-protocol.org/v1/backends");
            Box::pin(service.call(request.body(()).unwrap()))
        });
        clock.pass(every);
        sipher.clock().suspend(Duration::from_secs(every));
    }
    sipher.count(Operation::Create)
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<()>, BoxError>>>>;

#[test]
fn a_runtime_that_is_driven_for_each_request_alone_makes_few_creates() {
    for (every, millis) in [(10, 20), (30, 5), (30, 20), (60, 100)] {
        let runtime = runtime();
        let creates =
            one_block_on_for_each_request(every, Duration::from_millis(millis), |request| {
                drop(runtime.block_on(async { request().await.unwrap() }));
            });
        // The server is asked once a minute, and a renewal that has not ended by then is given up. The next renewal
        // begins after half of the time that is left, which is 14 minutes at most. So there are at most six creates in
        // each of the two lives.
        assert!(creates <= 12, "{creates}, each {every} s, at {millis} ms");
    }
}

#[test]
fn a_runtime_for_each_request_makes_a_bounded_number_of_creates() {
    let creates = one_block_on_for_each_request(10, Duration::from_millis(20), |request| {
        let runtime = runtime();
        drop(runtime.block_on(async { request().await.unwrap() }));
    });
    assert!(creates <= 20, "{creates}");
}

/// Runs creates that end with their runtime, either during their call or before it. Returns how many may be orphans.
fn orphans_of_a_create_that_ends_with_its_runtime(is_calling: bool) -> (usize, u64) {
    let (sipher, _, builder) = setup();
    sipher.fault(Fault::new(What::HangAnswer).on(Target::Create));
    let manager = builder.build().unwrap();
    let mut events = manager.events();
    let runtime = paused();
    if is_calling {
        let gives_up = async { timeout(Duration::from_secs(1), manager.session()).await };
        assert!(runtime.block_on(gives_up).is_err());
    } else {
        let _entered = runtime.enter();
        drop(poll_once(manager.session()));
    }
    assert_eq!(sipher.live_sessions(), usize::from(is_calling));
    drop(runtime);
    let events = std::iter::from_fn(|| events.try_recv());
    let orphans = events.filter(|event| matches!(event, Event::PossibleOrphan { .. }));
    (orphans.count(), manager.stats().possible_orphans)
}

#[test]
fn a_create_that_ends_with_its_runtime_leaves_a_possible_orphan_if_its_call_was_under_way() {
    assert_eq!(orphans_of_a_create_that_ends_with_its_runtime(true), (1, 1));
    assert_eq!(
        orphans_of_a_create_that_ends_with_its_runtime(false),
        (0, 0)
    );
}

/// Begins a create on a runtime that nobody drives after `after`.
fn create_on_a_runtime_that_stands_still(manager: SessionManager, after: Duration) -> Runtime {
    let elsewhere = std::thread::spawn(move || {
        let runtime = paused();
        let session = runtime.block_on(async { timeout(after, manager.session()).await });
        assert!(session.is_err());
        runtime
    });
    elsewhere.join().unwrap()
}

#[test]
fn a_create_on_a_runtime_that_stands_still_is_taken_over_by_a_request_on_another_within_seconds() {
    let own = paused();
    own.block_on(async {
        let sipher = FakeSipher::new();
        let (clock, manager) = (TestClock::new(), sipher.manager());
        let manager = manager.clock(clock.clone()).build().unwrap();
        sipher.fault(Fault::new(What::Hang).on(Target::Create).times(1));
        let moment = Duration::from_millis(100);
        let stands_still = create_on_a_runtime_that_stands_still(manager.clone(), moment);
        let start = clock.now().monotonic;
        manager.session().await.unwrap();
        let waited = clock.now().monotonic.saturating_sub(start);
        assert!(waited < Duration::from_secs(6), "{waited:?}");
        assert_eq!(
            manager.stats().possible_orphans,
            1,
            "its call was under way"
        );
        stands_still.shutdown_background();
        let report = manager.shutdown(Duration::from_secs(5)).await;
        assert_eq!((report.deleted, report.possible_orphans), (1, 1));
        assert_eq!(sipher.live_sessions(), 0);
    });
}

#[test]
fn a_create_that_is_slow_on_a_runtime_that_is_driven_is_left_alone_by_requests_on_another() {
    let own = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let sipher = own.block_on(async { FakeSipher::new() });
    let manager = sipher.manager().build().unwrap();
    // Longer than a runtime may stall before others begin a create of their own.
    let slow = What::DelayAnswer(Duration::from_millis(6_500));
    sipher.fault(Fault::new(slow).on(Target::Create).times(1));
    let first = own.spawn({
        let manager = manager.clone();
        async move { manager.session().await.unwrap().generation() }
    });
    let second = runtime().block_on(async { manager.session().await.unwrap().generation() });
    assert_eq!(own.block_on(first).unwrap(), second);
    assert_eq!(sipher.count(Operation::Create), 1);
}

/// Longer than a proof is valid, so the next request makes the manager ask the server.
const NO_PROOF: Duration = Duration::from_secs(70);

/// Makes the manager ask the server whether it still has a session, on a runtime that nobody drives afterwards.
fn question_on_a_runtime_that_stands_still(manager: SessionManager) -> Runtime {
    let elsewhere = std::thread::spawn(move || {
        let runtime = paused();
        let asks = async {
            sleep(NO_PROOF).await;
            timeout(Duration::from_millis(100), manager.session()).await
        };
        assert!(runtime.block_on(asks).is_err());
        runtime
    });
    elsewhere.join().unwrap()
}

#[test]
fn a_question_on_a_runtime_that_stands_still_is_asked_by_a_request_on_another_within_seconds() {
    let own = paused();
    own.block_on(async {
        let sipher = FakeSipher::new();
        sipher.clock().suspend(Duration::from_secs(86_400));
        let clock = TestClock::new();
        let manager = SessionManager::builder()
            .api_key(sipher.api_key(Tier::Pro))
            .clock(clock.clone())
            .transport(Transport::new(sipher.clone()))
            .build()
            .unwrap();
        let before = manager.session().await.unwrap();
        sleep(NO_PROOF).await;
        sipher.fault(Fault::new(What::Hang).on(Target::Health).times(1));
        let stands_still = question_on_a_runtime_that_stands_still(manager.clone());
        let start = clock.now().monotonic;
        let after = manager.session().await.unwrap();
        let waited = clock.now().monotonic.saturating_sub(start);
        assert!(waited < Duration::from_secs(6), "{waited:?}");
        assert_eq!(after.id(), before.id());
        assert_eq!(sipher.health_calls(), 2);
        stands_still.shutdown_background();
    });
}

#[test]
fn sessions_that_fill_all_places_make_room_on_another_runtime_once_theirs_is_gone() {
    let own = paused();
    own.block_on(async {
        let sipher = FakeSipher::new();
        let manager = sipher.manager().max_sessions(1).build().unwrap();
        let keys: Vec<_> = (0..11).map(|_| sipher.api_key(Tier::Pro)).collect();
        let ready = |manager: SessionManager, key: String| async move {
            manager.ready(key, SessionDefaults::new()).await.map(drop)
        };
        // The tasks that end these sessions run on the runtime on which the sessions were created.
        let (others, first) = (manager.clone(), keys[..10].to_vec());
        let gone = std::thread::spawn(move || {
            let runtime = paused();
            for key in first {
                runtime.block_on(ready(others.clone(), key)).unwrap();
            }
            runtime
        });
        gone.join().unwrap().shutdown_background();
        let error = ready(manager.clone(), keys[10].clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Budget);
        // None of the sessions counts as in use any more.
        sleep(Duration::from_secs(62)).await;
        ready(manager, keys[10].clone()).await.unwrap();
    });
}

#[test]
fn creates_on_a_runtime_that_stands_still_keep_no_places_for_ever() {
    let (sipher, clock, builder) = setup();
    let manager = builder.max_sessions(1).build().unwrap();
    let (stalled, other) = (runtime(), runtime());
    begin_creates(&stalled, &manager, 10);
    let own = sipher.api_key(Tier::Pro);
    let warm_up = || manager.ready(own.as_str(), SessionDefaults::new());
    let error = other.block_on(warm_up()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Budget, "they may come");
    clock.pass(22);
    other.block_on(warm_up()).unwrap();
}
