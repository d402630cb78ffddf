//! A session in use stays in the store for as long as it is used, whatever happens to other sessions.

use sipher_session::{
    Event,
    testing::{Fault, Target, What},
};

use crate::{
    processes::{Fleet, Process},
    support::{SECOND, pass},
};

/// Returns whether the process had to adopt a session again because the store did not know that it was in use.
fn has_lapsed(process: &mut Process) -> bool {
    let taken_up = |event: &Event| matches!(event, Event::Adopted { .. });
    process.events().iter().any(taken_up)
}

#[tokio::test(start_paused = true)]
async fn a_successor_is_kept_after_its_predecessor_was_left() {
    let mut fleet = Fleet::new();
    let mut processes = [fleet.start()];
    fleet.call(&processes).await;
    pass(3_000.0).await;
    fleet.work(&processes, 900 * SECOND, SECOND).await;
    assert_eq!((fleet.setup.creates(), fleet.setup.deletes()), (2, 1));
    assert!(!has_lapsed(&mut processes[0]));
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_up_in_place_of_another_is_a_later_generation() {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    fleet.call(&processes).await;
    let generation = async || processes[1].manager.session().await.unwrap().generation();
    let before = generation().await;

    pass(3_000.0).await;
    fleet.call(&processes[..1]).await;
    pass(1.0).await;
    assert_eq!(fleet.call(&processes).await.len(), 1);
    assert_eq!(fleet.setup.creates(), 2);
    assert!(generation().await > before);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_has_lost_is_told_also_by_who_shuts_down_at_once() {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    fleet.call(&processes).await;
    processes[0].store.cut();
    // Only a call for the session itself can reveal the loss.
    fleet.setup.silence_health();
    let lost = fleet.setup.last_id().unwrap();
    fleet.setup.sipher.evict(&lost);
    let sign = Fault::new(What::Status(503)).on(Target::Calls);
    fleet.setup.sipher.fault(sign);
    drop(fleet.setup.call(&processes[0].manager).await);
    fleet.setup.call(&processes[0].manager).await.unwrap();
    processes[0].store.mend();
    processes[0].shutdown().await;
    pass(0.2).await;
    assert_ne!(fleet.call(&processes[1..]).await, [lost]);
}
