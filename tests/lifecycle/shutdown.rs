//! Shutdown.

use std::time::Duration;

use http::Method;
use sipher_session::{
    Chain, ErrorKind, Event, Fate, SessionDefaults,
    testing::{Fault, Target, Tier, What},
};
use tower::ServiceExt;

use crate::support::{Call, SECOND, Setup, generate, is_of, ours, pass};

#[tokio::test(start_paused = true)]
async fn every_session_is_deleted_and_requests_fail_from_then_on() {
    let setup = Setup::new();
    let manager = setup.manager();
    for _ in 0..20 {
        let mut request = generate();
        let key = setup.sipher.api_key(Tier::Pro);
        request
            .headers_mut()
            .insert("x-api-key", key.parse().unwrap());
        setup.service(&manager).oneshot(request).await.unwrap();
    }
    assert_eq!(setup.sipher.live_sessions(), 20);
    let report = manager.shutdown(5 * SECOND).await;
    assert_eq!(report.deleted, 20);
    assert!(report.is_clean());
    assert_eq!(report.sessions.len(), 20);
    assert_eq!(setup.sipher.live_sessions(), 0);

    let sent = setup.uses().len();
    let error = setup.call(&manager).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Shutdown);
    assert_eq!(
        manager.session().await.unwrap_err().kind(),
        ErrorKind::Shutdown
    );
    assert_eq!(setup.uses().len(), sent);
    assert_eq!(
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_may_end_and_keep_their_session_until_then() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Delay(4 * SECOND)).on(Target::Calls));
    let slow = tokio::spawn(setup.service(&manager).oneshot(generate()));
    pass(1.0).await;
    let start = tokio::time::Instant::now();
    let report = manager.shutdown(10 * SECOND).await;
    assert_eq!(report.deleted, 1);
    assert!(start.elapsed() < 4 * SECOND, "no longer than it takes");
    slow.await.unwrap().unwrap();
    setup.sipher.assert_every_call_had_a_session();
    assert_eq!(setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_end_leaves_its_session_to_expire() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Delay(100 * SECOND)).on(Target::Calls));
    let slow = tokio::spawn(setup.service(&manager).oneshot(generate()));
    pass(1.0).await;
    let start = tokio::time::Instant::now();
    let report = manager.shutdown(10 * SECOND).await;
    assert_eq!(
        start.elapsed(),
        5 * SECOND,
        "half of the deadline is for them"
    );
    assert_eq!((report.deleted, report.left_to_expire), (0, 1));
    assert!(!report.is_clean());
    assert!(matches!(
        report.sessions[0].fate,
        Fate::LeftToExpire { in_flight: 1, .. }
    ));
    slow.await.unwrap().unwrap();
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_create_under_way_is_awaited_and_its_session_deleted() {
    let setup = Setup::new();
    setup.sipher.set_latency(2 * SECOND);
    let manager = setup.manager();
    let waiting = tokio::spawn(setup.service(&manager).oneshot(generate()));
    pass(1.0).await;
    let report = manager.shutdown(10 * SECOND).await;
    assert_eq!((report.deleted, report.possible_orphans), (1, 0));
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Shutdown);
    assert_eq!(setup.sipher.live_sessions(), 0);
    assert!(setup.uses().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_create_that_does_not_end_is_reported_and_deleted_if_it_still_answers() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::DelayAnswer(8 * SECOND)).on(Target::Create));
    let manager = setup.manager();
    let waiting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.session().await.map(drop) }
    });
    pass(1.0).await;
    let report = manager.shutdown(2 * SECOND).await;
    assert_eq!((report.deleted, report.possible_orphans), (0, 1));
    assert!(!report.is_clean());
    assert_eq!(
        waiting.await.unwrap().unwrap_err().kind(),
        ErrorKind::Shutdown
    );
    assert_eq!(setup.sipher.live_sessions(), 1);
    pass(10.0).await;
    assert_eq!(setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_can_be_called_twice_and_from_several_tasks() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup.sipher.set_latency(SECOND);
    let (one, two) = tokio::join!(manager.shutdown(5 * SECOND), manager.shutdown(9 * SECOND));
    let three = manager.shutdown(Duration::ZERO).await;
    assert_eq!([one.deleted, two.deleted, three.deleted], [1, 1, 1]);
    assert_eq!(setup.deletes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_dropped_goes_on() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup.sipher.set_latency(2 * SECOND);
    let dropped = tokio::time::timeout(SECOND, manager.shutdown(5 * SECOND)).await;
    assert!(dropped.is_err());
    pass(3.0).await;
    assert_eq!(setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_server_lost_counts_as_gone() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup.sipher.restart();
    let report = manager.shutdown(5 * SECOND).await;
    assert_eq!((report.deleted, report.already_gone), (0, 1));
    assert!(report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_only_a_wall_clock_set_forward_has_ended_is_deleted_too() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup.clock.suspend(Duration::from_secs(86_400)); // the server's clock is not set
    let report = manager.shutdown(5 * SECOND).await;
    assert_eq!(report.deleted, 1);
    assert_eq!(setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_does_not_hold_the_shutdown_up() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Delete).always());
    let start = tokio::time::Instant::now();
    let report = manager.shutdown(3 * SECOND).await;
    assert_eq!(start.elapsed(), 3 * SECOND);
    assert_eq!((report.deleted, report.left_to_expire), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn deletes_that_fail_are_reported_with_why() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Status(500)).on(Target::Delete).always());
    let report = manager.shutdown(3 * SECOND).await;
    assert_eq!((report.deleted, report.failed), (0, 1));
    assert!(!report.is_clean());
    let Fate::Failed { error, .. } = &report.sessions[0].fate else {
        panic!("{report:?}")
    };
    assert_eq!(error.status().unwrap(), 500);
}

#[tokio::test(start_paused = true)]
async fn the_longest_life_is_deleted_first_when_the_budget_does_not_do_for_all() {
    let setup = Setup::new();
    let manager = setup.builder().call_budget(1, 6).build().unwrap();
    let mut last = String::new();
    for chain in ["near", "sui", "base", "solana"] {
        let mut request = generate();
        let defaults = sipher_session::SessionDefaults::new().chain(chain.into());
        request.extensions_mut().insert(defaults);
        setup.service(&manager).oneshot(request).await.unwrap();
        last = setup.last_id().unwrap();
        pass(1.0).await;
    }
    let report = manager.shutdown(2 * SECOND).await;
    assert_eq!((report.deleted, report.left_to_expire), (2, 2));
    assert!(!setup.sipher.is_live(&last), "the youngest is among them");
}

/// What the manager reports if its last handle is dropped without a shutdown.
#[tokio::test(start_paused = true)]
async fn the_last_handle_says_something_only_where_something_is_left() {
    for is_orphan in [false, true] {
        let setup = Setup::new();
        let manager = setup.manager();
        let mut events = manager.events();
        if is_orphan {
            setup
                .sipher
                .fault(Fault::new(What::Hang).on(Target::Create));
            let waiting = tokio::time::timeout(SECOND, manager.session()).await;
            assert!(waiting.is_err());
        }
        drop(manager);
        let is_abandoned = |event| matches!(event, Event::Abandoned { .. });
        let told = std::iter::from_fn(|| events.try_recv()).any(is_abandoned);
        assert_eq!(told, is_orphan);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_changed_by_hand_is_deleted_by_the_shutdown() {
    let setup = Setup::new();
    let manager = setup.manager();
    let session = manager.session().await.unwrap();
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let api = manager.api();
    api.update_session(session.id(), &sui).await.unwrap();
    let report = manager.shutdown(5 * SECOND).await;
    assert_eq!((report.deleted, report.left_to_expire), (1, 0), "{report}");
    assert_eq!(setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_deleted_while_the_server_may_be_changing_it() {
    for is_dropped in [true, false] {
        let setup = Setup::new();
        let manager = setup.manager();
        let session = manager.session().await.unwrap();
        setup.sipher.set_latency(20 * SECOND);
        let sui = SessionDefaults::new().chain(Chain::Sui);
        let api = manager.api();
        let mut change = Box::pin(api.update_session(session.id(), &sui));
        let begun = tokio::time::timeout(SECOND, &mut change).await;
        assert!(begun.is_err(), "it takes longer");
        if is_dropped {
            drop(change);
        }
        setup.sipher.set_latency(Duration::ZERO);
        let report = manager.shutdown(5 * SECOND).await;
        assert_eq!((report.deleted, report.left_to_expire), (0, 1), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn tenants_whose_deletes_hang_keep_no_others_from_theirs() {
    for hanging in [20, 100] {
        let setup = Setup::new();
        setup.sipher.set_rate_limit(None);
        let keys = [(); 2].map(|()| setup.sipher.api_key(Tier::Enterprise));
        let second = keys[1].clone();
        let transport = setup.behind_what_hangs(move |call: &Call| {
            call.method() == Method::DELETE && is_of(call, &second)
        });
        let builder = setup.builder().transport(transport);
        let manager = builder.call_budget(600, 200).build().unwrap();
        for (key, count) in keys.iter().zip([20, hanging]) {
            for number in 0..count {
                let mut defaults = SessionDefaults::new();
                defaults.default_viewing_key = Some(format!("0x{number:08x}").as_str().into());
                manager.ready(key.as_str(), defaults).await.unwrap();
                pass(0.2).await;
            }
        }
        pass(60.0).await;
        let report = manager.shutdown(8 * SECOND).await;
        let left = setup.sipher.live_sessions_of(&keys[0]);
        assert_eq!(left, 0, "{hanging}: {report}");
    }
}

/// Together with a delete, the manager asks how much of its quota the key has used.
#[tokio::test(start_paused = true)]
async fn no_task_goes_on_after_a_shutdown() {
    let setup = Setup::new();
    let transport =
        setup.behind_what_hangs(|call: &Call| call.uri().path().starts_with("/v1/billing"));
    let builder = setup.builder().transport(transport).upkeep_per_day(10);
    let manager = builder.build().unwrap();
    setup.call(&manager).await.unwrap();
    manager.shutdown(5 * SECOND).await;
    drop(manager);
    pass(0.1).await;
    let tasks = tokio::runtime::Handle::current().metrics();
    assert_eq!(tasks.num_alive_tasks(), 0);
}
