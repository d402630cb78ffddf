//! The signals to `tracing` and `metrics`: each cause once, as documented, and without secrets.
#![allow(clippy::unwrap_used, unreachable_pub)] // for helper functions and shared modules

mod alerts;
mod callbacks;
mod capture;
mod dashboard;
mod emitted;
mod logged;
mod measured;
mod promql;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod tenants;

use std::sync::{Arc, Mutex};

use http::Response;
use http_body_util::{BodyExt, Full};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use sipher_session::{
    BoxError, Chain, SessionDefaults, SessionManagerBuilder,
    api::{Bytes, Transport},
    testing::{Fault, Target, What},
};
use tower::{ServiceExt, service_fn};
use tracing::Level;

use self::{
    capture::{Capture, Logged},
    support::{Call, SECOND, Setup, pass},
};

const VIEWING_KEY: &str = "0x5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee";
const DOCS: &str = include_str!("../../src/observability.rs");

/// The fields of an error that every such log line has.
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

/// A transport to the fake that records every answer, because answers contain the ids.
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

/// Returns the hexadecimal digits of every session id in a text.
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

/// Asserts that no piece of the secret of 12 characters or more is in the text.
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
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    let _ = setup.call(&manager).await;
    setup.call(&manager).await.unwrap();
    let told = capture.logged().pop().unwrap();
    assert_eq!(
        (told.level, told.message.as_str()),
        (Level::DEBUG, "session verified")
    );
    assert_metrics(&recorder, &[("create_duration_seconds_count", 1)]);
    // Soon after a false alarm, another sign does not make requests wait.
    pass(20.0).await;
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
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
    lost.has_exactly(&[
        "api_key",
        "generation",
        "requests",
        "session",
        "unknown_for",
    ]);
    assert_metrics(
        &recorder,
        &[
            (r#"session_calls_total{operation="get"}"#, 0),
            (r#"retired_total{reason="lost"}"#, 1),
            ("live_sessions", 1),
            ("create_duration_seconds_count", 2),
        ],
    );
}

/// A server, or a proxy before it, that repeats everything it received wherever it can.
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
