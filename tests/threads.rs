//! One manager on several runtimes and threads, in real time.

#![allow(clippy::unwrap_used)] // for the helper functions

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use http::HeaderMap;
use sipher_session::{
    Chain, ErrorKind, SessionDefaults, SessionManager, SessionManagerBuilder,
    api::Transport,
    testing::{FakeSipher, Fault, Operation, Target, TestClock, Tier, What},
};
use tokio::runtime::{Builder, Runtime};

/// Polls a future once, without an executor.
fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    let mut future = pin!(future);
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let (sipher, builder) = setup();
    let manager = builder.build().unwrap();
    for _ in 0..2 {
        let Poll::Ready(Err(error)) = poll_once(manager.session()) else {
            panic!("it waits")
        };
        assert_eq!(error.kind(), ErrorKind::NoRuntime);
    }
    let id = format!("sess_{}", "0".repeat(64));
    let id = sipher_session::SessionId::parse(&id).unwrap();
    let Poll::Ready(Err(error)) = poll_once(manager.api().get_session(&id)) else {
        panic!("it waits")
    };
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    assert_eq!(sipher.session_calls(), 0);
}

#[test]
fn a_runtime_that_has_ended_gives_an_error_and_no_deadlock() {
    let (_sipher, builder) = setup();
    let manager = builder.build().unwrap();
    let ended = runtime();
    let handle = ended.handle().clone();
    drop(ended);
    let entered = handle.enter();
    let Poll::Ready(Err(error)) = poll_once(manager.session()) else {
        panic!("it waits")
    };
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    drop(entered);
    runtime().block_on(manager.session()).unwrap();
    let entered = handle.enter();
    let Poll::Ready(report) = poll_once(manager.shutdown(Duration::from_secs(5))) else {
        panic!("it waits")
    };
    assert_eq!((report.deleted, report.left_to_expire), (0, 1));
    drop(entered);
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn setup() -> (FakeSipher, SessionManagerBuilder) {
    // The fake's clock needs a runtime to start.
    let sipher = runtime().block_on(async { FakeSipher::new() });
    let builder = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .transport(Transport::new(sipher.clone()));
    (sipher, builder)
}

/// Waits for something that happens soon or never.
fn until(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if happened() {
            return;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

#[test]
fn a_runtime_that_ends_with_its_create_under_way_holds_nobody_up() {
    let (sipher, builder) = setup();
    let manager = builder.build().unwrap();
    sipher.fault(Fault::new(What::DelayAnswer(Duration::from_secs(60))).on(Target::Create));
    let (first, second) = (runtime(), runtime());
    let session = |manager: SessionManager| async move { manager.session().await.map(drop) };
    let started = first.spawn(session(manager.clone()));
    until("the first create", || sipher.count(Operation::Create) == 1);
    let waiting = second.spawn(session(manager.clone()));
    first.shutdown_background();
    second.block_on(waiting).unwrap().unwrap();
    assert!(
        second.block_on(started).is_err(),
        "it went with its runtime"
    );
    assert_eq!(sipher.count(Operation::Create), 2);
    let report = second.block_on(manager.shutdown(Duration::from_secs(5)));
    assert_eq!((report.deleted, report.possible_orphans), (1, 1));
}

#[test]
fn a_runtime_that_stalls_holds_nobody_up_and_its_late_session_is_deleted() {
    let (sipher, builder) = setup();
    let manager = builder
        .create_timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    sipher.fault(Fault::new(What::DelayAnswer(Duration::from_millis(100))).on(Target::Create));
    let (stall, stalled) = mpsc::channel::<()>();
    let thread = thread::spawn({
        let manager = manager.clone();
        move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let create = tokio::spawn(async move { manager.session().await.map(drop) });
                // The create has been sent. From here on, nothing on this runtime runs.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                stalled.recv().unwrap();
                drop(create.await);
                tokio::time::sleep(Duration::from_secs(1)).await;
            });
        }
    });
    until("the first create", || sipher.count(Operation::Create) == 1);
    let other = runtime();
    other.block_on(manager.session()).unwrap();
    assert_eq!(sipher.count(Operation::Create), 2);
    assert_eq!(sipher.live_sessions(), 2);
    stall.send(()).unwrap();
    until("the late session deleted", || sipher.live_sessions() == 1);
    assert_eq!(other.block_on(manager.session()).unwrap().generation(), 2);
    let report = other.block_on(manager.shutdown(Duration::from_secs(5)));
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(sipher.live_sessions(), 0);
    thread.join().unwrap();
}

#[test]
fn a_reaper_whose_runtime_stalls_is_replaced() {
    let (sipher, builder) = setup();
    let clock = TestClock::new();
    let manager = builder.clock(clock.clone()).build().unwrap();
    // The reaper is spawned on this runtime, which nobody drives afterwards.
    let stalled = Builder::new_current_thread().enable_all().build().unwrap();
    let generation = |manager: SessionManager| async move {
        manager.session().await.map(|session| session.generation())
    };
    stalled.block_on(async {
        let first = generation(manager.clone()).await.unwrap();
        assert!(manager.invalidate(first));
    });
    let other = runtime();
    let second = other.block_on(generation(manager.clone())).unwrap();
    assert_eq!(sipher.count(Operation::Delete), 0);
    clock.suspend(Duration::from_secs(61));
    {
        let _entered = other.enter();
        assert!(manager.invalidate(second));
    }
    until("both deleted", || sipher.live_sessions() == 0);
    stalled.block_on(tokio::task::yield_now());
    assert_eq!(sipher.count(Operation::Delete), 2, "and not once more");
}

