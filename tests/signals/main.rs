//! What `tracing` and `metrics` are told: each cause once, as documented, and nothing that is secret.
#![allow(clippy::unwrap_used, unreachable_pub)] // a test crate, also in what its tests share

mod capture;
#[path = "../support/mod.rs"]
mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Response;
use http_body_util::{BodyExt, Full};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use sipher_session::{
    BoxError, Chain, OnNoSession, SessionDefaults, SessionLayer, SessionManagerBuilder,
    api::{Bytes, Transport},
    testing::{Fault, Target, Tier, What},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::follow_redirect::RequestUri;
use tracing::Level;

use self::{
    capture::{Capture, Logged},
    support::{Call, SECOND, Setup, generate, pass},
};

const VIEWING_KEY: &str = "0x5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee";
const DOCS: &str = include_str!("../../src/observability.rs");

/// The fields of every log that an error has.
const OF_ERRORS: [&str; 3] = ["error", "kind", "session"];

/// A manager that gives up soon, with a viewing key among its defaults.
fn hasty(setup: &Setup) -> SessionManagerBuilder {
    let defaults = SessionDefaults::new()
        .chain(Chain::Near)
        .default_viewing_key(VIEWING_KEY);
    setup
        .builder()
        .defaults(defaults)
        .max_wait(SECOND)
        .create_timeout(SECOND)
}

/// A transport to the fake that keeps every answer, because the ids are in them.
fn overheard(setup: &Setup) -> (Transport, Arc<Mutex<String>>) {
    let answers = Arc::new(Mutex::new(String::new()));
    let (sipher, notes) = (setup.sipher.clone(), answers.clone());
    let service = service_fn(move |call: Call| {
        let (sipher, notes) = (sipher.clone(), notes.clone());
        async move {
            let (head, body) = sipher.oneshot(call).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            *notes.lock().unwrap() += &String::from_utf8_lossy(&body);
            Ok::<_, BoxError>(Response::from_parts(head, Full::new(body)))
        }
    });
    (Transport::new(service), answers)
}

/// The hexadecimal digits of every id in a text.
fn ids(text: &str) -> Vec<String> {
    let ids = text.split("sess_").skip(1);
    ids.map(|id| {
        id.chars()
            .take_while(char::is_ascii_hexdigit)
            .collect::<String>()
    })
    .filter(|id| id.len() == 64)
    .collect()
}

/// Not one piece of a secret, 12 characters or longer, is in a text.
#[track_caller]
fn assert_hides(text: &str, secret: &str) {
    for piece in secret.as_bytes().windows(12) {
        let piece = std::str::from_utf8(piece).unwrap();
        if let Some(at) = text.find(piece) {
            let around = &text[at.saturating_sub(80)..(at + 40).min(text.len())];
            panic!("{piece} of {secret} is in …{around}…");
        }
    }
}

fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().build_recorder()
}

