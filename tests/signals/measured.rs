//! What the crate reports through `metrics`.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_util::MetricKindMask;
use sipher_session::{
    CheckedLayer,
    testing::{Fault, Target, Tier, What},
};
use tower::{Layer, ServiceExt};

use crate::{
    DOCS, assert_metrics,
    capture::Capture,
    recorder,
    support::{SECOND, Setup, generate, pass},
};

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
    pass(65.0).await;
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
    assert_eq!(names.len(), 17, "{names:?}");
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
    let held_up = Fault::new(What::Delay(70 * SECOND)).on(Target::Calls);
    setup.sipher.fault(held_up.times(2));
    let (one, two) = tokio::join!(setup.call(&manager), setup.call(&manager));
    assert!(one.is_ok() && two.is_ok());
    assert_metrics(&recorder, &[("late_answers_total", 2)]);
    let warnings = capture.warnings();
    let messages: Vec<_> = warnings.iter().map(|l| l.message.as_str()).collect();
    assert_eq!(messages, ["late answer"]);
    assert_eq!(warnings[0].get("generation"), "1");
}

#[tokio::test(start_paused = true)]
async fn requests_outside_of_the_base_url_are_counted_each_and_logged_once_for_their_origin() {
    let (capture, _guard) = Capture::start();
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    let manager = setup.manager();
    for host in ["docs", "app", "docs"] {
        let mut request = generate();
        let uri = format!("https://{host}.sip-protocol.org/");
        *request.uri_mut() = uri.parse().unwrap();
        setup.service(&manager).oneshot(request).await.unwrap();
    }
    assert_metrics(&recorder, &[("outside_total", 3)]);
    let warnings = capture.warnings();
    assert_eq!(warnings.len(), 2);
    for (warning, host) in warnings.iter().zip(["docs", "app"]) {
        assert_eq!(warning.message, "request outside of the base URL");
        warning.has_exactly(&["base", "origin", "reason"]);
        assert_eq!(
            warning.get("origin"),
            format!("https://{host}.sip-protocol.org")
        );
        assert_eq!(warning.get("base"), manager.base_url());
        assert_eq!(warning.get("reason"), "vendors_domain");
    }
}

#[tokio::test(start_paused = true)]
async fn checked_answers_are_counted_each_and_wrong_ones_logged_once_for_their_session() {
    let (capture, _guard) = Capture::start();
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    let manager = setup.manager();
    let service = CheckedLayer::new(manager).layer(setup.sipher.clone());
    let counts = |wrong, confirmed| {
        let counts = [
            ("wrong_defaults_total", wrong),
            ("confirmed_total", confirmed),
        ];
        assert_metrics(&recorder, &counts);
    };
    counts(0, 0);
    service.clone().oneshot(generate()).await.unwrap();
    counts(0, 1);
    setup.sipher.restart();
    let at_once = Fault::new(What::DelayAnswer(SECOND)).on(Target::Others);
    setup.sipher.fault(at_once.times(2));
    let (one, two) = tokio::join!(
        service.clone().oneshot(generate()),
        service.clone().oneshot(generate())
    );
    assert!(one.is_err() && two.is_err());
    counts(2, 1);
    let warnings = capture.warnings();
    let wrong: Vec<_> = warnings
        .iter()
        .filter(|l| l.message == "wrong defaults")
        .collect();
    assert_eq!(wrong.len(), 1, "{warnings:#?}");
    assert_eq!(wrong[0].get("generation"), "1");
    assert_eq!(wrong[0].get("expected"), "near");
    assert_eq!(wrong[0].get("answered"), "solana");
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
    // A session that nobody replaces leaves the gauge when another key's session is created.
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
async fn the_gauge_is_right_again_after_an_exporter_has_forgotten_it() {
    let recorder = PrometheusBuilder::new()
        .idle_timeout(MetricKindMask::GAUGE, Some(Duration::from_nanos(1)))
        .build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    let managers = [setup.manager(), setup.manager()];
    for manager in &managers {
        manager.session().await.unwrap();
    }
    let handle = recorder.handle();
    // The exporter drops the gauge at the second look, because its value has not changed.
    let is_forgotten = || !handle.render().contains("live_sessions ");
    assert!(is_forgotten() || is_forgotten());
    managers[0].shutdown(SECOND).await;
    let page = handle.render();
    assert!(page.contains("sipher_session_live_sessions 1"), "{page}");
}
