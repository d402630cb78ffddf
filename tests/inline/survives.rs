//! The troubles through which requests get the right answer, with a session alone and with defaults in the body.

use std::time::Duration;

use http::Method;
use sipher_session::{
    Error, ErrorKind, InlineDefaults, Inlined, Proof,
    testing::{Fault, Target, Tier, What},
};

use super::{
    MODES, bears_session, chain, inlined, manager, post, proof, send,
    support::{Call, Setup},
};

#[tokio::test(start_paused = true)]
async fn fifty_restarts_that_no_call_met_cost_no_answer_its_defaults() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    for _ in 0..50 {
        for _ in 0..3 {
            let answer = send(&setup, &manager, post("{}")).await.unwrap();
            assert_eq!(chain(answer).await, "near");
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        setup.sipher.restart();
    }
}

#[tokio::test(start_paused = true)]
async fn without_inline_defaults_the_same_restarts_cost_some() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Off);
    let mut wrong = 0;
    for _ in 0..50 {
        for _ in 0..3 {
            let answer = send(&setup, &manager, post("{}")).await.unwrap();
            wrong += usize::from(chain(answer).await != "near");
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        setup.sipher.restart();
    }
    assert!(wrong > 0, "or the test above shows nothing");
}

#[tokio::test(start_paused = true)]
async fn two_replicas_that_do_not_know_each_others_sessions_answer_the_same() {
    let setup = Setup::new();
    setup.sipher.set_common_store(false);
    setup.sipher.replicas(2);
    setup.sipher.round_robin();
    let manager = manager(&setup, InlineDefaults::Always);
    for _ in 0..100 {
        let answer = send(&setup, &manager, post(r#"{"count":2}"#))
            .await
            .unwrap();
        assert_eq!(chain(answer).await, "near");
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_without_quota_stops_no_request() {
    for mode in MODES {
        let setup = Setup::new();
        setup.sipher.burn(&setup.key, 2_000);
        let manager = manager(&setup, mode);
        for _ in 0..20 {
            let answer = send(&setup, &manager, post("{}")).await.unwrap();
            assert_eq!(inlined(&answer), Inlined::Merged);
            assert!(matches!(proof(&answer), Proof::Inline { .. }));
            assert_eq!(chain(answer).await, "near");
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_free_tier_has_its_defaults_without_any_session_call() {
    let setup = Setup::new();
    let key = setup.sipher.api_key(Tier::Free);
    let builder = setup.builder().api_key(key).without_sessions();
    let manager = builder
        .inline_defaults(InlineDefaults::WithoutSession)
        .build()
        .unwrap();
    for _ in 0..10 {
        let answer = send(&setup, &manager, post("{}")).await.unwrap();
        assert_eq!(chain(answer).await, "near");
    }
    assert_eq!(setup.sipher.session_calls(), 0);
    assert_eq!(manager.stats().inlined, 10);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_session_that_its_answer_does_not_depend_on() {
    for mode in MODES {
        let setup = Setup::new();
        setup
            .sipher
            .fault(Fault::new(What::Hang).on(Target::Create).always());
        let manager = manager(&setup, mode);
        let before = tokio::time::Instant::now();
        let answer = send(&setup, &manager, post("{}")).await.unwrap();
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(chain(answer).await, "near");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let calls = manager.stats().session_calls;
        assert_eq!(calls, 1, "one is under way for those that come later");
    }
}

#[tokio::test(start_paused = true)]
async fn the_session_comes_in_the_background_and_is_borne_from_then_on() {
    for (mode, became) in [
        (InlineDefaults::WithoutSession, Inlined::Off),
        (InlineDefaults::Always, Inlined::Merged),
    ] {
        let setup = Setup::new();
        let manager = manager(&setup, mode);
        let first = send(&setup, &manager, post("{}")).await.unwrap();
        assert!(!bears_session(&first));
        manager.session().await.unwrap();
        let second = send(&setup, &manager, post("{}")).await.unwrap();
        assert!(bears_session(&second));
        assert_eq!(inlined(&second), became);
        assert_eq!(setup.creates(), 1);
        assert_eq!(chain(second).await, "near");
    }
}

/// The body of such a request cannot take the defaults, but the server would merge them.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_merged_is_not_sent_without_a_session() {
    for mode in MODES {
        let setup = Setup::new();
        setup.sipher.burn(&setup.key, 2_000);
        let manager = manager(&setup, mode);
        let mut call = post("{}");
        let utf16 = "application/json; charset=utf-16".parse().unwrap();
        call.headers_mut().insert("content-type", utf16);
        let error = send(&setup, &manager, call).await.unwrap_err();
        assert_eq!(Error::find(&*error).unwrap().kind(), ErrorKind::Quota);
        assert!(setup.uses().is_empty());
    }
}

fn with_method(method: Method, mut call: Call) -> Call {
    *call.method_mut() = method;
    call
}

fn without_type(mut call: Call) -> Call {
    call.headers_mut().remove("content-type");
    call
}

/// The server would merge nothing into these bodies either.
#[tokio::test(start_paused = true)]
async fn a_request_that_no_session_could_change_needs_none() {
    for mode in MODES {
        let setup = Setup::new();
        setup.sipher.burn(&setup.key, 2_000);
        let manager = manager(&setup, mode);
        let mut text = post("{}");
        let plain = "text/plain".parse().unwrap();
        text.headers_mut().insert("content-type", plain);
        for call in [
            text,
            post("[1]"),
            post("no json"),
            with_method(Method::GET, without_type(post(""))),
            with_method(Method::GET, post("")),
            with_method(Method::DELETE, without_type(post(""))),
        ] {
            let answer = send(&setup, &manager, call).await.unwrap();
            assert!(matches!(proof(&answer), Proof::Inline { doubt: None, .. }));
        }
        assert_eq!(setup.uses().len(), 6);
    }
}

/// Clients add a content type from their defaults, and a length to a `POST` without a body over HTTP/2. Then the server merges.
#[tokio::test(start_paused = true)]
async fn a_request_that_a_client_below_may_complete_is_not_sent_without_a_session() {
    for mode in MODES {
        let setup = Setup::new();
        setup.sipher.burn(&setup.key, 2_000);
        let manager = manager(&setup, mode);
        for call in [without_type(post("{}")), without_type(post("")), post("")] {
            let error = send(&setup, &manager, call).await.unwrap_err();
            assert_eq!(Error::find(&*error).unwrap().kind(), ErrorKind::Quota);
        }
        assert!(setup.uses().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_asked_about_a_sign_requests_go_on_without_the_id() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    let hang = Fault::new(What::Hang).on(Target::Health);
    setup.sipher.fault(hang.always());
    setup
        .sipher
        .fault(Fault::new(What::Status(502)).on(Target::Others));
    let _ = send(&setup, &manager, post("{}")).await;
    let before = tokio::time::Instant::now();
    let answer = send(&setup, &manager, post("{}")).await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(!bears_session(&answer));
    assert_eq!(chain(answer).await, "near");
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_shuts_down_sends_nothing_inline_either() {
    for without in [false, true] {
        let setup = Setup::new();
        let mut builder = setup.builder().inline_defaults(InlineDefaults::Always);
        if without {
            builder = builder.without_sessions();
        }
        let manager = builder.build().unwrap();
        manager.shutdown(Duration::from_secs(5)).await;
        let error = send(&setup, &manager, post("{}")).await.unwrap_err();
        assert_eq!(Error::find(&*error).unwrap().kind(), ErrorKind::Shutdown);
        assert!(setup.uses().is_empty());
    }
}
