//! The runtime of the process's first user of a session may end or stall. Others use the session on runtimes of their own.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use sipher_session::{
    ErrorKind,
    testing::{Fault, Target, What},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    support::{SECOND, pass},
};

/// Runs `work` on a runtime of its own. Nobody drives that runtime afterwards.
pub fn elsewhere<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> (T, Runtime) {
    let elsewhere = thread::spawn(move || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        (runtime.block_on(work), runtime)
    });
    elsewhere.join().unwrap()
}

/// Two processes with one session. The first was warmed up on another runtime, and gets no announcements: it has to look.
fn warmed_up_elsewhere() -> (Fleet, [Process; 2], Runtime) {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    processes[0].store.set(Trouble {
        is_mute: true,
        ..Trouble::default()
    });
    let manager = processes[0].manager.clone();
    let (_, runtime) = elsewhere(async move { manager.session().await.unwrap() });
    (fleet, processes, runtime)
}

/// The other process invalidates the session. Returns for how many seconds the first process, which sends a request
/// each second, still uses it.
async fn hears_of_it_after(fleet: &Fleet, processes: &[Process; 2]) -> u32 {
    let before = fleet.call(processes).await;
    assert_eq!(before.len(), 1);
    for _ in 0..7 {
        pass(1.0).await;
        fleet.call(&processes[..1]).await;
    }
    let session = processes[1].manager.session().await.unwrap();
    assert!(processes[1].manager.invalidate(session.generation()));
    let mut last = 0;
    for second in 1..=40 {
        pass(1.0).await;
        if fleet.call(&processes[..1]).await == before {
            last = second;
        }
    }
    last
}

#[tokio::test(start_paused = true)]
async fn what_others_invalidate_is_heard_of_though_the_runtime_of_the_warm_up_is_gone() {
    let (fleet, processes, runtime) = warmed_up_elsewhere();
    runtime.shutdown_background();
    let last = hears_of_it_after(&fleet, &processes).await;
    assert!(last < 15, "used for {last} s more");
}

#[tokio::test(start_paused = true)]
async fn what_others_invalidate_is_heard_of_though_the_runtime_of_the_warm_up_stands_still() {
    let (fleet, processes, runtime) = warmed_up_elsewhere();
    let last = hears_of_it_after(&fleet, &processes).await;
    assert!(last < 15, "used for {last} s more");
    // The stalled task notices that another task has taken over, and does nothing more.
    let kept = processes[0].store.keeps();
    let driven = thread::spawn(move || {
        let alive = || runtime.metrics().num_alive_tasks();
        let before = alive();
        runtime.block_on(pass(20.0));
        (before, alive())
    });
    assert_eq!(driven.join().unwrap(), (1, 0));
    assert_eq!(processes[0].store.keeps(), kept);
}

#[tokio::test(start_paused = true)]
async fn what_a_shutdown_did_not_do_before_its_runtime_ended_is_done_by_the_next_one() {
    let mut fleet = Fleet::new();
    let process = fleet.start();
    fleet.setup.call(&process.manager).await.unwrap();
    let hangs = Fault::new(What::Delay(1000 * SECOND)).on(Target::Delete);
    fleet.setup.sipher.fault(hangs.times(1));
    let manager = process.manager.clone();
    let (report, runtime) =
        elsewhere(async move { timeout(SECOND, manager.shutdown(Duration::from_secs(5))).await });
    assert!(report.is_err(), "it takes longer");
    runtime.shutdown_background();
    let report = process.shutdown().await;
    assert_eq!(report.deleted, 1, "{report}");
    assert_eq!(fleet.setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_invalidated_where_the_heartbeat_has_gone_is_told_though_requests_are_in_flight() {
    for is_dropped in [true, false] {
        let mut fleet = Fleet::new();
        let processes = fleet.start_many(2);
        let manager = processes[0].manager.clone();
        let work = async move {
            let session = manager.session().await.unwrap();
            let lease = manager.apply(&mut http::HeaderMap::new()).await.unwrap();
            (session, lease)
        };
        let ((session, lease), runtime) = elsewhere(work);
        let stands_still = if is_dropped {
            runtime.shutdown_background();
            None
        } else {
            Some(runtime)
        };
        let before = fleet.call(&processes[1..]).await;
        pass(30.0).await;
        assert!(processes[0].manager.invalidate(session.generation()));
        pass(1.0).await;
        assert_ne!(fleet.call(&processes[1..]).await, before, "{is_dropped}");
        drop(lease);
        if let Some(runtime) = stands_still {
            runtime.shutdown_background();
        }
    }
}

#[test]
fn a_change_outside_of_a_runtime_is_an_error_and_no_panic() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let process = runtime.block_on(async { Fleet::new().start() });
    let mut context = Context::from_waker(Waker::noop());
    let mut change = pin!(process.manager.set_api_key("sk_pro_another"));
    let Poll::Ready(Err(error)) = change.as_mut().poll(&mut context) else {
        panic!("it waits");
    };
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
}
