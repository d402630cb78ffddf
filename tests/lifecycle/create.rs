//! From the first request to the first session.

use std::time::Duration;

use sipher_session::{
    Chain, ErrorKind, Event, RetireReason, SessionDefaults,
    testing::{Fault, Target, What},
};
use tokio::task::JoinSet;

use crate::support::{SECOND, Setup, ours, pass, said};

#[tokio::test(start_paused = true)]
async fn nothing_is_called_before_the_first_use_and_one_create_on_it() {
    let setup = Setup::new();
    let manager = setup.manager();
    pass(100.0).await;
    assert_eq!(setup.sipher.session_calls(), 0);
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 1);
    setup.sipher.assert_every_call_had_a_session();
}

#[test]
fn building_needs_no_runtime() {
    // The fake's clock needs a runtime; the system's clock does not.
    let manager = sipher_session::SessionManager::builder()
        .api_key("sk_pro_1")
        .build()
        .unwrap();
    drop(manager);
}

#[tokio::test(start_paused = true)]
async fn any_number_of_callers_make_one_create() {
    let setup = Setup::new();
    setup.sipher.set_latency(SECOND);
    let manager = setup.manager();
    let mut callers = JoinSet::new();
    for _ in 0..500 {
        let service = setup.service(&manager);
        callers.spawn(tower::ServiceExt::oneshot(
            service,
            crate::support::generate(),
        ));
    }
    for answer in callers.join_all().await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(setup.creates(), 1);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_take_no_create_with_them() {
    let setup = Setup::new();
    setup.sipher.set_latency(SECOND);
    let manager = setup.manager();
    let mut random = fastrand::Rng::with_seed(3);
    let mut callers = JoinSet::new();
    for _ in 0..300 {
        let service = setup.service(&manager);
        let patience = Duration::from_millis(random.u64(0..1_000));
        callers.spawn(async move {
            let call = tower::ServiceExt::oneshot(service, crate::support::generate());
            tokio::time::timeout(patience, call).await
        });
    }
    assert!(
        callers.join_all().await.iter().all(Result::is_err),
        "all gave up"
    );
    pass(2.0).await;
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 1);
    assert_eq!(setup.sipher.live_sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_no_longer_than_max_wait_and_the_create_goes_on() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::DelayAnswer(10 * SECOND)).on(Target::Create));
    let manager = setup.builder().max_wait(3 * SECOND).build().unwrap();
    let start = tokio::time::Instant::now();
    let error = setup.call(&manager).await.unwrap_err();
    assert_eq!(start.elapsed(), 3 * SECOND);
    assert_eq!(ours(&error).kind(), ErrorKind::Timeout);
    assert_eq!(said(&error), "no session within the `max_wait` of 3s");
    assert!(setup.uses().is_empty(), "it was not sent");
    pass(8.0).await;
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_does_not_end_is_given_up_and_deleted_when_it_answers_late() {
    let setup = Setup::new();
    // The create's own deadline ends it at the same moment. So its answer is lost, and the session is a possible orphan.
    setup
        .sipher
        .fault(Fault::new(What::HangAnswer).on(Target::Create));
    let manager = setup
        .builder()
        .create_timeout(5 * SECOND)
        .max_wait(20 * SECOND)
        .build()
        .unwrap();
    let mut events = manager.events();
    let error = setup.call(&manager).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Timeout);
    let orphans = std::iter::from_fn(|| events.try_recv());
    let orphans = orphans
        .filter(|event| matches!(event, Event::PossibleOrphan { .. }))
        .count();
    assert_eq!(orphans, 1);
    pass(5.0).await;
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 2);
    let report = manager.shutdown(5 * SECOND).await;
    assert_eq!((report.deleted, report.possible_orphans), (1, 1));
    assert!(!report.is_clean());
    assert_eq!(setup.sipher.live_sessions(), 1, "the orphan");
}

