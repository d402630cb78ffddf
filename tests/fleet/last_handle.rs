//! When the last handle is dropped, every task ends at its next poll, whatever it waits for.

use sipher_session::{
    Chain, Event, SessionDefaults,
    testing::{Fault, Target, What},
};

use crate::{
    processes::{Fleet, Process},
    support::pass,
};

fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

fn chain(chain: Chain) -> SessionDefaults {
    SessionDefaults::new().chain(chain)
}

/// Two processes with one session. There was no request for longer than a proof is valid.
async fn two_that_are_idle() -> (Fleet, [Process; 2]) {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    fleet.call(&processes).await;
    pass(70.0).await;
    (fleet, processes)
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_being_followed_keeps_no_task_alive() {
    let (fleet, [mut follows, changes]) = two_that_are_idle().await;
    let change = changes.manager.update_defaults(chain(Chain::Sui));
    change.await.unwrap();
    follows.events();
    // The successor can be adopted, but nobody answers whether the server still knows it.
    for target in [Target::Health, Target::Get] {
        let hangs = Fault::new(What::Hang).on(target);
        fleet.setup.sipher.fault(hangs.always());
    }
    pass(0.5).await;
    assert!(matches!(follows.events()[..], [Event::Adopted { .. }]));
    assert_eq!(follows.manager.defaults(), chain(Chain::Near));
    drop((follows, changes));
    pass(0.001).await;
    assert_eq!(tasks(), 0);
}
