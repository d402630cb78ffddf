//! Spans and metrics of the sessions, exported by OpenTelemetry.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use http::Request;
use http_body_util::Full;
use metrics_opentelemetry::{OpenTelemetryMetrics, OpenTelemetryRecorder};
use opentelemetry::{KeyValue, metrics::MeterProvider, trace::TracerProvider};
use opentelemetry_sdk::{
    metrics::{
        InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData, ScopeMetrics},
    },
    trace::{InMemorySpanExporter, SdkTracerProvider},
};
use sipher_session::{
    Chain, SessionDefaults, SessionLayer, Stats,
    api::Bytes,
    testing::{FakeSipher, Fault, Operation, Target, What},
};
use tokio::time::sleep;
use tower::{Layer, ServiceExt};
use tracing::{Instrument, Level, info_span};
use tracing_subscriber::{filter::Targets, prelude::*};

// Time is paused, so waits take no real time.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    // Install both before you build the manager. In production, use the exporters of opentelemetry-otlp.
    let metrics = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(metrics.clone()).build())
        .build();
    let recorder = OpenTelemetryMetrics::new(meters.meter("agent"));
    ::metrics::set_global_recorder(OpenTelemetryRecorder::new(recorder))?;

    let spans = InMemorySpanExporter::default();
    let tracers = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    let to_otel = tracing_opentelemetry::layer().with_tracer(tracers.tracer("agent"));
    // The log lines of the crate become events of its spans. Lines about single sessions have the level `debug`.
    let filter = Targets::new()
        .with_target("sipher_session", Level::DEBUG)
        .with_default(Level::INFO);
    tracing_subscriber::registry()
        .with(to_otel.with_filter(filter))
        .init();

    let sipher = FakeSipher::new();
    let sessions = sipher
        .manager()
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .build()?;
    let mut events = sessions.events();
    let http = SessionLayer::new(sessions.clone()).layer(sipher.clone());
    let call = async || {
        let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from("{}"))?;
        let answer = http.clone().oneshot(request);
        let answer = answer.instrument(info_span!("agent::call")).await;
        answer.map_err(|error| anyhow!(error))
    };

    // Three things happen: a create takes two tries, a session is renewed, and the server restarts between two calls.
    sipher.fault(Fault::new(What::Status(503)).on(Target::Create));
    for _ in 0..8 {
        ensure!(call().await?.status() == 200);
        sleep(Duration::from_secs(600)).await;
    }
    sipher.assert_every_call_had_a_session();
    sipher.restart();
    for _ in 0..3 {
        call().await?;
        sleep(Duration::from_secs(1)).await;
    }
    let report = sessions.shutdown(Duration::from_secs(5)).await;
    support::check_calls(&sipher, &mut events, &["near"]).await?;
    support::check_end(&sipher, &report)?;

    meters.force_flush()?;
    tracers.force_flush()?;
    check_metrics(&metrics, &sessions.stats())?;
    check_spans(&spans, &sipher)
}

/// Checks that every series of the guide's page on observability exists from the start. Those that changed have to
/// agree with the manager's own counts.
fn check_metrics(exporter: &InMemoryMetricExporter, stats: &Stats) -> Result<()> {
    let mut series = BTreeMap::new();
    let exported = exporter.get_finished_metrics()?;
    let last = exported.last().context("no metrics")?;
    for metric in last.scope_metrics().flat_map(ScopeMetrics::metrics) {
        let mut add = |labels: Vec<String>, value: f64| {
            series.insert(format!("{}{}", metric.name(), labels.join(",")), value);
        };
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => sum.data_points().for_each(|point| {
                add(
                    point.attributes().map(label).collect(),
                    as_f64(point.value()),
                )
            }),
            AggregatedMetrics::F64(MetricData::Gauge(gauge)) => gauge
                .data_points()
                .for_each(|point| add(point.attributes().map(label).collect(), point.value())),
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
                .data_points()
                .for_each(|point| add(Vec::new(), as_f64(point.count()))),
            other => bail!("{}: {other:?}", metric.name()),
        }
    }
    for (name, value) in &series {
        println!("{name} {value}");
    }
    for (name, count) in [
        ("creates_total outcome=created", stats.created),
        ("creates_total outcome=failed", stats.create_failures),
        ("session_calls_total operation=create", stats.created + 1), // one took two tries
        ("retired_total reason=lost", 1),
        ("retired_total reason=leaked", 0),
        ("deleted_total outcome=deleted", stats.deleted),
        ("live_sessions", 0),
        ("create_duration_seconds", stats.created),
        ("possible_orphans_total", 0),
        ("sent_without_total", 0),
        ("outside_total", 0),
        ("refused_for_budget_total", 0),
        ("wrong_defaults_total", 0),
        ("late_answers_total", 0),
        ("not_inlined_total reason=no_layer", 0),
    ] {
        let value = series.get(&format!("sipher_session_{name}"));
        ensure!(
            value == Some(&as_f64(count)),
            "{name}: {value:?}, not {count}"
        );
    }
    Ok(())
}

/// Checks that creates and deletes have spans with their log lines, and that a create is linked to the call that began
/// it. No span may contain a secret.
fn check_spans(exporter: &InMemorySpanExporter, sipher: &FakeSipher) -> Result<()> {
    let spans = exporter.get_finished_spans()?;
    let named = |name| spans.iter().filter(move |span| span.name == name);
    let calls: Vec<_> = named("agent::call")
        .map(|span| span.span_context.span_id())
        .collect();
    // A check of a session has a span of this name too. Take only the spans in which a session was created.
    let creates: Vec<_> = named("sipher_session::create")
        .filter(|span| {
            span.events
                .iter()
                .any(|event| event.name == "session created")
        })
        .collect();
    for span in &creates {
        let mut links = span.links.iter().map(|link| link.span_context.span_id());
        ensure!(
            links.any(|linked| calls.contains(&linked)),
            "not linked to the call that began it: {span:?}"
        );
    }
    let tries = creates.iter().flat_map(|span| &span.attributes);
    let mut tries = tries.filter(|attribute| attribute.key.as_str() == "tries");
    ensure!(
        tries.any(|tries| tries.value.as_str() == "2"),
        "one took two tries"
    );
    ensure!(creates.len() == 3, "{} creates", creates.len());
    ensure!(named("sipher_session::delete").count() == sipher.count(Operation::Delete));
    ensure!(named("sipher_session::shutdown").count() == 1);
    for message in [
        "session created",
        "session retired",
        "session lost",
        "session deleted",
        "shut down",
    ] {
        let mut events = spans.iter().flat_map(|span| span.events.iter());
        ensure!(
            events.any(|event| event.name == message),
            "no event: {message}"
        );
    }
    let exported = format!("{spans:?}");
    ensure!(
        !exported.contains("sess_") && !exported.contains("sk_pro"),
        "a secret is shown"
    );
    Ok(())
}

fn label(label: &KeyValue) -> String {
    format!(" {}={}", label.key, label.value)
}

#[allow(clippy::cast_precision_loss)] // small numbers
fn as_f64(count: u64) -> f64 {
    count as f64
}
