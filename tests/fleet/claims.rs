//! Waiting for a session that another process creates, and how long its failure holds back the others.

use std::time::Duration;

use sipher_session::{
    Chain, ErrorKind, Event, OnStoreDown, PrivacyLevel, SessionDefaults, SessionLayer,
    testing::{Fault, Target, What},
};
use tokio::time::{Instant, timeout};
use tower::{Layer, ServiceExt};

use crate::{
    flaky::Trouble,
    processes::Fleet,
    runtimes::elsewhere,
    support::{SECOND, generate, ours, pass},
};

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_session_of_another_has_it_as_soon_as_it_is_published() {
    let mut fleet = Fleet::new();
    let (maker, other) = (fleet.start(), fleet.start());
    let latency = Duration::from_millis(300);
    fleet.setup.sipher.set_latency(latency);
    let manager = maker.manager.clone();
    let call = tokio::spawn(async move { manager.session().await.map(drop) });
    pass(0.1).await;
    let start = Instant::now();
    other.manager.session().await.unwrap();
    // Before the process uses the adopted session, it asks the server for its health, which is free.
    let least = Duration::from_millis(200);
    assert_eq!(start.elapsed(), least + latency);
    call.await.unwrap().unwrap();
    assert_eq!(fleet.setup.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_says_of_one_create_holds_back_the_others_of_the_fleet() {
    let mut fleet = Fleet::new();
    let [one, other] = [(); 2].map(|()| {
        fleet.start_with(|builder| {
            builder
                .max_wait(4 * SECOND)
                .create_timeout(5 * SECOND / 2)
                .on_store_down(OnStoreDown::Fail)
        })
    });
    // Creates are refused for a minute, whichever process makes them.
    let fault = Fault::new(What::Html(404)).on(Target::Create).always();
    fleet.setup.sipher.fault(fault);
    let error = fleet.setup.call(&one.manager).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::WrongAddress);
    pass(5.0).await;
    let error = fleet.setup.call(&other.manager).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Store);
    let left = ours(&error).retry_after().unwrap();
    assert!(50 * SECOND < left && left < 60 * SECOND, "{left:?}");
    assert_eq!(fleet.setup.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_waited_for_a_call_is_not_given_up_before_its_own_time() {
    let mut fleet = Fleet::new();
    let mut process = fleet.start_with(|builder| {
        builder
            .call_budget(6, 1)
            .create_timeout(10 * SECOND)
            .max_wait(30 * SECOND)
    });
    fleet.setup.call(&process.manager).await.unwrap();
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let layer = SessionLayer::new(process.manager.clone()).defaults(sui);
    let call = || layer.layer(fleet.setup.sipher.clone()).oneshot(generate());
    pass(1.0).await;
    fleet.setup.sipher.set_latency(4 * SECOND);
    let begins = tokio::spawn(call());
    // The create waits nine seconds for a free call, and its call takes four.
    pass(12.0).await;
    call().await.unwrap();
    begins.await.unwrap().unwrap();
    assert_eq!(fleet.setup.creates(), 2);
    let orphan = |event: &Event| matches!(event, Event::PossibleOrphan { .. });
    assert!(!process.events().iter().any(orphan));
}

/// Returns how long the other process waits for a session or for its change.
async fn takes<T>(work: impl Future<Output = T>) -> Duration {
    let start = Instant::now();
    work.await;
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_claim_of_a_session_that_ended_meanwhile_is_released() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    processes[0].store.cut();
    let session = processes[0].manager.session().await.unwrap();
    processes[0].store.set(Trouble {
        answers_claims_after: 2 * SECOND,
        ..Trouble::default()
    });
    let before = processes[0].store.claims();
    while processes[0].store.claims() == before {
        pass(0.1).await;
    }
    assert!(processes[0].manager.invalidate(session.generation()));
    pass(3.0).await;
    let waited = takes(processes[1].manager.session()).await;
    assert!(waited < SECOND, "{waited:?}");
    assert_eq!(fleet.setup.creates(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_create_ended_with_its_runtime_is_released_by_the_shutdown() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.setup.sipher.set_latency(SECOND);
    let manager = processes[0].manager.clone();
    let (call, runtime) =
        elsewhere(async move { timeout(SECOND / 2, manager.session()).await.map(drop) });
    assert!(call.is_err(), "it takes longer");
    runtime.shutdown_background();
    fleet.setup.sipher.set_latency(Duration::ZERO);
    processes[0].shutdown().await;
    let waited = takes(processes[1].manager.session()).await;
    assert!(waited < SECOND, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_claim_on_defaults_is_released_by_whoever_could_not_write_them_down() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    pass(1.0).await;
    processes[0].store.set(Trouble {
        answers_claims_after: SECOND,
        ..Trouble::default()
    });
    let near = SessionDefaults::new().privacy_level(PrivacyLevel::Shielded);
    let manager = processes[0].manager.clone();
    let claims = processes[0].store.claims();
    let change = tokio::spawn(async move { manager.update_defaults(near).await });
    // The first claim is for a session with the new defaults.
    while processes[0].store.claims() < claims + 2 {
        pass(0.01).await;
    }
    // The store has granted the claim, but the answer has not arrived yet.
    pass(0.5).await;
    processes[0].store.cut();
    change.await.unwrap().unwrap();
    pass(1.0).await;
    processes[0].store.mend();
    pass(3.0).await;
    let patch = SessionDefaults::new().chain(Chain::Sui);
    let waited = takes(processes[1].manager.update_defaults(patch)).await;
    assert!(waited < SECOND, "{waited:?}");
}
