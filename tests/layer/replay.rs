//! Requests that are sent a second time, if the user asked for that.

use sipher_session::{
    ErrorKind, NoSession, SessionLayer,
    testing::{Exchange, Fault, SessionUse, Target, What},
};
use tower::{Layer, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};

use crate::support::{Setup, generate, ours};

fn is_live(exchange: &Exchange) -> bool {
    matches!(exchange.session, SessionUse::Live { .. })
}

#[tokio::test(start_paused = true)]
async fn a_request_that_met_a_restart_is_sent_once_more_with_a_session_that_is_alive() {
    for sign in [
        What::Status(502),
        What::Status(503),
        What::Status(504),
        What::Status(410),
        What::Refuse,
        What::LoseAnswer,
    ] {
        let setup = Setup::new();
        let manager = setup.manager();
        manager.session().await.unwrap();
        let name = format!("{sign:?}");
        setup.sipher.restart();
        setup.sipher.fault(Fault::new(sign).on(Target::Calls));
        let service = SessionLayer::new(manager.clone())
            .replay_once()
            .layer(setup.sipher.clone());
        let answer = service.oneshot(generate()).await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        let uses = setup.uses();
        assert_eq!(uses.len(), 2, "{name}");
        assert!(is_live(&uses[1]), "{name}: {}", uses[1]);
        assert_eq!(manager.stats().replayed, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_twice_unless_that_was_asked_for() {
    let setup = Setup::new();
    let manager = setup.manager();
    for sign in [
        What::Status(503),
        What::Status(410),
        What::LoseAnswer,
        What::Refuse,
    ] {
        let before = setup.uses().len();
        setup.sipher.fault(Fault::new(sign).on(Target::Calls));
        drop(setup.call(&manager).await);
        assert_eq!(setup.uses().len(), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_sent_once_more_and_not_a_third_time() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = SessionLayer::new(manager)
        .replay_once()
        .layer(setup.sipher.clone());
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls).always());
    let answer = service.oneshot(generate()).await.unwrap();
    assert_eq!((answer.status().as_u16(), setup.uses().len()), (503, 2));
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_no_sign_and_requests_without_a_session_of_ours_are_not_replayed() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = SessionLayer::new(manager.clone())
        .replay_once()
        .layer(setup.sipher.clone());
    for no_sign in [What::Status(400), What::Status(429), What::Status(500)] {
        let before = setup.uses().len();
        setup.sipher.fault(Fault::new(no_sign).on(Target::Calls));
        service.clone().oneshot(generate()).await.unwrap();
        assert_eq!(setup.uses().len(), before + 1);
    }
    let mut without = generate();
    without.extensions_mut().insert(NoSession);
    let mut own = generate();
    let id = manager
        .session()
        .await
        .unwrap()
        .id()
        .as_str()
        .parse()
        .unwrap();
    own.headers_mut().insert("x-session-id", id);
    let mut elsewhere = generate();
    *elsewhere.uri_mut() = "https://elsewhere.example/v1/scan".parse().unwrap();
    for request in [without, own, elsewhere] {
        let before = setup.uses().len();
        setup
            .sipher
            .fault(Fault::new(What::Status(503)).on(Target::Calls));
        service.clone().oneshot(request).await.unwrap();
        assert_eq!(setup.uses().len(), before + 1);
    }
    // A request that fails because it gets no session does not count as sent.
    manager.invalidate(manager.session().await.unwrap().generation());
    let refused = Fault::new(What::Refuse).on(Target::SessionCalls);
    setup.sipher.fault(refused.always());
    let before = setup.uses().len();
    let error = service.oneshot(generate()).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Unavailable);
    assert_eq!((setup.uses().len(), manager.stats().replayed), (before, 0));
}

#[tokio::test(start_paused = true)]
async fn the_second_sending_waits_for_a_place_that_the_first_has_given_back() {
    let setup = Setup::new();
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(setup.manager()).replay_once())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(setup.sipher.clone());
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    let answer = service.oneshot(generate()).await.unwrap();
    assert_eq!((answer.status().as_u16(), setup.uses().len()), (200, 2));
}
