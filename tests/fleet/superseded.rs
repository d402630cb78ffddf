//! The store names a newer session, and the server has to be asked about it first.

use std::time::Duration;

use sipher_session::{
    SessionManagerBuilder,
    testing::{Fault, Target, What},
};

use crate::{
    processes::Fleet,
    support::{SECOND, pass},
};

/// The store has lost the news that the older session was invalidated.
#[tokio::test(start_paused = true)]
async fn a_renewal_asks_about_the_newer_session_while_requests_go_on() {
    let mut fleet = Fleet::new();
    let processes = [
        fleet.start(),
        fleet.start_with(SessionManagerBuilder::verify_adopted),
    ];
    let older = fleet.call(&processes).await;
    assert_eq!(older.len(), 1);

    processes[1].store.cut();
    let first = processes[0].manager.session().await.unwrap();
    processes[0].manager.invalidate(first.generation());
    let newer = fleet.call(&processes[..1]).await;
    assert_ne!(newer, older);
    pass(1.0).await;
    fleet.store.clear();
    pass(15.0).await;
    processes[1].store.mend();
    pass(15.0).await;
    fleet.setup.sipher.set_latency(SECOND);
    let begun = tokio::time::Instant::now();
    assert_eq!(fleet.call(&processes[1..]).await, older, "it goes on");
    assert!(begun.elapsed() <= SECOND, "it does not wait");

    pass(5.0).await;
    assert_eq!(fleet.call(&processes[1..]).await, newer);
    assert_eq!(fleet.setup.creates(), 2, "it was adopted");
}

/// Each process would replace the session of the others with one that they cannot check either.
#[tokio::test(start_paused = true)]
async fn processes_that_cannot_ask_do_not_replace_each_others_sessions_for_ever() {
    const HOURS: usize = 6;
    const MINUTE: Duration = Duration::from_secs(60);
    let creates = async |verify: bool| {
        let mut fleet = Fleet::new();
        fleet.setup.sipher.set_rate_limit(None);
        fleet
            .setup
            .sipher
            .fault(Fault::new(What::Status(500)).on(Target::Get).always());
        let change = |builder: SessionManagerBuilder| {
            let builder = builder.member_lease(MINUTE);
            if verify {
                builder.verify_adopted()
            } else {
                builder
            }
        };
        let processes: Vec<_> = (0..4).map(|_| fleet.start_with(change)).collect();
        for _ in 0..HOURS * 60 * 2 {
            for process in &processes {
                let _ = fleet.setup.call(&process.manager).await;
            }
            pass(30.0).await;
        }
        fleet.setup.creates()
    };
    let made = creates(true).await;
    assert!(made <= 6 * HOURS, "{made}");
    assert!(creates(false).await <= 2 * HOURS);
}
