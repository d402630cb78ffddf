//! Sessions that the server may have lost.

use std::time::Duration;

use sipher_session::{
    BoxError, Chain, ErrorKind, Event, OnNoSession, SessionDefaults, SessionLayer,
    testing::{Fault, SessionUse, Target, Tier, What},
};
use tower::{Layer, Service, ServiceExt};

use crate::support::{Call, SECOND, Setup, generate, ours, pass};

fn lost(events: &mut sipher_session::Events) -> Option<(Duration, u64)> {
    std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
        Event::Lost {
            unknown_for,
            requests,
            ..
        } => Some((unknown_for, requests)),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn after_a_sign_of_trouble_a_live_session_is_used_again_once_the_server_says_so() {
    for sign in [
        What::Status(502),
        What::Status(503),
        What::Status(504),
        What::Html(502),
        What::Status(410),
        What::Refuse,
    ] {
        let setup = Setup::new();
        let manager = setup.manager();
        setup.call(&manager).await.unwrap();
        let name = format!("{sign:?}");
        setup.sipher.fault(Fault::new(sign).on(Target::Calls));
        drop(setup.call(&manager).await);
        assert_eq!(setup.questions(), 0);
        setup.call(&manager).await.unwrap();
        setup.call(&manager).await.unwrap();
        assert_eq!(
            (setup.questions(), setup.gets(), setup.creates()),
            (1, 0, 1),
            "{name}: asked once, for nothing"
        );
        let log = setup.sipher.log().into_iter();
        let log: Vec<_> = log.map(|exchange| exchange.path).collect();
        let generate = "/v1/stealth/generate";
        let tail = ["/v1/health", generate, generate];
        assert_eq!(
            log[log.len() - 3..],
            tail,
            "{name}: before the next request"
        );
        setup.sipher.assert_no_dead_id();
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_a_request_met_costs_no_request_after_it_its_defaults() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    for _ in 0..5 {
        setup.call(&manager).await.unwrap();
    }
    pass(7.0).await;
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    drop(setup.call(&manager).await);
    setup.sipher.restart();
    pass(3.0).await;
    for _ in 0..5 {
        setup.call(&manager).await.unwrap();
        assert_eq!(setup.last_chain().as_deref(), Some("near"));
    }
    setup.sipher.assert_no_dead_id();
    let calls = (setup.gets(), setup.creates(), setup.deletes());
    assert_eq!(calls, (0, 2, 0));
    let (unknown_for, requests) = lost(&mut events).unwrap();
    assert_eq!(
        (unknown_for.as_secs(), requests),
        (10, 6),
        "all since its process was last proved"
    );
}

#[tokio::test(start_paused = true)]
async fn requests_that_start_after_the_sign_wait_and_those_for_other_keys_as_well() {
    let setup = Setup::new();
    let manager = setup.builder().max_wait(4 * SECOND).build().unwrap();
    let other = setup.sipher.api_key(Tier::Pro);
    let call_other = async || {
        let mut request = generate();
        request
            .headers_mut()
            .insert("x-api-key", other.parse().unwrap());
        setup.service(&manager).oneshot(request).await
    };
    setup.call(&manager).await.unwrap();
    call_other().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Refuse).on(Target::Calls));
    drop(setup.call(&manager).await);
    let sent = setup.uses().len();
    setup.sipher.fault(
        Fault::new(What::Delay(6 * SECOND))
            .on(Target::Health)
            .times(8),
    );
    setup
        .sipher
        .fault(Fault::new(What::Delay(6 * SECOND)).on(Target::Get).times(2));
    let (own, others) = tokio::join!(setup.call(&manager), call_other());
    for answer in [own, others] {
        assert_eq!(ours(&answer.unwrap_err()).kind(), ErrorKind::Timeout);
    }
    assert_eq!(setup.uses().len(), sent, "nothing was sent meanwhile");
    pass(3.0).await;
    setup.call(&manager).await.unwrap();
    call_other().await.unwrap();
    assert_eq!(setup.gets(), 1, "one for the origin");
    setup.sipher.assert_no_dead_id();
}

