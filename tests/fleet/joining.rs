//! A process that begins to use a session, but never gets to use it, still leaves the session.

use sipher_session::Event;
use tokio::time::timeout;

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    runtimes::elsewhere,
    support::{SECOND, pass},
};

/// The store counts the process as a user at once, but its answer takes three seconds.
fn answers_late(process: &Process) {
    process.store.set(Trouble {
        answers_keeps_after: 3 * SECOND,
        ..Trouble::default()
    });
}

#[tokio::test(start_paused = true)]
async fn a_session_is_left_by_who_was_taking_it_up_when_its_runtime_ended() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes[..1]).await;
    answers_late(&processes[1]);
    let manager = processes[1].manager.clone();
    let (taken_up, runtime) =
        elsewhere(async move { timeout(SECOND, manager.session()).await.map(drop) });
    assert!(taken_up.is_err(), "it takes longer");
    runtime.shutdown_background();
    processes[1].store.mend();

    // The process adopts the session again, as another user.
    fleet.call(&processes).await;
    pass(1.0).await;
    assert_eq!(processes[1].shutdown().await.left_to_others, 1);
    let report = processes[0].shutdown().await;
    assert_eq!(report.deleted, 1, "nobody else uses it: {report}");
    assert_eq!(fleet.setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_left_by_who_was_taking_it_up_when_it_shut_down() {
    for is_last in [false, true] {
        let mut fleet = Fleet::new();
        let processes = fleet.start_many(2);
        fleet.call(&processes[..1]).await;
        answers_late(&processes[1]);
        let manager = processes[1].manager.clone();
        let call = tokio::spawn(async move { manager.session().await.map(drop) });
        pass(1.0).await;
        let mut reports = Vec::new();
        // The process that leaves last deletes the session.
        for process in [usize::from(!is_last), usize::from(is_last)] {
            reports.push(processes[process].shutdown().await);
        }
        assert!(call.await.unwrap().is_err());
        let ends = reports
            .iter()
            .map(|report| (report.deleted, report.left_to_others));
        assert!(ends.eq([(0, 1), (1, 0)]), "{reports:?}");
        assert_eq!(fleet.setup.sipher.live_sessions(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_could_not_be_taken_up_is_deleted_by_who_was_the_last_to_try() {
    let mut fleet = Fleet::new();
    let mut processes = fleet.start_many(2);
    fleet.call(&processes[..1]).await;
    // The store counts the new process as a user, but its answer takes longer than a step may take.
    processes[1].store.set(Trouble {
        answers_keeps_after: 8 * SECOND,
        ..Trouble::default()
    });
    let manager = processes[1].manager.clone();
    let call = tokio::spawn(async move { manager.session().await.map(drop) });
    pass(2.0).await;
    assert_eq!(processes[0].shutdown().await.left_to_others, 1);
    pass(30.0).await;
    let _ = call.await.unwrap();
    let deleted = |event: &Event| matches!(event, Event::Deleted { .. });
    assert_eq!(
        processes[1]
            .events()
            .iter()
            .filter(|event| deleted(event))
            .count(),
        1
    );
    assert_eq!(fleet.setup.sipher.live_sessions(), 1, "its own");
}