#[track_caller]
fn assert_metrics(recorder: &PrometheusRecorder, expected: &[(&str, u64)]) {
    let page = recorder.handle().render();
    for (series, value) in expected {
        let line = format!("sipher_session_{series} {value}");
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
}

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
    first.has_exactly(&["generation", "session", "usable_for"]);
    assert_eq!(first.get("generation"), "1");
    assert_eq!(first.get("session").len(), 8);
    let usable_for: f64 = first.get("usable_for").parse().unwrap();
    assert!((3000.0..3600.0).contains(&usable_for), "{usable_for}");
    all[1].has_exactly(&["generation", "reason", "session"]);
    assert_eq!(all[1].get("reason"), "invalidated");
    assert_eq!(all[1].get("session"), first.get("session"));
    all[2].has_exactly(&["already_gone", "generation", "session"]);
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
    creates[1].has_exactly(&["generation", "key", "tries"]);
    assert_eq!(creates[1].get("generation"), "2");
    assert_eq!(creates[1].get("tries"), "1");
    assert_eq!(creates[0].get("key"), creates[1].get("key"));
    capture.spans("sipher_session::delete")[0].has_exactly(&["generation", "session"]);
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
    // Those who ask while it is held back are told, and nobody else.
    assert!(manager.session().await.is_err());
    let all = capture.logged();
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(
        (all[0].level, all[0].message.as_str()),
        (Level::WARN, "create failed")
    );
    assert_eq!(all[0].get("kind"), "Credentials");
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
        // One for each call whose outcome nobody knows.
        let suspected = if orphans { setup.creates() } else { 0 };
        assert_eq!(warnings.len(), 1 + suspected, "{what:?}: {warnings:#?}");
        let others = warnings.iter().filter(|l| l.message != "create failed");
        assert!(others.into_iter().all(|l| l.message == "possible orphan"));
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
async fn what_cannot_be_deleted_is_a_warning_and_what_need_not_be_is_none() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Delete).always());
    manager.invalidate(1);
    pass(120.0).await;
    let warnings = capture.warnings();
    let left: Vec<_> = warnings
        .iter()
        .filter(|l| l.message != "sessions suspected")
        .collect();
    assert_eq!(left.len(), 1, "{warnings:#?}");
    assert_eq!(left[0].message, "session left to expire");
    assert_eq!(left[0].get("kind"), "Unavailable");
    assert!(left[0].get("left").parse::<f64>().unwrap() > 60.0);
    // One at the end of its life is not worth a call.
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
    quiet.has_exactly(&["generation", "left", "session"]);
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

