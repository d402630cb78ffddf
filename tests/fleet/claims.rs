//! Waiting for the session that another process makes, and how long its failure keeps the others from trying.

use std::time::Duration;

use sipher_session::{
    Chain, ErrorKind, Event, OnStoreDown, SessionDefaults, SessionLayer,
    testing::{Fault, Target, What},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use crate::{
    processes::Fleet,
    support::{SECOND, generate, ours, pass},
};

#[tokio::test(start_paused = true)]
async fn who_waits_for_anothers_session_has_it_as_soon_as_it_is_published() {
    let mut fleet = Fleet::new();
    let (maker, other) = (fleet.start(), fleet.start());
    let latency = Duration::from_millis(300);
    fleet.setup.sipher.set_latency(latency);
    let manager = maker.manager.clone();
    let call = tokio::spawn(async move { manager.session().await.map(drop) });
    pass(0.1).await;
    let start = Instant::now();
    other.manager.session().await.unwrap();
    assert!(start.elapsed() < latency, "{:?}", start.elapsed());
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
    // Refused for a minute, whoever asks.
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
    // It has waited for nine seconds, and its call takes four.
    pass(12.0).await;
    call().await.unwrap();
    begins.await.unwrap().unwrap();
    assert_eq!(fleet.setup.creates(), 2);
    let orphan = |event: &Event| matches!(event, Event::PossibleOrphan { .. });
    assert!(!process.events().iter().any(orphan));
}
