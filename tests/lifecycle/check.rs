//! The outcomes of a check, which asks the server for a session.

use http::HeaderMap;
use sipher_session::{
    Chain, ErrorKind, Event, RetireReason, Session, SessionDefaults, SessionManager,
    api::{SessionsApi, Transport},
    testing::{FakeSipher, Fault, Operation, SessionUse, Target, Tier, What},
};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::support::{SECOND, Setup, generate, pass};

/// Gives a session another chain, behind the manager's back.
async fn change_by_a_stranger(setup: &Setup, session: &Session) {
    let (transport, url) = (
        Transport::new(setup.sipher.clone()),
        "https://sipher-api.sip-protocol.org",
    );
    let stranger = SessionsApi::new(transport, url, setup.key.as_str()).unwrap();
    let base = SessionDefaults::new().chain(Chain::Base);
    stranger.update_session(session.id(), &base).await.unwrap();
}

/// Returns whether a session ended because the server stores wrong defaults.
fn is_wrong(event: &Event) -> bool {
    let wrong = RetireReason::WrongAnswer;
    matches!(event, Event::Retired { reason, .. } if *reason == wrong)
}

#[tokio::test(start_paused = true)]
async fn a_check_that_finds_other_defaults_ends_that_session_and_suspects_no_other() {
    let setup = Setup::new();
    let manager = setup.builder().verify_every(60 * SECOND).build().unwrap();
    let mut events = manager.events();
    let first = manager.session().await.unwrap();
    change_by_a_stranger(&setup, &first).await;
    pass(61.0).await;
    setup.call(&manager).await.unwrap(); // starts the check
    pass(1.0).await;
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    assert!(told.iter().any(is_wrong), "{told:?}");
    let is_suspected = |event: &Event| matches!(event, Event::Suspected { .. });
    assert!(!told.iter().any(is_suspected), "{told:?}");
}

/// A retired session that the server has lost says as much about the server as the current one.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_found_lost_after_it_was_retired_makes_the_others_suspect() {
    let setup = Setup::new();
    let manager = setup.builder().verify_every(60 * SECOND).build().unwrap();
    // The lease delays the delete, which would otherwise notice the loss first.
    let lease = manager.apply(&mut HeaderMap::new()).await.unwrap().unwrap();
    pass(50.0).await;
    let other = setup.sipher.api_key(Tier::Pro);
    let of_other = || {
        let mut request = generate();
        let value = other.parse().unwrap();
        request.headers_mut().insert("x-api-key", value);
        setup.service(&manager).oneshot(request)
    };
    of_other().await.unwrap();
    pass(11.0).await;
    setup.sipher.restart();
    setup
        .sipher
        .fault(Fault::new(What::Delay(2 * SECOND)).on(Target::Get));
    setup.call(&manager).await.unwrap(); // starts the check
    pass(1.0).await;
    assert!(manager.invalidate(1));
    pass(2.0).await;
    of_other().await.unwrap();
    let last = setup.uses().pop().unwrap();
    assert!(matches!(last.session, SessionUse::Live { .. }), "{last:?}");
    lease.complete();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_evicted_in_use_while_it_is_checked_ends_with_what_the_check_finds() {
    let setup = Setup::new();
    let builder = setup.builder().max_sessions(1);
    let manager = builder.verify_every(60 * SECOND).build().unwrap();
    let mut events = manager.events();
    let lease = manager.apply(&mut HeaderMap::new()).await.unwrap().unwrap();
    change_by_a_stranger(&setup, &lease.session()).await;
    pass(61.0).await;
    setup
        .sipher
        .fault(Fault::new(What::Delay(2 * SECOND)).on(Target::Get));
    setup.call(&manager).await.unwrap(); // starts the check
    pass(1.0).await;
    let other = setup.sipher.api_key(Tier::Pro);
    let mut request = generate();
    let value = other.parse().unwrap();
    request.headers_mut().insert("x-api-key", value);
    setup.service(&manager).oneshot(request).await.unwrap(); // takes the place of the checked session
    pass(2.0).await;
    assert!(std::iter::from_fn(|| events.try_recv()).any(|event| is_wrong(&event)));
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    lease.complete();
}

/// The session was created at the very moment of the server's start. Only a call for the session itself can tell
/// whether the server still has it.
fn since_the_start() -> (FakeSipher, String, SessionManager) {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let manager = sipher.manager().api_key(key.as_str()).build().unwrap();
    (sipher, key, manager)
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_while_it_is_asked_is_tried_again_however_many_requests_come() {
    let (sipher, key, manager) = since_the_start();
    let mut events = manager.events();
    manager.session().await.unwrap();
    sipher.revoke_key(&key);
    pass(61.0).await;
    let error = manager.session().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    sipher.accept_key(&key, Tier::Pro);
    for seconds in 0.. {
        assert!(seconds < 40, "it is never tried again");
        pass(1.0).await;
        if manager.session().await.is_ok() {
            break;
        }
    }
    let told = std::iter::from_fn(|| events.try_recv());
    let failed = told.filter(|event| matches!(event, Event::CheckFailed { .. }));
    assert_eq!(failed.count(), 1, "once for each cause");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_asked_for_is_asked_for_ever_more_seldom() {
    let (sipher, _, manager) = since_the_start();
    manager.session().await.unwrap();
    let fault = Fault::new(What::Status(503)).on(Target::Get);
    sipher.fault(fault.always());
    pass(61.0).await;
    // These requests take ten minutes in total.
    for _ in 0..200 {
        let _ = timeout(SECOND, manager.session()).await;
        pass(2.0).await;
    }
    let gets = sipher.count(Operation::Get);
    assert!((1..=120).contains(&gets), "{gets} in ten minutes");
}
