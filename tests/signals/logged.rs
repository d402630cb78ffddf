//! What the crate logs through `tracing`.

use std::time::Duration;

use http::Response;
use sipher_session::{
    BoxError, OnNoSession, SessionLayer,
    testing::{Fault, Target, Tier, What},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::follow_redirect::RequestUri;
use tracing::Level;

use crate::{
    OF_ERRORS, VIEWING_KEY, assert_hides, assert_metrics,
    capture::Capture,
    hasty, ids, overheard, recorder,
    support::{Call, SECOND, Setup, generate, pass},
};

#[tokio::test(start_paused = true)]
async fn a_life_without_trouble_is_told_at_debug_and_its_end_at_info() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.manager();
    for _ in 0..5 {
        setup.call(&manager).await.unwrap();
    }
    manager.invalidate(1);
    pass(1.0).await;
    setup.call(&manager).await.unwrap();
    manager.shutdown(5 * SECOND).await;
    let all = capture.logged();
    let told: Vec<_> = all.iter().map(|l| (l.level, l.message.as_str())).collect();
    let (debug, info) = (Level::DEBUG, Level::INFO);
    assert_eq!(
        told,
        [
            (debug, "session created"),
            (debug, "session retired"),
            (debug, "session deleted"),
            (debug, "session created"),
            (debug, "session retired"),
            (debug, "session deleted"),
            (info, "shut down"),
        ]
    );
    assert!(all.iter().all(|l| l.target == "sipher_session"));
    let first = &all[0];
    first.has_exactly(&["api_key", "defaults", "generation", "session", "usable_for"]);
    assert_eq!(first.get("generation"), "1");
    assert_eq!(first.get("session").len(), 8);
    let usable_for: f64 = first.get("usable_for").parse().unwrap();
    assert!((3000.0..3600.0).contains(&usable_for), "{usable_for}");
    all[1].has_exactly(&["api_key", "generation", "reason", "session"]);
    assert_eq!(all[1].get("reason"), "invalidated");
    assert_eq!(all[1].get("session"), first.get("session"));
    all[2].has_exactly(&["already_gone", "api_key", "generation", "session"]);
    assert_eq!(all[2].get("already_gone"), "false");
    assert_eq!(all[4].get("reason"), "shutdown");
    assert_eq!(all[6].get("deleted"), "1");
    assert_eq!(all[6].get("possible_orphans"), "0");
    assert_eq!(all[0].spans, ["sipher_session::create"]);
    assert_eq!(all[2].spans, ["sipher_session::delete"]);
    assert_eq!(
        all[5].spans,
        ["sipher_session::shutdown", "sipher_session::delete"]
    );
    let creates = capture.spans("sipher_session::create");
    assert_eq!(creates.len(), 2);
    creates[1].has_exactly(&["api_key", "generation", "tries"]);
    assert_eq!(creates[1].get("generation"), "2");
    assert_eq!(creates[1].get("tries"), "1");
    assert_eq!(creates[0].get("api_key"), creates[1].get("api_key"));
    capture.spans("sipher_session::delete")[0].has_exactly(&["api_key", "generation", "session"]);
    assert_eq!(
        capture.spans("sipher_session::shutdown")[0].get("deadline"),
        "5.0"
    );
}

