//! The store names a newer session, and the server has to be asked about it first.

use sipher_session::SessionManagerBuilder;

use crate::{
    processes::Fleet,
    support::{SECOND, pass},
};

/// The store has lost the news that the older session was invalidated.
#[tokio::test(start_paused = true)]
async fn the_older_session_is_used_until_its_lease_ends_and_no_longer() {
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
    assert_eq!(fleet.call(&processes[1..]).await, older);

    fleet.work(&processes[1..], 300 * SECOND, 20 * SECOND).await;
    assert_eq!(fleet.call(&processes[1..]).await, newer);
    assert_eq!(fleet.setup.creates(), 2, "it was adopted");
}
