//! What comes of asking the server about a session.

use http::HeaderMap;
use sipher_session::{
    Chain, Event, RetireReason, Session, SessionDefaults,
    api::{SessionsApi, Transport},
    testing::{Fault, SessionUse, Target, Tier, What},
};
use tower::ServiceExt;

use crate::support::{SECOND, Setup, generate, pass};

/// Gives a session another chain than its manager knows of.
async fn change_by_a_stranger(setup: &Setup, session: &Session) {
    let (transport, url) = (
        Transport::new(setup.sipher.clone()),
        "https://sipher-api.sip-protocol.org",
    );
    let stranger = SessionsApi::new(transport, url, setup.key.as_str()).unwrap();
    let base = SessionDefaults::new().chain(Chain::Base);
    stranger.update_session(session.id(), &base).await.unwrap();
}

/// Whether a session ended because the server had not stored what it should have.
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

/// It tells as much of the server as one that is still handed out.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_found_lost_after_it_was_retired_makes_the_others_suspect() {
    let setup = Setup::new();
    let manager = setup.builder().verify_every(60 * SECOND).build().unwrap();
    // Held, so that its delete does not find out first.
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
    setup.service(&manager).oneshot(request).await.unwrap(); // takes its place
    pass(2.0).await;
    assert!(std::iter::from_fn(|| events.try_recv()).any(|event| is_wrong(&event)));
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    lease.complete();
}