#[tokio::test(start_paused = true)]
async fn a_session_call_that_fails_is_a_sign_too() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    pass(5.0).await;
    setup.sipher.restart();
    // The manager never gets an answer of the new process.
    let other = setup.sipher.api_key(Tier::Pro);
    let refused = Fault::new(What::Refuse).on(Target::Create);
    setup.sipher.fault(refused.always());
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", other.parse().unwrap());
    setup.service(&manager).oneshot(request).await.unwrap_err();
    setup.sipher.clear_faults();
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    setup.sipher.assert_no_dead_id();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_checked_is_not_used() {
    let setup = Setup::new();
    let manager = setup.builder().create_timeout(2 * SECOND).build().unwrap();
    setup.call(&manager).await.unwrap();
    let mut events = manager.events();
    setup.sipher.fault(Fault::new(What::Refuse).always());
    drop(setup.call(&manager).await);
    let sent = setup.uses().len();
    let error = setup.call(&manager).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Unavailable);
    assert_eq!(setup.uses().len(), sent);
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    assert!(
        matches!(
            told[0],
            Event::Suspected {
                live_sessions: 1,
                ..
            }
        ),
        "{told:?}"
    );
    assert!(matches!(told[1], Event::ServerDown { .. }), "{told:?}");
    assert!(matches!(told[2], Event::CheckFailed { .. }), "{told:?}");
    assert_eq!(told.len(), 3, "once for each cause");

    setup.sipher.clear_faults();
    pass(5.0).await;
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 1, "it was there all the time");
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_behind_our_back_is_replaced_and_deleted() {
    let setup = Setup::new();
    let manager = setup.manager();
    let first = manager.session().await.unwrap();
    // Another program uses the same key, with a client of its own.
    let api = sipher_session::SessionsApi::new(
        sipher_session::api::Transport::new(setup.sipher.clone()),
        sipher_session::testing::FakeSipher::base_url(),
        setup.key.as_str(),
    );
    let other = sipher_session::SessionDefaults::new().chain(sipher_session::Chain::Base);
    api.unwrap()
        .update_session(first.id(), &other)
        .await
        .unwrap();
    // Only a call for the session itself can reveal the change.
    setup.silence_health();
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    drop(setup.call(&manager).await);
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    pass(30.0).await;
    assert!(!setup.sipher.is_live(first.id().as_str()));
}

/// Sends a call each second for five minutes. After 100 s the server restarts between two calls. Returns how many calls
/// got other defaults.
async fn restart_unmet<S>(setup: &Setup, service: S) -> u64
where
    S: Service<Call, Error = BoxError> + Clone,
{
    let mut downgraded = 0;
    for second in 0..300 {
        if second == 100 {
            setup.sipher.restart();
        }
        let call = service.clone().oneshot(generate()).await;
        call.map(drop).unwrap();
        downgraded += u64::from(setup.last_chain().as_deref() != Some("near"));
        pass(1.0).await;
    }
    downgraded
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_no_call_met_is_found_by_the_first_answer_after_it() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    assert_eq!(restart_unmet(&setup, setup.service(&manager)).await, 1);
    let (unknown_for, requests) = lost(&mut events).unwrap();
    assert_eq!((unknown_for.as_secs(), requests), (2, 1));
    assert_eq!((setup.creates(), setup.gets()), (2, 0), "found for nothing");
    assert!(setup.questions() <= 8, "{}", setup.questions());
}