#[tokio::test(start_paused = true)]
async fn five_hundred_waiters_are_one_warning() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.manager();
    setup
        .sipher
        .fault(Fault::new(What::Status(401)).on(Target::Create));
    let waiters: Vec<_> = (0..500)
        .map(|_| {
            let manager = manager.clone();
            tokio::spawn(async move { manager.session().await.map(drop) })
        })
        .collect();
    for waiter in waiters {
        assert!(waiter.await.unwrap().is_err());
    }
    // Callers that ask during the cooldown get the error, and nothing is logged.
    assert!(manager.session().await.is_err());
    let all = capture.logged();
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(
        (all[0].level, all[0].message.as_str()),
        (Level::WARN, "create failed")
    );
    assert_eq!(all[0].get("kind"), "Credentials");
    let tenant = sipher_session::ApiKey::from(setup.key.as_str()).fingerprint();
    assert_eq!(all[0].get("api_key"), tenant.to_string());
    assert_eq!(all[0].get("defaults"), "chain near");
    assert_eq!(all[0].get("status"), "401");
    assert_eq!(all[0].get("retry_after"), "30.0");
    assert!(!all[0].get("code").is_empty());
    assert!(!all[0].get("request_id").is_empty());
    assert_eq!(all[0].spans, ["sipher_session::create"]);
    assert_eq!(capture.spans("sipher_session::create").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_class_of_failure_is_one_warning_with_what_is_known_of_it() {
    let rate_limited = What::RateLimited {
        retry_after: Some(90),
        in_body: true,
    };
    for (what, kind, status, orphans) in [
        (What::Status(400), "Rejected", "400", false),
        (What::Status(401), "Credentials", "401", false),
        (What::Status(403), "Credentials", "403", false),
        (What::Html(404), "WrongAddress", "404", false),
        (What::Malformed, "WrongAnswer", "201", true),
        (What::Status(413), "Rejected", "413", false),
        (rate_limited, "RateLimited", "429", false),
        (What::Status(503), "Unavailable", "503", false),
        (What::Html(502), "Unavailable", "502", true),
        (What::Refuse, "Unavailable", "", false),
        (What::LoseAnswer, "Unavailable", "", true),
        (What::HalfBody, "Unavailable", "", true),
        (What::HangAnswer, "Timeout", "", true),
        (What::EchoWrong, "WrongAnswer", "", false),
    ] {
        let (capture, _guard) = Capture::start();
        let setup = Setup::new();
        let (transport, overheard) = overheard(&setup);
        let manager = hasty(&setup).transport(transport).build().unwrap();
        setup
            .sipher
            .fault(Fault::new(what.clone()).on(Target::Create).always());
        assert!(manager.session().await.is_err());
        pass(3.0).await;
        let warnings = capture.warnings();
        let failed: Vec<_> = warnings
            .iter()
            .filter(|l| l.message == "create failed")
            .collect();
        assert_eq!(failed.len(), 1, "{what:?}: {warnings:#?}");
        assert_eq!(failed[0].get("kind"), kind, "{what:?}");
        assert_eq!(failed[0].get("status"), status, "{what:?}");
        assert!(failed[0].lacks("session") && !failed[0].get("error").is_empty());
        // One warning for each call whose outcome is unknown.
        let suspected = if orphans { setup.creates() } else { 0 };
        let count = |message| warnings.iter().filter(|l| l.message == message).count();
        assert_eq!(count("possible orphan"), suspected, "{what:?}");
        let is_outage = matches!(what, What::Status(503) | What::Html(502) | What::Refuse);
        assert_eq!(count("server down"), usize::from(is_outage), "{what:?}");
        let expected = 1 + suspected + usize::from(is_outage);
        assert_eq!(warnings.len(), expected, "{what:?}: {warnings:#?}");
        let creates = capture.spans("sipher_session::create");
        assert_eq!(creates.len(), 1, "{what:?}");
        assert_eq!(creates[0].get("tries"), setup.creates().to_string());
        let answers = overheard.lock().unwrap();
        for secret in ids(&answers)
            .iter()
            .chain([&setup.key, &VIEWING_KEY.into()])
        {
            assert_hides(&capture.everything(), secret);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_line_when_it_begins_and_one_when_it_ends() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.manager();
    setup.sipher.fault(Fault::new(What::Refuse).always());
    let waits = tokio::spawn({
        let manager = manager.clone();
        async move { manager.session().await }
    });
    pass(0.1).await;
    let of_outage = |message: &str| {
        let all = capture.logged().into_iter();
        let all = all.filter(|l| l.message == message);
        all.collect::<Vec<_>>()
    };
    assert_eq!(
        of_outage("server down").len(),
        1,
        "long before the create gives up"
    );
    waits.await.unwrap().unwrap_err();
    setup.sipher.clear_faults();
    pass(1.0).await;
    manager.session().await.unwrap();
    let (down, up) = (of_outage("server down"), of_outage("server up"));
    assert_eq!((down.len(), up.len()), (1, 1));
    assert_eq!((down[0].level, up[0].level), (Level::WARN, Level::INFO));
    assert_eq!(down[0].get("kind"), "Unavailable");
    up[0].has_exactly(&["lasted"]);
    assert!(up[0].get("lasted").parse::<f64>().unwrap() > 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_is_a_warning_that_names_the_session_in_use() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.manager();
    let session = manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Status(400)).on(Target::Create));
    tokio::time::sleep(session.renewal_in()).await;
    for _ in 0..10 {
        setup.call(&manager).await.unwrap();
    }
    pass(1.0).await;
    let warnings = capture.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!(warnings[0].message, "renewal failed");
    assert_eq!(warnings[0].get("generation"), "1");
    assert_eq!(
        warnings[0].get("session"),
        session.id().fingerprint().to_string()
    );
    assert!(warnings[0].get("usable_for").parse::<f64>().unwrap() > 60.0);
    assert!(OF_ERRORS.iter().all(|field| !warnings[0].lacks(field)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    setup.call(&manager).await.unwrap();
    pass(1.0).await;
    let renewed = capture.logged().into_iter().rfind(|l| !l.lacks("replaces"));
    assert_eq!(
        renewed.unwrap().get("replaces"),
        session.id().fingerprint().to_string()
    );
}

#[tokio::test(start_paused = true)]
async fn a_create_outlives_the_caller_that_was_dropped_and_the_span_it_came_from() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    setup.sipher.set_latency(SECOND);
    let manager = setup.manager();
    let caller = {
        let span = tracing::info_span!(target: "caller", "request");
        let manager = manager.clone();
        let call = async move { manager.session().await.map(drop) };
        tokio::spawn(tracing::Instrument::instrument(call, span))
    };
    pass(0.5).await;
    caller.abort();
    pass(2.0).await;
    let all = capture.logged();
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(all[0].message, "session created");
    assert_eq!(
        all[0].spans,
        ["sipher_session::create"],
        "not under `request`"
    );
    let created = &capture.spans("sipher_session::create")[0];
    assert_eq!(created.follows, ["request"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_gone_is_one_warning_with_what_it_leaves() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    drop(manager);
    pass(1.0).await;
    let warnings = capture.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!(warnings[0].message, "abandoned");
    warnings[0].has_exactly(&["left_to_expire", "possible_orphans"]);
    assert_eq!(warnings[0].get("left_to_expire"), "1");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_leaves_sessions_behind_is_a_warning() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Delete).always());
    let report = manager.shutdown(2 * SECOND).await;
    let all = capture.logged();
    let told = all.iter().find(|l| l.message == "shut down").unwrap();
    assert_eq!(told.level, Level::WARN, "{report}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deleted_is_a_warning_and_what_need_not_be_is_none() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    let unavailable = Fault::new(What::Error(503, "SERVICE_UNAVAILABLE")).on(Target::Delete);
    setup.sipher.fault(unavailable.always());
    manager.invalidate(1);
    pass(120.0).await;
    let warnings = capture.warnings();
    let left: Vec<_> = warnings
        .iter()
        .filter(|l| !["sessions suspected", "server down"].contains(&l.message.as_str()))
        .collect();
    assert_eq!(left.len(), 1, "{warnings:#?}");
    assert_eq!(left[0].message, "session left to expire");
    assert_eq!(left[0].get("kind"), "Unavailable");
    assert!(left[0].get("left").parse::<f64>().unwrap() > 60.0);
    // A session at the end of its life is not worth a delete.
    let session = manager.session().await.unwrap();
    tokio::time::sleep(session.usable_for()).await;
    manager.session().await.unwrap();
    pass(1.0).await;
    let left: Vec<_> = capture
        .logged()
        .into_iter()
        .skip_while(|l| l.level == Level::WARN)
        .collect();
    let quiet = left
        .iter()
        .rfind(|l| l.message == "session left to expire")
        .unwrap();
    let told: Vec<_> = left
        .iter()
        .map(|l| (l.level, &l.message, l.get("reason")))
        .collect();
    assert_eq!(quiet.level, Level::DEBUG, "{told:?}");
    quiet.has_exactly(&["api_key", "generation", "left", "session"]);
}

#[tokio::test(start_paused = true)]
async fn sending_without_is_told_once_and_counted_for_each_request() {
    let (capture, _guard) = Capture::start();
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    let manager = hasty(&setup)
        .on_no_session(OnNoSession::SendWithout)
        .build()
        .unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Status(401)).on(Target::Create));
    for _ in 0..20 {
        setup.call(&manager).await.unwrap();
    }
    let told: Vec<_> = capture.warnings().into_iter().map(|l| l.message).collect();
    assert_eq!(told, ["create failed", "sending without a session"]);
    assert_metrics(&recorder, &[("sent_without_total", 20)]);
}

/// The author of the redirect may put a secret into the host name.
#[tokio::test(start_paused = true)]
async fn a_leak_is_a_warning_that_names_the_origin_and_no_secret() {
    let (capture, _guard) = Capture::start();
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    let key = "sk_pro_HUNTER2hunter2HUNTER2hunter2";
    setup.sipher.accept_key(key, Tier::Pro);
    let manager = setup.builder().api_key(key).build().unwrap();
    let id = manager.session().await.unwrap().id().as_str().to_owned();
    let mut events = manager.events();
    let last = format!("https://{id}.{key}.evil.com:8443/{id}?key={key}");
    let redirecting = service_fn(async |_: Call| {
        let last = RequestUri(last.parse()?);
        let response = Response::builder().extension(last).body(());
        response.map_err(BoxError::from)
    });
    let service = SessionLayer::new(manager.clone()).layer(redirecting);
    service.oneshot(generate()).await.unwrap();
    let warnings = capture.warnings();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].message, "leaked");
    warnings[0].has_exactly(&["api_key", "generation", "session", "to"]);
    let to = warnings[0].get("to");
    assert_eq!(to, "https://sess_[redacted].[redacted].evil.com:8443");
    assert_metrics(&recorder, &[(r#"retired_total{reason="leaked"}"#, 1)]);
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    let everything = format!("{told:?}{}", capture.everything());
    assert!(everything.contains("Leaked"));
    for secret in [&id["sess_".len()..], key, &key.to_lowercase()] {
        assert_hides(&everything, secret);
    }
}
