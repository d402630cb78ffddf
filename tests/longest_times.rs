//! A setting that `build` accepts must not cause a panic later. Very long times are common, because users write "never
//! give up" like that.
#![allow(clippy::unwrap_used)] // for the helper functions

mod support;

use std::time::Duration;

use sipher_session::{
    SessionManagerBuilder,
    testing::{Fault, Target, What},
};
use support::{SECOND, Setup, generate};
use tower::ServiceExt;

/// Runs a create, a request whose caller gives up, a renewal, and a shutdown.
async fn live_through(set: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder) {
    let setup = Setup::new();
    let manager = set(setup.builder()).build().unwrap();
    setup.call(&manager).await.unwrap();

    let never = Fault::new(What::Hang).on(Target::Calls);
    setup.sipher.fault(never);
    let hangs = setup.service(&manager).oneshot(generate());
    assert!(tokio::time::timeout(SECOND, hangs).await.is_err());

    tokio::time::advance(50 * 60 * SECOND).await;
    setup.call(&manager).await.unwrap();
    manager.shutdown(60 * SECOND).await;
    assert_eq!(setup.creates(), 2, "the second one is the renewal");
}

#[tokio::test(start_paused = true)]
async fn a_create_may_take_for_ever() {
    live_through(|builder| builder.create_timeout(Duration::MAX)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_may_wait_for_ever() {
    live_through(|builder| builder.max_wait(Duration::MAX)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_given_up_may_count_for_ever() {
    live_through(|builder| builder.linger(Duration::MAX)).await;
}

#[tokio::test(start_paused = true)]
async fn a_look_whether_the_server_knows_the_session_may_never_come() {
    live_through(|builder| builder.verify_every(Duration::MAX)).await;
}

#[tokio::test(start_paused = true)]
async fn everything_may_take_for_ever_at_once() {
    let endless = |builder: SessionManagerBuilder| {
        builder
            .create_timeout(Duration::MAX)
            .max_wait(Duration::MAX)
            .linger(Duration::MAX)
            .verify_every(Duration::MAX)
            .ttl(86_400 * SECOND)
    };
    let setup = Setup::new();
    let manager = endless(setup.builder()).build().unwrap();
    // There are failures and a lost session on the way.
    let fails = Fault::new(What::Status(503)).on(Target::Create).times(3);
    setup.sipher.fault(fails);
    setup.call(&manager).await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Refuse).on(Target::Calls));
    assert!(setup.call(&manager).await.is_err());
    setup.sipher.restart();
    setup.call(&manager).await.unwrap();
    setup.sipher.assert_no_dead_id();
    let api = manager.api().timeout(Duration::MAX);
    let id = manager.session().await.unwrap().id().clone();
    api.get_session(&id).await.unwrap();
    api.delete_session(&id).await.unwrap();
    setup.call(&manager).await.unwrap();
    assert!(manager.shutdown(Duration::MAX).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn times_may_be_as_short_as_can_be() {
    let shortest = Duration::from_nanos(1);
    let setup = Setup::new();
    let manager = setup
        .builder()
        .create_timeout(shortest)
        .max_wait(shortest)
        .verify_every(shortest)
        .linger(Duration::ZERO)
        .ttl(60 * SECOND)
        .call_budget(1, 1)
        .max_sessions(1)
        .build()
        .unwrap();
    for _ in 0..20 {
        drop(setup.call(&manager).await);
        tokio::time::sleep(SECOND).await;
    }
    manager.shutdown(Duration::ZERO).await;
    setup.sipher.assert_no_dead_id();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_may_take_for_ever() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    let report = manager.shutdown(Duration::MAX).await;
    assert_eq!(report.deleted, 1);
}

#[tokio::test(start_paused = true)]
async fn counts_may_be_without_bound() {
    let boundless = |builder: SessionManagerBuilder| {
        builder
            .call_budget(u32::MAX, u32::MAX)
            .max_sessions(u64::MAX)
    };
    live_through(boundless).await;
}
