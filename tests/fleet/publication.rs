//! A session enters the store by a publication that the store accepted, and in no other way.

use std::time::Duration;

use sipher_session::{Chain, SessionDefaults, SessionLayer, store::SessionStore};
use tower::{Layer, ServiceExt};

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    support::{SECOND, generate, pass},
};

/// Waits until one more session is on its way to the store.
async fn until_published(fleet: &Fleet) {
    let count = || fleet.published.lock().unwrap().len();
    let before = count();
    while count() == before {
        pass(0.05).await;
    }
}

/// The process has a session with other defaults, so it stays in contact with the store.
async fn keeps_in_touch(fleet: &Fleet, process: &Process) {
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let layer = SessionLayer::new(process.manager.clone()).defaults(sui);
    let other = layer.layer(fleet.setup.sipher.clone());
    other.oneshot(generate()).await.unwrap();
}

/// The first process begins a create. Returns once the session exists and its publication, which takes 0.9 s, is on its way.
async fn publishes(fleet: &Fleet, process: &Process) -> tokio::task::JoinHandle<()> {
    process.store.set(Trouble {
        delay: 9 * SECOND / 10,
        ..Trouble::default()
    });
    let manager = process.manager.clone();
    let call = tokio::spawn(async move { manager.session().await.map(drop).unwrap() });
    until_published(fleet).await;
    call
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_refused_is_put_into_the_store_by_nobody() {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    fleet.call(&processes[1..]).await;
    keeps_in_touch(&fleet, &processes[0]).await;
    // The store has forgotten the session that the other process still uses. So the first process may create another.
    fleet.store.clear();
    fleet.setup.sipher.set_latency(SECOND / 2);
    let call = publishes(&fleet, &processes[0]).await;
    // This invalidation takes the right to publish away from the first process.
    let session = processes[1].manager.session().await.unwrap();
    assert!(processes[1].manager.invalidate(session.generation()));
    call.await.unwrap();
    for _ in 0..30 {
        pass(1.0).await;
        fleet.call(&processes).await;
    }
    fleet.setup.sipher.assert_every_call_had_a_session();
    assert_eq!(
        fleet.setup.creates(),
        1 + 1 + 2,
        "the one that was refused, and the one instead of it"
    );
}

/// The process creates a session, and has this trouble when it publishes the session.
async fn publishes_with(fleet: &Fleet, process: &Process, trouble: Trouble) {
    fleet.setup.sipher.set_latency(2 * SECOND);
    let manager = process.manager.clone();
    let call = tokio::spawn(async move { manager.session().await.map(drop) });
    pass(1.0).await;
    process.store.set(trouble);
    call.await.unwrap().unwrap();
    fleet.setup.sipher.set_latency(Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_publication_that_was_not_answered_is_repeated() {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    let is_cut = Trouble {
        is_cut: true,
        ..Trouble::default()
    };
    publishes_with(&fleet, &processes[0], is_cut).await;
    processes[0].store.mend();
    pass(3.0).await;
    assert!(fleet.published.lock().unwrap().len() > 1);
    assert_eq!(fleet.call(&processes).await.len(), 1);
    assert_eq!(fleet.setup.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_know_whether_its_session_was_accepted_does_not_delete_it_under_the_others() {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    let loses_answers = Trouble {
        loses_answers: true,
        ..Trouble::default()
    };
    publishes_with(&fleet, &processes[0], loses_answers).await;
    let ids = fleet.call(&processes[1..]).await;
    // The store forgets the session before the process reports it again. Then the store refuses the report.
    fleet.store.clear();
    processes[0].store.mend();
    pass(3.0).await;
    let report = processes[0].shutdown().await;
    assert_eq!(report.deleted, 0, "{report}");
    assert_eq!(fleet.call(&processes[1..]).await, ids);
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_goes_on_with_its_session_until_it_has_another() {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    let is_cut = Trouble {
        is_cut: true,
        ..Trouble::default()
    };
    publishes_with(&fleet, &processes[0], is_cut).await;
    // The claim of the process lapses in the meantime.
    pass(11.0).await;
    processes[0].store.mend();
    pass(3.0).await;
    fleet.setup.sipher.set_latency(SECOND);
    let start = tokio::time::Instant::now();
    fleet.call(&processes[..1]).await;
    assert!(start.elapsed() <= SECOND, "no request waits for a create");
    pass(5.0).await;
    assert_eq!(fleet.call(&processes).await.len(), 1);
    assert_eq!(fleet.setup.creates(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_its_maker_does_not_want_any_more_is_not_published() {
    let mut fleet = Fleet::new();
    let processes = [fleet.start()];
    fleet.call(&processes).await;
    pass(3000.0).await;
    fleet.setup.sipher.set_latency(2 * SECOND);
    // A renewal begins. Then the session is invalidated, and the reason may concern its successor as well.
    let session = processes[0].manager.session().await.unwrap();
    pass(1.0).await;
    assert_eq!(fleet.setup.creates(), 2);
    assert!(processes[0].manager.invalidate(session.generation()));
    pass(10.0).await;
    // The results of questions to the server are in a slot of their own.
    let published = fleet.published.lock().unwrap();
    let slot = published[0].0;
    let of_sessions = published.iter().filter(|(of, _)| *of == slot);
    assert_eq!(of_sessions.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_said_to_be_in_use_before_the_store_has_it() {
    let mut fleet = Fleet::new();
    let process = fleet.start();
    keeps_in_touch(&fleet, &process).await;
    let call = publishes(&fleet, &process).await;
    process.store.mend();
    let slot = fleet.published.lock().unwrap()[1].0;
    // An announcement for the slot makes each process with a session there read the slot.
    fleet.store.revoke(slot, 0).await.unwrap();
    call.await.unwrap();
    let report = process.shutdown().await;
    assert_eq!(report.deleted, 2, "no others are expected: {report}");
}
