//! News that a process could not tell the store, after its last session has ended.

use sipher_session::{Chain, SessionDefaults};
use tokio::runtime::Handle;
use tower::ServiceExt;

use crate::{
    processes::{Fleet, Process},
    support::{generate, pass},
};

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn chain(chain: Chain) -> SessionDefaults {
    SessionDefaults::new().chain(chain)
}

/// Ends the use of every session of the process.
fn end_all(process: &Process) {
    for generation in 0..10 {
        process.manager.invalidate(generation);
    }
}

/// Sends a request with defaults of its own.
async fn call_for(fleet: &Fleet, process: &Process, defaults: SessionDefaults) {
    let mut request = generate();
    request.extensions_mut().insert(defaults);
    let service = fleet.setup.service(&process.manager);
    service.oneshot(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_cannot_be_told_keeps_no_task_alive_for_ever_and_is_told_with_the_next_session()
 {
    let mut fleet = Fleet::new();
    let others = fleet.start_many(1);
    let before = fleet.call(&others).await;
    pass(1.0).await;
    let of_others = tasks();
    let process = fleet.start();
    fleet.call(std::slice::from_ref(&process)).await;
    process.store.cut();
    end_all(&process);
    pass(200.0).await;
    assert_eq!(tasks(), of_others + 1, "it goes on for a while");
    pass(200.0).await;
    assert_eq!(tasks(), of_others, "no session, no task");
    process.store.mend();
    pass(60.0).await;
    assert_eq!(fleet.call(&others).await, before, "nobody has told of it");
    call_for(&fleet, &process, chain(Chain::Sui)).await;
    pass(1.0).await;
    assert_ne!(fleet.call(&others).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_is_told_as_soon_as_the_store_is_back_though_there_is_no_session() {
    let mut fleet = Fleet::new();
    let others = fleet.start_many(1);
    let before = fleet.call(&others).await;
    let process = fleet.start();
    fleet.call(std::slice::from_ref(&process)).await;
    process.store.cut();
    end_all(&process);
    pass(200.0).await;
    process.store.mend();
    pass(5.0).await;
    assert_ne!(fleet.call(&others).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_defaults_that_cannot_be_told_keeps_no_task_alive_for_ever_and_is_told_with_the_next_session()
 {
    let mut fleet = Fleet::new();
    let others = fleet.start_many(1);
    fleet.call(&others).await;
    pass(1.0).await;
    let of_others = tasks();
    let process = fleet.start();
    fleet.call(std::slice::from_ref(&process)).await;
    process.store.cut();
    let changed = process.manager.update_defaults(chain(Chain::Sui)).await;
    changed.unwrap();
    end_all(&process);
    pass(200.0).await;
    assert_eq!(tasks(), of_others + 1, "it goes on for a while");
    pass(200.0).await;
    assert_eq!(tasks(), of_others, "no session, no task");
    process.store.mend();
    pass(60.0).await;
    assert_eq!(others[0].manager.defaults(), chain(Chain::Near));
    call_for(&fleet, &process, chain(Chain::Base)).await;
    pass(1.0).await;
    assert_eq!(others[0].manager.defaults(), chain(Chain::Sui));
}
