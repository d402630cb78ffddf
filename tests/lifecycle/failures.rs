//! Tests the table of failures: which requests each failure holds back, for how long, and that none is final.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use sipher_session::{
    Chain, ErrorKind, Event, SessionDefaults, SessionManager,
    api::Transport,
    testing::{Fault, Target, Tier, What},
};
use tower::ServiceExt;

use crate::support::{Call, SECOND, Setup, ours, pass};

/// Sends a request. Returns its outcome, and how many creates the server received for it.
async fn ask(setup: &Setup, manager: &SessionManager) -> (Result<(), ErrorKind>, usize) {
    let before = setup.creates();
    let answer = setup.call(manager).await;
    let answer = answer.map(drop).map_err(|error| ours(&error).kind());
    (answer, setup.creates() - before)
}

/// A manager that does not retry on its own.
fn hasty(setup: &Setup) -> SessionManager {
    setup
        .builder()
        .max_wait(SECOND)
        .create_timeout(SECOND)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_failure_holds_back_for_its_time_and_is_tried_again_then() {
    use ErrorKind::{Credentials, RateLimited, Rejected, WrongAddress};
    let answer = |status, body: &str| What::Answer {
        status,
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.into(),
    };
    let refused = r#"{"success":false,"error":{"code":"VALIDATION_ERROR","message":"m"}}"#;
    for (what, kind, pause) in [
        (answer(400, refused), Rejected, 60.0),
        (
            answer(410, r#"{"error":{"code":"SESSION_EXPIRED","message":"m"}}"#),
            Rejected,
            60.0,
        ),
        (
            answer(202, r#"{"error":{"code":"NEW","message":"m"}}"#),
            Rejected,
            60.0,
        ),
        (What::Html(404), WrongAddress, 60.0),
        (What::Html(200), WrongAddress, 60.0),
        (
            What::RedirectTo("https://elsewhere.example/x".into()),
            WrongAddress,
            60.0,
        ),
        (What::Status(401), Credentials, 30.0),
        (What::Status(403), Credentials, 30.0),
        (
            What::RateLimited {
                retry_after: Some(17),
                in_body: false,
            },
            RateLimited,
            17.0,
        ),
        (
            What::RateLimited {
                retry_after: Some(17),
                in_body: true,
            },
            RateLimited,
            17.0,
        ),
        (
            What::RateLimited {
                retry_after: None,
                in_body: false,
            },
            RateLimited,
            60.0,
        ),
    ] {
        let setup = Setup::new();
        let manager = hasty(&setup);
        let name = format!("{what:?}");
        setup.sipher.fault(Fault::new(what).on(Target::Create));
        assert_eq!(ask(&setup, &manager).await, (Err(kind), 1), "{name}");
        assert_eq!(
            ask(&setup, &manager).await,
            (Err(kind), 0),
            "{name}: held back"
        );
        pass(pause - 1.5).await;
        assert_eq!(ask(&setup, &manager).await, (Err(kind), 0), "{name}: still");
        pass(1.5).await;
        assert_eq!(
            ask(&setup, &manager).await,
            (Ok(()), 1),
            "{name}: due again"
        );
        setup.sipher.assert_every_call_had_a_session();
    }
}

#[tokio::test(start_paused = true)]
async fn everyone_who_waited_gets_the_failure_of_the_one_create() {
    let setup = Setup::new();
    setup.sipher.set_latency(SECOND);
    let manager = setup
        .builder()
        .api_key(setup.sipher.api_key(Tier::Free))
        .build()
        .unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let manager = manager.clone();
        callers.spawn(async move { manager.session().await.map(drop) });
    }
    for answer in callers.join_all().await {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert_eq!(error.code(), Some("TIER_ACCESS_DENIED"));
        assert_eq!(error.retry_after(), Some(30 * SECOND));
        assert!(!error.is_transient());
    }
    assert_eq!(setup.sipher.session_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_tried_less_and_less_often_and_come_back_at_once_when_they_work() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.sipher.revoke_key(&setup.key);
    let mut tried = Vec::new();
    let mut seen = 0;
    for second in 0..4_000 {
        let _ = setup.call(&manager).await;
        if setup.creates() > seen {
            seen = setup.creates();
            tried.push(second);
        }
        pass(1.0).await;
    }
    let pauses: Vec<u64> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..7], [30, 60, 120, 240, 480, 600, 600], "{pauses:?}");
    setup.sipher.accept_key(&setup.key, Tier::Pro);
    pass(600.0).await;
    setup.call(&manager).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_keys_failure_is_not_another_keys() {
    let setup = Setup::new();
    let manager = setup.builder().api_key("wrong").build().unwrap();
    assert_eq!(
        ask(&setup, &manager).await,
        (Err(ErrorKind::Credentials), 1)
    );
    let mut request = crate::support::generate();
    request
        .headers_mut()
        .insert("x-api-key", setup.key.parse().unwrap());
    tower::ServiceExt::oneshot(setup.service(&manager), request)
        .await
        .unwrap();
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_is_probed_each_quarter_of_an_hour_until_it_resets() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.sipher.burn(&setup.key, 2_000);
    let mut probes = 0;
    // The fake's clock shows 18:00. The quota resets at midnight.
    for minute in 0..6 * 60 {
        let (answer, creates) = ask(&setup, &manager).await;
        assert_eq!(answer, Err(ErrorKind::Quota), "in minute {minute}");
        probes += creates;
        pass(60.0).await;
    }
    assert_eq!(probes, 24);
    pass(1.0).await;
    assert_eq!(ask(&setup, &manager).await.0, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_tried_again_while_callers_wait() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Create).times(3));
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 4);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_short_rate_limit_is_waited_for_and_by_everybody() {
    let setup = Setup::new();
    let limited = What::RateLimited {
        retry_after: Some(5),
        in_body: false,
    };
    setup.sipher.fault(Fault::new(limited).on(Target::Create));
    let manager = setup.manager();
    let other = setup.sipher.api_key(Tier::Pro);

    let mut request = crate::support::generate();
    request
        .headers_mut()
        .insert("x-api-key", other.parse().unwrap());
    let (own, other) = tokio::join!(setup.call(&manager), async {
        pass(1.0).await;
        tower::ServiceExt::oneshot(setup.service(&manager), request).await
    });
    own.unwrap();
    other.unwrap();
    let creates: Vec<_> = setup
        .sipher
        .log()
        .into_iter()
        .map(|exchange| exchange.at)
        .collect();
    assert_eq!(setup.creates(), 3);
    assert!(
        creates[1] - creates[0] >= 5 * SECOND,
        "nobody called meanwhile: {creates:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_is_asked_within_the_pace_of_the_cool_down() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::Refuse).on(Target::Create).always());
    let manager = setup.manager();
    let mut events = manager.events();
    let start = tokio::time::Instant::now();
    while start.elapsed() < Duration::from_secs(3_600) {
        let error = setup.call(&manager).await.unwrap_err();
        assert_eq!(ours(&error).kind(), ErrorKind::Unavailable);
        pass(0.5).await;
    }
    let per_minute = setup.creates() / 60;
    assert!((3..=15).contains(&per_minute), "{per_minute} a minute");
    setup.sipher.clear_faults();
    pass(31.0).await;
    setup.call(&manager).await.unwrap();
    // A refused connection leaves no possible orphan.
    let orphan = |event: &_| matches!(event, sipher_session::Event::PossibleOrphan { .. });
    assert!(!std::iter::from_fn(|| events.try_recv()).any(|event| orphan(&event)));
}

/// Too short to be recognised as a viewing key by its form.
const VIEWING_KEY: &str = "0xfeed1234";

/// A manager with a viewing key, and a server that repeats this key in each answer about a session.
fn repeats_the_viewing_key(setup: &Setup, target: Target) -> SessionManager {
    let error = format!(r#"{{"error":{{"code":"NEW","message":"for {VIEWING_KEY}"}}}}"#);
    let answer = What::Answer {
        status: 500,
        headers: vec![],
        body: error,
    };
    setup.sipher.fault(Fault::new(answer).on(target).always());
    let defaults = SessionDefaults::new().chain(Chain::Near);
    let defaults = defaults.default_viewing_key(VIEWING_KEY);
    setup.builder().defaults(defaults).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_failed_delete_does_not_show_a_viewing_key_that_the_server_repeats() {
    let setup = Setup::new();
    let manager = repeats_the_viewing_key(&setup, Target::Delete);
    let mut events = manager.events();
    manager.session().await.unwrap();
    manager.invalidate(1);
    pass(60.0).await;
    let left = std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
        Event::LeftToExpire { error, .. } => error,
        _ => None,
    });
    let shown = format!("{:?}", left.unwrap());
    assert!(shown.contains("for [redacted]"), "{shown}");
    assert!(!shown.contains(VIEWING_KEY), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_call_by_hand_does_not_show_the_managers_viewing_key_that_the_server_repeats() {
    let setup = Setup::new();
    let manager = repeats_the_viewing_key(&setup, Target::Get);
    let session = manager.session().await.unwrap();
    let error = manager.api().get_session(session.id()).await.unwrap_err();
    let shown = format!("{error:?}");
    assert!(shown.contains("for [redacted]"), "{shown}");
    assert!(!shown.contains(VIEWING_KEY), "{shown}");
}

/// A transport that panics a given number of times, either in its call or in its future.
fn panicking(setup: &Setup, times: usize, method: http::Method, at_once: bool) -> Transport {
    let (sipher, left) = (setup.sipher.clone(), Arc::new(AtomicUsize::new(times)));
    Transport::new(tower::service_fn(move |call: Call| {
        let less = |left: usize| left.checked_sub(1);
        let panics = *call.method() == method && left.fetch_update(SeqCst, SeqCst, less).is_ok();
        assert!(!(panics && at_once), "a secret");
        let sipher = sipher.clone();
        async move {
            tokio::time::sleep(SECOND).await;
            assert!(!panics, "a secret");
            sipher.oneshot(call).await
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_transport_panics_is_a_failure_like_others() {
    for at_once in [true, false] {
        let setup = Setup::new();
        let transport = panicking(&setup, usize::MAX, http::Method::POST, at_once);
        let manager = setup.builder().transport(transport).build().unwrap();
        let start = tokio::time::Instant::now();
        let error = setup.call(&manager).await.unwrap_err();
        let error = ours(&error);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.is_transient() && error.retry_after().is_some());
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        assert!(start.elapsed() <= 20 * SECOND, "{:?}", start.elapsed());
        // The calls come one after another, with pauses in between.
        assert!(manager.stats().session_calls <= 20, "{:?}", manager.stats());
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_delete_panicked_is_deleted_later() {
    for at_once in [true, false] {
        let setup = Setup::new();
        let transport = panicking(&setup, 1, http::Method::DELETE, at_once);
        let manager = setup.builder().transport(transport).build().unwrap();
        let session = manager.session().await.unwrap();
        manager.invalidate(session.generation());
        pass(30.0).await;
        assert_eq!(setup.sipher.live_sessions(), 0, "{at_once}");
    }
}