#[tokio::test(start_paused = true)]
async fn the_documented_metrics_have_the_right_values() {
    let (capture, _guard) = Capture::start();
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(2).build().unwrap();
    assert_metrics(
        &recorder,
        &[
            (r#"creates_total{outcome="failed"}"#, 0),
            (r#"session_calls_total{operation="get"}"#, 0),
            ("possible_orphans_total", 0),
            ("live_sessions", 0),
        ],
    );
    setup
        .sipher
        .fault(Fault::new(What::LoseAnswer).on(Target::Create).times(1));
    let keys: Vec<_> = (0..3).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
    for key in &keys {
        let mut request = generate();
        request
            .headers_mut()
            .insert("x-api-key", key.parse().unwrap());
        let service = setup.service(&manager);
        service.oneshot(request).await.unwrap();
    }
    pass(5.0).await;
    assert_metrics(
        &recorder,
        &[
            (r#"creates_total{outcome="created"}"#, 3),
            (r#"creates_total{outcome="failed"}"#, 0),
            (r#"session_calls_total{operation="create"}"#, 4),
            (r#"session_calls_total{operation="delete"}"#, 1),
            (r#"retired_total{reason="evicted"}"#, 1),
            (r#"deleted_total{outcome="deleted"}"#, 1),
            ("possible_orphans_total", 1),
            ("live_sessions", 2),
            ("create_duration_seconds_count", 3),
        ],
    );
    let all = capture.logged().into_iter();
    let evicted: Vec<_> = all.filter(|l| l.get("reason") == "evicted").collect();
    assert_eq!(evicted.len(), 1, "{evicted:#?}");
    assert_eq!(evicted[0].get("generation"), "1");
    setup.sipher.restart();
    manager.shutdown(5 * SECOND).await;
    assert_metrics(
        &recorder,
        &[
            (r#"retired_total{reason="shutdown"}"#, 2),
            (r#"deleted_total{outcome="already_gone"}"#, 2),
            ("live_sessions", 0),
        ],
    );
    let page = recorder.handle().render();
    let described = page.lines().filter_map(|l| l.strip_prefix("# TYPE "));
    let names: Vec<_> = described.filter_map(|l| l.split(' ').next()).collect();
    assert_eq!(names.len(), 10, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("# HELP {name} ")), "{name}");
        assert!(DOCS.contains(&format!("`{name}`")), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn late_answers_are_counted_each_and_logged_once_for_their_session() {
    let (capture, _guard) = Capture::start();
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    manager.session().await.unwrap();
    let held_up = Fault::new(What::Delay(70 * SECOND)).on(Target::Others);
    setup.sipher.fault(held_up.times(2));
    let (one, two) = tokio::join!(setup.call(&manager), setup.call(&manager));
    assert!(one.is_ok() && two.is_ok());
    assert_metrics(&recorder, &[("late_answers_total", 2)]);
    let warnings = capture.warnings();
    let messages: Vec<_> = warnings.iter().map(|l| l.message.as_str()).collect();
    assert_eq!(messages, ["late answer"]);
    assert_eq!(warnings[0].get("generation"), "1");
}

/// Even if whoever wrote the redirect puts what they know into the name of a host.
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
    assert_eq!(
        warnings[0].get("to"),
        "https://sess_[redacted].[redacted].evil.com:8443"
    );
    assert_metrics(&recorder, &[(r#"retired_total{reason="leaked"}"#, 1)]);
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    let everything = format!("{told:?}{}", capture.everything());
    assert!(everything.contains("Leaked"));
    for secret in [&id["sess_".len()..], key, &key.to_lowercase()] {
        assert_hides(&everything, secret);
    }
}

#[tokio::test(start_paused = true)]
async fn the_create_duration_is_in_seconds_and_counts_waits_and_tries() {
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    setup.sipher.set_latency(2 * SECOND);
    let manager = setup.manager();
    manager.session().await.unwrap();
    let page = recorder.handle().render();
    let sum = page
        .lines()
        .find_map(|l| l.strip_prefix("sipher_session_create_duration_seconds_sum "));
    let sum: f64 = sum.unwrap().parse().unwrap();
    assert!((2.0..2.1).contains(&sum), "{sum}");
}

#[tokio::test(start_paused = true)]
async fn the_gauge_forgets_sessions_that_end_by_themselves_or_with_their_manager() {
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    let (one, two) = (setup.manager(), setup.manager());
    for _ in 0..3 {
        let session = one.session().await.unwrap();
        assert_metrics(&recorder, &[("live_sessions", 1)]);
        tokio::time::sleep(session.usable_for()).await;
    }
    // One whose place nobody takes is forgotten with the next of another key.
    let mut request = generate();
    let other = setup.sipher.api_key(Tier::Pro);
    request
        .headers_mut()
        .insert("x-api-key", other.parse().unwrap());
    setup.service(&one).oneshot(request).await.unwrap();
    assert_metrics(&recorder, &[("live_sessions", 1)]);
    tokio::time::sleep(Duration::from_secs(4_000)).await;
    setup.sipher.fault(Fault::new(What::EchoWrong));
    assert!(one.session().await.is_err(), "the answer is wrong");
    two.session().await.unwrap();
    pass(61.0).await;
    one.session().await.unwrap();
    assert_metrics(&recorder, &[("live_sessions", 2)]);
    drop(one);
    pass(2.0).await;
    assert_metrics(&recorder, &[("live_sessions", 1)]);
    drop(two);
    pass(1.0).await;
    assert_metrics(&recorder, &[("live_sessions", 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_lands_in_a_shutdown_does_not_stay_in_the_gauge() {
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    setup.sipher.set_latency(SECOND);
    let manager = setup.manager();
    let caller = tokio::spawn({
        let manager = manager.clone();
        async move { manager.session().await.map(drop) }
    });
    pass(0.5).await;
    let report = manager.shutdown(30 * SECOND).await;
    assert!(caller.await.unwrap().is_err());
    assert_eq!(report.deleted, 1);
    assert_metrics(
        &recorder,
        &[
            (r#"creates_total{outcome="created"}"#, 1),
            ("live_sessions", 0),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_server_lost_is_told_once_and_leaves_the_gauge() {
    let (capture, _guard) = Capture::start();
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    pass(5.0).await;
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Others));
    let _ = setup.call(&manager).await;
    setup.call(&manager).await.unwrap();
    let told = capture.logged().pop().unwrap();
    assert_eq!(
        (told.level, told.message.as_str()),
        (Level::DEBUG, "session verified")
    );
    assert_metrics(&recorder, &[("create_duration_seconds_count", 1)]);
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Others));
    setup.sipher.restart();
    pass(5.0).await;
    let _ = setup.call(&manager).await;
    for _ in 0..10 {
        setup.call(&manager).await.unwrap();
    }
    pass(1.0).await;
    let told: Vec<_> = capture.warnings().into_iter().map(|l| l.message).collect();
    let each = ["sessions suspected", "sessions suspected", "session lost"];
    assert_eq!(told, each, "the first time it was still there");
    let lost = &capture.warnings()[2];
    lost.has_exactly(&["generation", "requests", "session", "unknown_for"]);
    assert_metrics(
        &recorder,
        &[
            (r#"session_calls_total{operation="get"}"#, 2),
            (r#"retired_total{reason="lost"}"#, 1),
            ("live_sessions", 1),
            ("create_duration_seconds_count", 2),
        ],
    );
}

/// A server, or somebody on the way to it, that repeats whatever it was told wherever it can.
fn parrot(setup: &Setup, by_error: bool) -> Transport {
    let (key, sipher) = (setup.key.clone(), setup.sipher.clone());
    let said = Arc::new(Mutex::new(String::new()));
    Transport::new(service_fn(move |call: Call| {
        let (sipher, key, said) = (sipher.clone(), key.clone(), said.clone());
        async move {
            let is_create = call.method() == http::Method::POST;
            let uri = call.uri().to_string();
            if is_create && said.lock().unwrap().is_empty() {
                let (head, body) = sipher.oneshot(call).await?.into_parts();
                let body = body.collect().await?.to_bytes();
                *said.lock().unwrap() = String::from_utf8_lossy(&body).into_owned();
                return Ok::<_, BoxError>(Response::from_parts(head, Full::new(body)));
            }
            let ids = ids(&said.lock().unwrap())
                .into_iter()
                .map(|id| format!("sess_{id}"));
            let ids: String = ids.collect::<Vec<_>>().join(" ");
            let text = format!("{uri} {key} {VIEWING_KEY} {ids}");
            if by_error {
                return Err(text.into());
            }
            let error =
                serde_json::json!({"code": text, "message": text, "details": {text.clone(): text}});
            let body = serde_json::json!({"success": false, "error": error}).to_string();
            let answer = Response::builder()
                .status(400)
                .header("content-type", "application/json")
                .header("x-request-id", format!("{key} {ids}"))
                .body(Full::new(Bytes::from(body)))
                .map_err(|_: http::Error| "no header")?;
            Ok(answer)
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_repeats_all_it_knows_brings_no_secret_into_any_signal() {
    for by_error in [true, false] {
        let (capture, _guard) = Capture::start();
        let recorder = recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let setup = Setup::new();
        let manager = hasty(&setup)
            .transport(parrot(&setup, by_error))
            .build()
            .unwrap();
        let id = manager.session().await.unwrap().id().as_str().to_owned();
        manager.invalidate(1);
        pass(1.0).await;
        assert!(manager.session().await.is_err());
        pass(120.0).await;
        manager.shutdown(5 * SECOND).await;
        let everything = capture.everything() + &recorder.handle().render();
        let warnings = capture.warnings();
        let told = |message| warnings.iter().any(|l: &Logged| l.message == message);
        assert!(told("create failed") && told("session left to expire"));
        assert!(everything.contains("[redacted]"), "it did repeat them");
        for secret in [&id["sess_".len()..], &setup.key, VIEWING_KEY] {
            assert_hides(&everything, secret);
        }
    }
}

#[test]
fn every_message_and_span_is_in_the_documentation() {
    for name in [
        "abandoned",
        "check failed",
        "late answer",
        "leaked",
        "session lost",
        "session verified",
        "sessions suspected",
        "create failed",
        "possible orphan",
        "renewal failed",
        "sending without a session",
        "session created",
        "session deleted",
        "session left to expire",
        "session retired",
        "shut down",
        "sipher_session::create",
        "sipher_session::delete",
        "sipher_session::shutdown",
        "unknown default",
    ] {
        assert!(DOCS.contains(&format!("`{name}`")), "{name}");
    }
}