/// Neither the server's answers nor its health reveal the restart.
#[tokio::test(start_paused = true)]
async fn a_restart_of_which_nothing_tells_is_found_by_the_periodic_check() {
    let setup = Setup::new();
    setup.silence_health();
    let bare = tower::service_fn(|request: Call| {
        let answer = setup.sipher.clone().oneshot(request);
        async {
            let mut answer = answer.await?;
            answer.headers_mut().remove("ratelimit-policy");
            Ok::<_, BoxError>(answer)
        }
    });
    let manager = setup.builder().verify_every(60 * SECOND).build().unwrap();
    let mut events = manager.events();
    let layer = SessionLayer::new(manager.clone());
    let downgraded = restart_unmet(&setup, layer.layer(bare)).await;
    assert!((10..=60).contains(&downgraded), "{downgraded}");
    let (unknown_for, requests) = lost(&mut events).unwrap();
    assert!(requests >= downgraded, "the event counts them: {requests}");
    assert!(
        (60..=61).contains(&unknown_for.as_secs()),
        "{unknown_for:?}"
    );
    assert_eq!(setup.creates(), 2);
    assert!(setup.gets() <= 6, "{}", setup.gets());
}

#[tokio::test(start_paused = true)]
async fn periodic_checks_and_renewals_do_not_keep_each_other_or_any_request() {
    let setup = Setup::new();
    setup.sipher.set_latency(Duration::from_millis(300));
    let manager = setup
        .builder()
        .ttl(60 * SECOND)
        .verify_every(10 * SECOND)
        .build()
        .unwrap();
    manager.session().await.unwrap();
    for _ in 0..1_000 {
        let start = tokio::time::Instant::now();
        setup.call(&manager).await.unwrap();
        assert_eq!(start.elapsed().as_millis(), 300, "nobody waits");
        pass(0.7).await;
    }
    assert!((75..=100).contains(&setup.gets()), "{}", setup.gets());
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_session_of_ours_may_meet_the_restart_as_well() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Refuse).on(Target::Calls));
    let mut request = generate();
    request.extensions_mut().insert(sipher_session::NoSession);
    setup.service(&manager).oneshot(request).await.unwrap_err();
    setup.sipher.restart();
    setup.call(&manager).await.unwrap();
    setup.sipher.assert_no_dead_id();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_in_trouble_all_the_time_is_asked_within_the_budget() {
    let setup = Setup::new();
    let manager = setup.builder().call_budget(30, 10).build().unwrap();
    setup.call(&manager).await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Others).always());
    let start = tokio::time::Instant::now();
    for _ in 0..600 {
        drop(setup.call(&manager).await);
        pass(0.5).await;
    }
    let bound = 10 + start.elapsed().as_secs() / 2;
    assert!(setup.sipher.session_calls() as u64 <= bound, "{bound}");
    setup.sipher.assert_no_dead_id();
}

#[tokio::test(start_paused = true)]
async fn under_suspicion_the_policy_for_requests_without_a_session_applies() {
    let setup = Setup::new();
    let policy = OnNoSession::SendWithout;
    let manager = setup
        .builder()
        .on_no_session(policy)
        .create_timeout(SECOND)
        .build()
        .unwrap();
    setup.call(&manager).await.unwrap();
    for target in [Target::SessionCalls, Target::Health] {
        setup
            .sipher
            .fault(Fault::new(What::Refuse).on(target).always());
    }
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    drop(setup.call(&manager).await);
    setup.call(&manager).await.unwrap();
    assert!(matches!(
        setup.uses().last().unwrap().session,
        SessionUse::None
    ));
    assert_eq!(manager.stats().sent_without, 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_does_not_hold_up_the_others_of_its_key() {
    let setup = Setup::new();
    let manager = setup.manager();
    let layers = [Chain::Sui, Chain::Base, Chain::Sei].map(|chain| {
        let defaults = SessionDefaults::new().chain(chain);
        SessionLayer::new(manager.clone()).defaults(defaults)
    });
    let call = async |layer: &SessionLayer| {
        let service = tower::Layer::layer(layer, setup.sipher.clone());
        service.oneshot(generate()).await.unwrap();
    };
    for layer in &layers {
        call(layer).await;
    }
    // The key was held back for a while, and the manager remembers that.
    setup
        .sipher
        .fault(Fault::new(What::Status(401)).on(Target::Create));
    assert!(setup.call(&manager).await.is_err());
    pass(40.0).await;
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    call(&layers[0]).await;
    let start = tokio::time::Instant::now();
    for layer in &layers {
        call(layer).await;
    }
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
}
