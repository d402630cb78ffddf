//! What `build` lets through must not panic later: times without end, as "never give up" is often written.
#![allow(clippy::unwrap_used)] // helpers are tests too

mod support;

use std::time::Duration;

use sipher_session::{
    SessionManagerBuilder,
    testing::{Fault, Target, What},
};
use tower::ServiceExt;

use support::{SECOND, Setup, generate};

/// A create, a request that is given up, a renewal, and the end.
async fn live_through(set: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder) {
    let setup = Setup::new();
    let manager = set(setup.builder()).build().unwrap();
    setup.call(&manager).await.unwrap();

    let never = Fault::new(What::Hang).on(Target::Others);
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
