//! Callers that are not polled, or that give up early, do not hold up the others.

use std::pin::pin;

use sipher_session::{Chain, ErrorKind, OnStoreDown, PrivacyLevel, SessionDefaults};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::{
    flaky::Trouble,
    processes::Fleet,
    support::{SECOND, Setup, generate, pass},
};

fn slow(millis: u32) -> Trouble {
    Trouble {
        delay: SECOND * millis / 1_000,
        ..Trouble::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_request_that_is_not_polled_holds_up_no_other() {
    let mut fleet = Fleet::new();
    let process = fleet.start();
    process.store.set(slow(500));
    let mut first = pin!(fleet.setup.call(&process.manager));
    tokio::select! {
        biased;
        _ = &mut first => panic!("it waits for the store"),
        () = pass(0.1) => {}
    }
    let session = timeout(10 * SECOND, process.manager.session()).await;
    session.unwrap().unwrap();
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let change = timeout(20 * SECOND, process.manager.update_defaults(sui)).await;
    change.unwrap().unwrap();
    first.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_before_the_store_answers_are_served_once_it_has() {
    let mut fleet = Fleet::new();
    let fails = |builder: sipher_session::SessionManagerBuilder| {
        builder
            .on_store_down(OnStoreDown::Fail)
            .max_wait(SECOND)
            .create_timeout(30 * SECOND)
    };
    for process in [fleet.start(), fleet.start_with(fails)] {
        process.store.set(slow(900));
        let mut served = 0;
        for _ in 0..30 {
            let call = fleet.setup.service(&process.manager).oneshot(generate());
            served += usize::from(matches!(timeout(SECOND * 4 / 5, call).await, Ok(Ok(_))));
        }
        assert!(served >= 15, "{served}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_not_polled_holds_others_up_for_a_bounded_time() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup.sipher.set_latency(SECOND);
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let mut first = Box::pin(manager.update_defaults(sui));
    tokio::select! {
        biased;
        _ = &mut first => panic!("it waits for its session"),
        () = pass(0.1) => {}
    }
    let maximum = || SessionDefaults::new().privacy_level(PrivacyLevel::Maximum);
    let started = tokio::time::Instant::now();
    let error = manager.update_defaults(maximum()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(started.elapsed() <= 31 * SECOND);
    drop(first);
    manager.update_defaults(maximum()).await.unwrap();
}
