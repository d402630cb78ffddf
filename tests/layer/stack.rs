//! With tower's own layers below: a request that waits holds its place there, and gives it back.

use std::{future::poll_fn, task::Poll, time::Duration};

use sipher_session::{
    Chain, ForeignIds, SessionDefaults, SessionLayer, SessionService,
    testing::{FakeSipher, Fault, Target, What},
};
use tokio::time::timeout;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, buffer::Buffer, limit::ConcurrencyLimit};

use crate::{
    begin,
    support::{Call, SECOND, Setup, generate},
};

type Limited = SessionService<ConcurrencyLimit<FakeSipher>>;

fn one_at_a_time(setup: &Setup) -> Limited {
    ServiceBuilder::new()
        .layer(SessionLayer::new(setup.manager()))
        .concurrency_limit(1)
        .service(setup.sipher.clone())
}

/// Returns whether there is a free place. If so, the place is given back.
async fn has_a_place(service: &Limited) -> bool {
    let mut service = service.clone();
    let ready = poll_fn(|cx| Poll::Ready(Service::<Call>::poll_ready(&mut service, cx)));
    ready.await.map(Result::unwrap).is_ready()
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_its_session_keeps_its_place_until_it_is_dropped() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Create));
    let mut service = one_at_a_time(&setup);
    let mut waiting = Box::pin(begin(&mut service, generate()).await);
    assert!(timeout(SECOND, &mut waiting).await.is_err());
    assert!(!has_a_place(&service).await);
    drop(waiting);
    assert!(has_a_place(&service).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_gets_no_session_gives_its_place_back() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::Status(400)).on(Target::Create));
    let mut service = one_at_a_time(&setup);
    let refused = begin(&mut service, generate()).await.await;
    assert!(refused.is_err());
    assert!(has_a_place(&service).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_refused_at_once_gives_its_place_back() {
    let setup = Setup::new();
    let mut service = one_at_a_time(&setup);
    let mut malformed = generate();
    malformed
        .headers_mut()
        .insert("x-session-id", "nope".parse().unwrap());
    let refused = begin(&mut service, malformed).await.await;
    assert!(refused.is_err());
    assert!(has_a_place(&service).await);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_once_the_response_is_there() {
    let setup = Setup::new();
    let mut service = one_at_a_time(&setup);
    for _ in ["miss", "hit"] {
        let response = begin(&mut service, generate()).await;
        assert!(!has_a_place(&service).await);
        response.await.unwrap();
        assert!(has_a_place(&service).await);
    }
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_buffer_below_is_neither_starved_nor_overrun() {
    let setup = Setup::new();
    let layer = SessionLayer::new(setup.manager());
    let service = layer.layer(Buffer::new(setup.sipher.clone(), 1));
    setup
        .sipher
        .fault(Fault::new(What::Delay(SECOND)).on(Target::Create));
    // The caller gives up while its request holds the only place.
    let given_up = service.clone().oneshot(generate());
    assert!(timeout(SECOND / 2, given_up).await.is_err());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        calls.spawn(service.clone().oneshot(generate()));
    }
    for response in calls.join_all().await {
        assert_eq!(response.unwrap().status(), 200);
    }
    assert_eq!((setup.creates(), setup.uses().len()), (1, 20));
    setup.sipher.assert_every_call_had_a_session();
}

/// If the inner layer has other defaults, the id of the outer layer is foreign to it.
#[tokio::test(start_paused = true)]
async fn of_two_layers_that_agree_one_id_arrives_and_of_others_the_outer_one_decides_where_ids_are_kept()
 {
    let setup = Setup::new();
    let [sui, near] = [Chain::Sui, Chain::Near].map(|chain| SessionDefaults::new().chain(chain));
    for (policy, outer, arrives) in [
        (ForeignIds::Refuse, &near, Some("near")),
        (ForeignIds::Refuse, &sui, None),
        (ForeignIds::Replace, &sui, Some("near")),
        (ForeignIds::Keep, &sui, Some("sui")),
    ] {
        let manager = setup.builder().foreign_ids(policy).build().unwrap();
        let service = ServiceBuilder::new()
            .layer(SessionLayer::new(manager.clone()).defaults(outer.clone()))
            .layer(SessionLayer::new(manager))
            .service(setup.sipher.clone());
        for _ in ["miss", "hit"] {
            let before = setup.uses().len();
            let answer = service.clone().oneshot(generate()).await;
            let chain = setup.last_chain().filter(|_| setup.uses().len() > before);
            assert_eq!(chain.as_deref(), arrives);
            assert_eq!(answer.is_ok(), arrives.is_some());
        }
    }
    setup.sipher.assert_every_call_had_a_session();
}

/// The future of the response holds the session and the place. A timeout above drops the future, and so both.
#[tokio::test(start_paused = true)]
async fn a_timeout_above_ends_the_wait_and_not_the_create() {
    let setup = Setup::new();
    let patience = Duration::from_millis(100);
    let service = ServiceBuilder::new()
        .timeout(patience)
        .layer(SessionLayer::new(setup.manager()))
        .service(setup.sipher.clone());
    setup
        .sipher
        .fault(Fault::new(What::Delay(SECOND)).on(Target::Create));
    let error = service.clone().oneshot(generate()).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    tokio::time::sleep(SECOND).await;
    service.oneshot(generate()).await.unwrap();
    assert_eq!(setup.creates(), 1);
}
