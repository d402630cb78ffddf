//! Which process deletes a session that many processes use.

use std::time::Duration;

use sipher_session::{
    Chain, Event, SessionDefaults, SessionLayer, SessionManagerBuilder,
    testing::{Fault, Target, What},
};
use tower::{Layer, ServiceExt};

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    support::{SECOND, generate, pass},
};

#[tokio::test(start_paused = true)]
async fn the_last_one_out_deletes_the_session_and_nobody_else() {
    let mut fleet = Fleet::new();
    let mut processes = fleet.start_many(5);
    fleet.call(&processes).await;
    while let Some(process) = processes.pop() {
        let report = process.shutdown().await;
        assert!(report.is_clean(), "{report}");
        let is_last = processes.is_empty();
        assert_eq!(
            (report.deleted, report.left_to_others),
            (usize::from(is_last), usize::from(!is_last))
        );
        fleet.call(&processes).await;
    }
    assert_eq!((fleet.setup.creates(), fleet.setup.deletes()), (1, 1));
    assert_eq!(fleet.setup.sipher.live_sessions(), 0);
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_process_used_is_left_to_expire_and_the_report_says_so() {
    let mut fleet = Fleet::new();
    let mut processes = fleet.start_many(3);
    fleet.call(&processes).await;
    drop(processes.pop()); // killed
    for process in &processes {
        // The lease of the killed process has ended long ago.
        pass(301.0).await;
        let report = process.shutdown().await;
        assert_eq!((report.deleted, report.left_to_others), (0, 1), "{report}");
    }
    assert_eq!(
        (fleet.setup.sipher.live_sessions(), fleet.setup.deletes()),
        (1, 0)
    );
    // The killed process has not used the next session.
    pass(3_600.0).await;
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    processes[0].shutdown().await;
    assert_eq!(processes[1].shutdown().await.deleted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_deleted_under_those_who_use_it_when_the_stores_clock_steps_past_their_leases()
 {
    for minutes in [6, 60, 49 * 60] {
        let (mut fleet, clock) = Fleet::with_store_clock();
        let long = |builder: SessionManagerBuilder| builder.ttl(14_400 * SECOND);
        let processes = [fleet.start_with(long), fleet.start_with(long)];
        let ids = fleet.call(&processes).await;
        clock.suspend(60 * minutes * SECOND);
        let mut events = processes[0].manager.events();
        let report = processes[0].shutdown().await;
        assert_eq!((report.deleted, report.left_to_others), (0, 1), "{report}");
        let told = std::iter::from_fn(|| events.try_recv());
        let left = told.filter(|event| matches!(event, Event::LeftToOthers { .. }));
        assert_eq!(left.count(), 1);
        for _ in 0..10 {
            assert_eq!(fleet.call(&processes[1..]).await, ids);
            pass(20.0).await;
        }
        processes[1].shutdown().await;
        fleet.setup.sipher.assert_every_call_had_a_session();
    }
}

#[tokio::test(start_paused = true)]
async fn steps_of_the_stores_clock_cost_a_create_at_most_and_never_a_session_in_use() {
    for hours in [1, 49] {
        for forward in [true, false] {
            let (mut fleet, clock) = Fleet::with_store_clock();
            let mut processes = fleet.start_many(3);
            fleet.call(&processes).await;
            fleet.work(&processes, 600 * SECOND, SECOND).await;
            let step = 3_600 * hours * SECOND;
            if forward {
                clock.suspend(step);
            } else {
                clock.set_back(step);
            }
            // The first process starts at once, before any process has repaired the store.
            processes.insert(0, fleet.start());
            fleet.work(&processes, 7_200 * SECOND, 5 * SECOND).await;
            assert_eq!(fleet.call(&processes).await.len(), 1);
            let creates = fleet.setup.creates();
            assert!(creates <= 1 + 1 + 3, "{hours} h, {forward}: {creates}");
            fleet.setup.sipher.assert_every_call_had_a_session();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_stops_using_a_session_when_its_lease_ends_and_nobody_deletes_it_before() {
    let mut fleet = Fleet::new();
    let mut processes = fleet.start_many(2);
    let before = fleet.call(&processes).await;
    processes[0].store.cut();
    let end = tokio::time::Instant::now() + Duration::from_secs(600);
    while tokio::time::Instant::now() < end {
        pass(1.0).await;
        fleet.call(&processes[..1]).await;
        if tokio::time::Instant::now() + 299 * SECOND > end && processes.len() > 1 {
            let other = processes.pop().unwrap();
            assert_eq!(other.shutdown().await.left_to_others, 1);
        }
    }
    assert_ne!(fleet.call(&processes).await, before);
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgot_who_uses_a_session_does_not_let_it_be_deleted() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(3);
    let ids = fleet.call(&processes).await;
    fleet.store.clear();
    // Only one process has told the store again that it uses the session.
    processes[1].store.cut();
    processes[2].store.cut();
    pass(16.0).await;
    let report = processes[0].shutdown().await;
    assert_eq!((report.deleted, report.left_to_others), (0, 1));
    assert_eq!(fleet.call(&processes[1..]).await, ids);
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_store_is_down_at_shutdown_is_left_to_expire() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    for process in &processes {
        process.store.cut();
        let report = process.shutdown().await;
        assert_eq!(report.left_to_expire, 1, "{report}");
    }
    assert_eq!(fleet.setup.sipher.live_sessions(), 1);
}

/// Each step of the store takes this long.
fn slow(process: &Process, delay: Duration) {
    process.store.set(Trouble {
        delay,
        ..Trouble::default()
    });
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_leaves_time_for_requests_that_are_held_up() {
    let mut fleet = Fleet::new();
    let process = [fleet.start()];
    let before = fleet.call(&process).await;
    process[0].store.cut();
    let (cut, mut last) = (tokio::time::Instant::now(), Duration::ZERO);
    while cut.elapsed() < 320 * SECOND {
        pass(1.0).await;
        if fleet.call(&process).await == before {
            last = cut.elapsed();
        }
    }
    // The lease is 5 min. For a session of an hour, requests may be delayed for 1 min.
    assert!((220 * SECOND..=240 * SECOND).contains(&last), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn who_said_that_it_uses_a_session_while_it_left_it_is_not_a_user() {
    let mut fleet = Fleet::new();
    // The process leaves a session that it evicts, and goes on.
    let process = fleet.start_with(|builder| builder.max_sessions(1));
    let other = [fleet.start()];
    fleet.setup.call(&process.manager).await.unwrap();
    fleet.call(&other).await;
    // A session that was used within the last minute is not evicted.
    pass(69.0).await;
    slow(&process, 3 * SECOND);
    pass(2.0).await;
    // For 10 s, the report that the session is in use has been on its way. The report that the process leaves the session overtakes it.
    process.store.mend();
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let layer = SessionLayer::new(process.manager.clone()).defaults(sui);
    let service = layer.layer(fleet.setup.sipher.clone());
    service.oneshot(generate()).await.unwrap();
    pass(5.0).await;
    let report = other[0].shutdown().await;
    assert_eq!(report.deleted, 1, "nobody else uses it: {report}");
}

#[tokio::test(start_paused = true)]
async fn once_the_last_handle_is_gone_no_task_waits_for_the_store() {
    let mut fleet = Fleet::new();
    let process = fleet.start();
    fleet.setup.sipher.set_latency(SECOND);
    let refused = Fault::new(What::Status(401)).on(Target::Create);
    fleet.setup.sipher.fault(refused.always());
    let manager = process.manager.clone();
    let call = tokio::spawn(async move { manager.session().await.map(drop) });
    pass(0.5).await;
    // The process gets the claim, fails to create the session, and releases the claim.
    slow(&process, 4 * SECOND);
    pass(2.0).await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    assert_eq!(tasks(), 2, "who waits, and the create");
    call.abort();
    drop(process);
    pass(0.001).await;
    assert_eq!(tasks(), 0);
}