#[tokio::test(start_paused = true)]
async fn what_the_server_makes_of_the_defaults_is_checked() {
    for (fault, complaint) in [
        (
            What::EchoWrong,
            "the new session stores another `chain` than was asked for",
        ),
        (
            What::DropDefault("chain".into()),
            "the new session does not store `chain`",
        ),
        (
            What::ShortLife(Duration::from_secs(20)),
            "the new session lives for 20s; expected 30s or more",
        ),
    ] {
        let setup = Setup::new();
        setup.sipher.fault(Fault::new(fault).on(Target::Create));
        let manager = setup.manager();
        let mut events = manager.events();
        let error = setup.call(&manager).await.unwrap_err();
        assert_eq!(ours(&error).kind(), ErrorKind::WrongAnswer);
        assert_eq!(said(&error), complaint);
        assert!(setup.uses().is_empty());
        pass(1.0).await;
        assert_eq!(
            setup.sipher.live_sessions(),
            0,
            "{complaint}: it was deleted"
        );
        let wrong = std::iter::from_fn(|| events.try_recv()).any(|event| {
            matches!(
                event,
                Event::Retired {
                    reason: RetireReason::WrongAnswer,
                    ..
                }
            )
        });
        assert!(wrong);
    }
}

#[tokio::test(start_paused = true)]
async fn the_way_to_the_server_is_taken_from_the_sessions_life() {
    let setup = Setup::new();
    // The server creates the session at once, but its answer takes 20 s.
    setup
        .sipher
        .fault(Fault::new(What::DelayAnswer(20 * SECOND)).on(Target::Create));
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    let session = manager.session().await.unwrap();
    assert_eq!(
        session.usable_for(),
        35 * SECOND,
        "60 s less 20 s less `hard` of 5 s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_clock_that_is_days_off_changes_nothing() {
    let setup = Setup::new();
    setup
        .sipher
        .clock()
        .suspend(Duration::from_secs(3 * 86_400));
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    assert_eq!(manager.session().await.unwrap().usable_for(), 55 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn headers_are_put_in_place_of_others_never_beside_them() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut headers = http::HeaderMap::new();
    // An empty key counts as none. Two keys count as wrong.
    headers.insert("x-api-key", http::HeaderValue::from_static(""));
    let lease = manager.apply(&mut headers).await.unwrap().unwrap();
    let keys: Vec<_> = headers.get_all("x-api-key").iter().collect();
    assert_eq!(keys, [setup.key.as_str()]);
    let ids: Vec<_> = headers.get_all("x-session-id").iter().collect();
    assert_eq!(ids, [lease.session().id().as_str()]);
    assert!(ids[0].is_sensitive() && keys[0].is_sensitive());
    let lease_id = lease.session().id().clone();
    lease.complete();
    let again = manager.apply(&mut headers).await.unwrap().unwrap();
    let ids: Vec<_> = headers.get_all("x-session-id").iter().collect();
    assert_eq!(
        ids,
        [again.session().id().as_str()],
        "an id of this manager's is used once more"
    );
    assert_eq!(*again.session().id(), lease_id);
}

#[tokio::test(start_paused = true)]
async fn keys_and_defaults_have_sessions_of_their_own() {
    let setup = Setup::new();
    let other_key = setup.sipher.api_key(sipher_session::testing::Tier::Pro);
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    let first = setup.last_id().unwrap();

    let mut request = crate::support::generate();
    request
        .headers_mut()
        .insert("x-api-key", other_key.parse().unwrap());
    let answer = tower::ServiceExt::oneshot(setup.service(&manager), request).await;
    answer.unwrap();
    let second = setup.last_id().unwrap();

    let mut request = crate::support::generate();
    request
        .extensions_mut()
        .insert(SessionDefaults::new().chain(Chain::Sui));
    tower::ServiceExt::oneshot(setup.service(&manager), request)
        .await
        .unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("sui"));

    assert_ne!(first, second);
    assert_eq!(setup.creates(), 3);
    assert_eq!(setup.sipher.live_sessions_of(&other_key), 1);
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_id().unwrap(), first);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_in_vain_is_told_why_and_for_how_long() {
    let setup = Setup::new();
    let builder = setup.builder().create_timeout(3 * SECOND);
    let manager = builder.max_wait(4 * SECOND).build().unwrap();
    let paced = What::RateLimited {
        retry_after: Some(2),
        in_body: false,
    };
    let always = Fault::new(paced).on(Target::Create).always();
    setup.sipher.fault(always);
    for call in 0..20 {
        let error = setup.call(&manager).await.unwrap_err();
        let error = ours(&error);
        assert!(error.retry_after().is_some(), "{call}: {error:?}");
    }
}
