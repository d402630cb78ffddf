//! Sessions that may be lost without a sign: after a long idle time, and after the clocks have moved apart.

use std::time::Duration;

use sipher_session::{
    Event,
    testing::{Fault, Target, What},
};
use tokio::time::Instant;

use crate::support::{SECOND, Setup, pass};

const MINUTE: f64 = 60.0;

/// Sends a call, which must not wait for any call that counts against a limit. Then waits for the work that the call
/// started in the background.
#[allow(clippy::disallowed_methods)] // virtual time
async fn call(setup: &Setup, manager: &sipher_session::SessionManager) {
    let start = Instant::now();
    setup.call(manager).await.unwrap();
    assert!(start.elapsed().is_zero(), "it waits");
    pass(1.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_idle_for_a_quarter_of_its_life_is_asked_about_once() {
    let setup = Setup::new();
    let manager = setup.manager();
    call(&setup, &manager).await;
    pass(14.9 * MINUTE).await;
    call(&setup, &manager).await;
    assert_eq!(setup.gets(), 0, "not idle for long");
    pass(15.0 * MINUTE).await;
    for _ in 0..5 {
        call(&setup, &manager).await;
        assert_eq!(setup.gets(), 1);
    }
    assert_eq!(setup.creates(), 1);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_restart_during_a_long_idle_costs_no_request_and_is_told() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    call(&setup, &manager).await;
    pass(20.0 * MINUTE).await;
    setup.sipher.restart();
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    for _ in 0..10 {
        call(&setup, &manager).await;
        assert_eq!(setup.last_chain().as_deref(), Some("near"));
    }
    let lost = std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
        Event::Lost {
            unknown_for,
            requests,
            ..
        } => Some((unknown_for.as_secs(), requests)),
        _ => None,
    });
    let (span, requests) = lost.expect("an event");
    assert_eq!(requests, 1, "the one that the session was made for");
    assert!((20 * 60..=20 * 60 + 2).contains(&span), "{span}");
    assert_eq!(
        (setup.questions(), setup.gets()),
        (1, 0),
        "found for nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_after_a_long_idle_that_could_not_be_made_is_made_up_for() {
    let setup = Setup::new();
    let manager = setup.builder().call_budget(1, 2).build().unwrap();
    call(&setup, &manager).await;
    pass(16.0 * MINUTE).await;
    // Requests with other defaults use up the budget.
    for chain in ["sui", "base"] {
        let defaults = sipher_session::SessionDefaults::new().chain(chain.into());
        manager.ready(setup.key.as_str(), defaults).await.unwrap();
    }
    call(&setup, &manager).await;
    assert_eq!(setup.gets(), 0, "no call left");
    pass(3.0 * MINUTE).await;
    call(&setup, &manager).await;
    assert_eq!(setup.gets(), 1, "the session is still out of sight");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_asks_about_the_session_that_it_wakes_up_with() {
    let setup = Setup::new();
    let manager = setup.manager();
    call(&setup, &manager).await;
    setup.clock.suspend(29 * SECOND);
    call(&setup, &manager).await;
    assert_eq!(setup.gets(), 0, "no more than a clock that is kept in step");
    setup.clock.suspend(5 * 60 * SECOND);
    setup.sipher.clock().suspend(5 * 60 * SECOND);
    setup.call(&manager).await.unwrap();
    call(&setup, &manager).await;
    assert_eq!((setup.gets(), setup.creates()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_back_is_a_reason_to_ask_as_well() {
    let setup = Setup::new();
    let manager = setup.manager();
    call(&setup, &manager).await;
    setup.clock.set_back(Duration::from_secs(3_600));
    setup.sipher.restart();
    call(&setup, &manager).await;
    call(&setup, &manager).await;
    assert_eq!((setup.gets(), setup.creates()), (1, 2));
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
}

/// A server that has lost one session may have lost them all. Once that is known, the manager asks for each session
/// once and no more.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_found_gone_makes_the_others_suspect() {
    let setup = Setup::new();
    let manager = setup.manager();
    let keys: Vec<_> = (0..6)
        .map(|_| setup.sipher.api_key(sipher_session::testing::Tier::Pro))
        .collect();
    let call_as = async |key: &str| {
        let mut request = crate::support::generate();
        request
            .headers_mut()
            .insert("x-api-key", key.parse().unwrap());
        let service = setup.service(&manager);
        tower::ServiceExt::oneshot(service, request).await.unwrap();
        setup.last_chain()
    };
    for key in &keys {
        call_as(key).await;
    }
    pass(5.0).await;
    setup.sipher.restart();
    // The restart stays unnoticed until the manager asks for one of the sessions for another reason.
    setup.clock.suspend(40 * SECOND);
    assert_ne!(call_as(&keys[0]).await.as_deref(), Some("near"));
    pass(1.0).await;
    for _ in 0..3 {
        for key in &keys {
            assert_eq!(call_as(key).await.as_deref(), Some("near"));
        }
    }
    assert_eq!((setup.gets(), setup.creates()), (1, 12));
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_finds_nothing_tells_that_the_session_was_lost_while_it_was_used() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    call(&setup, &manager).await;
    setup.sipher.restart();
    call(&setup, &manager).await;
    manager.invalidate(1);
    pass(1.0).await;
    let lost = std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
        Event::Lost { requests, .. } => Some(requests),
        _ => None,
    });
    assert_eq!(lost, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_tried_again_and_finds_nothing_tells_nothing() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    call(&setup, &manager).await;
    setup
        .sipher
        .fault(Fault::new(What::LoseAnswer).on(Target::Delete));
    manager.invalidate(1);
    pass(10.0).await;
    assert_eq!(setup.deletes(), 2);
    let lost = std::iter::from_fn(|| events.try_recv());
    assert_eq!(
        lost.filter(|event| matches!(event, Event::Lost { .. }))
            .count(),
        0
    );
}