#[test]
fn a_reaper_whose_runtime_ends_is_replaced_at_once() {
    let (sipher, builder) = setup();
    let manager = builder.build().unwrap();
    let ended = Builder::new_current_thread().enable_all().build().unwrap();
    ended.block_on(async {
        let first = manager.session().await.unwrap();
        assert!(manager.invalidate(first.generation()));
    });
    drop(ended);
    assert_eq!(sipher.count(Operation::Delete), 0);
    let other = runtime();
    other.block_on(manager.session()).unwrap();
    until("the first deleted", || sipher.count(Operation::Delete) == 1);
}

#[test]
fn what_a_shutdown_leaves_when_its_runtime_ends_is_deleted_by_the_next() {
    let (sipher, builder) = setup();
    let manager = builder.build().unwrap();
    let (first, second) = (runtime(), runtime());
    second.block_on(manager.session()).unwrap();
    let other = sipher.api_key(Tier::Pro);
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", other.parse().unwrap());
    let lease = second.block_on(manager.apply(&mut headers));
    let lease = lease.unwrap().unwrap();
    // One session is being deleted. The other waits for its request.
    sipher.fault(Fault::new(What::Hang).on(Target::Delete));
    let shutdown = first.spawn({
        let manager = manager.clone();
        async move { manager.shutdown(Duration::from_secs(60)).await }
    });
    until("the first delete", || sipher.count(Operation::Delete) == 1);
    first.shutdown_background();
    assert!(
        second.block_on(shutdown).is_err(),
        "it went with its runtime"
    );
    lease.complete();
    let report = second.block_on(manager.shutdown(Duration::from_secs(5)));
    assert_eq!(report.deleted, 2, "{report:?}");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(sipher.live_sessions(), 0);
}

#[test]
fn a_request_that_starts_after_an_invalidation_never_bears_the_older_session() {
    let (sipher, builder) = setup();
    let manager = builder.call_budget(6_000, 1_000).build().unwrap();
    let invalidated = Arc::new(AtomicU64::new(0));
    let runtime = runtime();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (manager, invalidated) = (manager.clone(), invalidated.clone());
            runtime.spawn(async move {
                let mut calls = 0_u64;
                while invalidated.load(Ordering::SeqCst) < 12 {
                    let older = invalidated.load(Ordering::SeqCst);
                    let manager = manager.clone();
                    let lease = manager.apply(&mut HeaderMap::new()).await.unwrap().unwrap();
                    assert!(lease.session().generation() > older);
                    lease.complete();
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    while invalidated.load(Ordering::SeqCst) < 12 {
        let generation = runtime.block_on(manager.session()).unwrap().generation();
        assert!(manager.invalidate(generation));
        invalidated.store(generation, Ordering::SeqCst);
    }
    for worker in workers {
        assert!(runtime.block_on(worker).unwrap() > 0);
    }
    // The thirteen deletes of one partition are 0.2 s apart, so 5 s are too short on a busy machine.
    let report = runtime.block_on(manager.shutdown(Duration::from_secs(20)));
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(sipher.live_sessions(), 0);
}

#[test]
fn a_request_that_starts_after_a_change_never_bears_the_older_defaults() {
    let (sipher, builder) = setup();
    let manager = builder.call_budget(60_000, 10_000).build().unwrap();
    let version = |n: usize| SessionDefaults::new().chain(Chain::KNOWN[n].clone());
    let changed = Arc::new(AtomicU64::new(0));
    let runtime = runtime();
    runtime
        .block_on(manager.replace_defaults(version(0)))
        .unwrap();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (manager, changed) = (manager.clone(), changed.clone());
            runtime.spawn(async move {
                let mut calls = 0_u64;
                while changed.load(Ordering::SeqCst) < 16 {
                    let at_least = changed.load(Ordering::SeqCst);
                    let manager = manager.clone();
                    let lease = manager.apply(&mut HeaderMap::new()).await.unwrap().unwrap();
                    let chain = lease.session().defaults().chain.clone().unwrap();
                    let got = Chain::KNOWN
                        .iter()
                        .position(|known| *known == chain)
                        .unwrap();
                    assert!(got as u64 >= at_least, "{got} after {at_least}");
                    lease.complete();
                    calls += 1;
                    if calls.is_multiple_of(64) {
                        tokio::task::yield_now().await;
                    }
                }
                calls
            })
        })
        .collect();
    for n in 1..=16 {
        runtime
            .block_on(manager.replace_defaults(version(n)))
            .unwrap();
        changed.store(n as u64, Ordering::SeqCst);
    }
    for worker in workers {
        assert!(runtime.block_on(worker).unwrap() > 0);
    }
    let report = runtime.block_on(manager.shutdown(Duration::from_secs(5)));
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(sipher.live_sessions(), 0);
}
