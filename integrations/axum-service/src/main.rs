//! An agent as a web service: two chains, a metrics endpoint, a readiness probe, and a graceful shutdown.
#![forbid(unsafe_code)]

use std::{future::IntoFuture, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::{Value, json};
use sipher_session::{
    Chain, ErrorKind, InlineDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Operation, Tier},
};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// One client for each chain. Both share one manager, one API key and one connection pool.
fn app(
    sessions: &SessionManager,
    client: &reqwest::Client,
    metrics: PrometheusHandle,
) -> Result<Router> {
    let url = format!("{}/v1/stealth/generate", sessions.base_url());
    let mut app = Router::new();
    for chain in [Chain::Near, Chain::Ethereum] {
        let path = format!("/{chain}/address");
        let layer = SessionLayer::new(sessions.clone()).defaults(sessions.defaults().chain(chain));
        let http = ClientBuilder::new(client.clone()).with(layer).build();
        app = app.route(&path, post(address).with_state((http, url.clone())));
    }
    let sessions = sessions.clone();
    let ready = async move || {
        if sessions.health().is_ready() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let metrics = async move || metrics.render();
    Ok(app
        .route("/ready", get(ready))
        .route("/metrics", get(metrics)))
}

async fn address(
    State((http, url)): State<(ClientWithMiddleware, String)>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let answer = async {
        let answer = http.post(url).json(&json!({})).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    };
    answer.await.map(Json).map_err(failed)
}

/// Returns the status for a caller, which says whether another try helps. A 401 would not help the caller: the API key
/// is the agent's own.
fn failed(error: reqwest_middleware::Error) -> (StatusCode, String) {
    let kind = sipher_session::Error::find(&error).map(sipher_session::Error::kind);
    let status = kind.map(ErrorKind::suggested_status);
    let status = status.filter(|status| *status != StatusCode::UNAUTHORIZED);
    let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
    (status, error.to_string())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // Install the recorder before you build the manager, so that all metrics start at zero.
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let sipher = FakeSipher::new();
    let mut server = sipher.serve().await?;
    let sessions = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(server.base_url())
        .inline_defaults(InlineDefaults::Always)
        .build()?;
    let client = reqwest::Client::builder()
        .redirect(sessions.redirect_policy())
        .retry(reqwest::retry::never())
        .build()?;
    let mut events = sessions.events();

    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let agent = listener.local_addr()?;
    let serve = axum::serve(listener, app(&sessions, &client, metrics)?)
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let serving = tokio::spawn(serve.into_future());

    // Sixteen callers at once share one session for each chain.
    visit(agent, 8).await?;
    ensure!(sipher.count(Operation::Create) == 2);

    // The server restarts and forgets both sessions. Every answer is still for the right chain, because the bodies name
    // it.
    support::restart(&sipher, &mut server).await?;
    while !support::have_sessions(&sipher, &["near", "ethereum"]) {
        sleep(Duration::from_millis(50)).await;
        visit(agent, 8).await?;
    }

    let page = read(agent, "metrics").await?;
    for line in [
        r#"sipher_session_session_calls_total{operation="create"} "#,
        "sipher_session_create_duration_seconds_count ",
        "sipher_session_live_sessions 2",
    ] {
        ensure!(page.contains(line), "{line} is not in\n{page}");
    }
    read(agent, "ready").await?;

    // In production, SIGTERM starts this. Calls in flight still have a session, because the sessions are deleted last.
    sipher.set_latency(Duration::from_millis(300));
    let before = support::calls(&sipher).len();
    let late = tokio::spawn(visit(agent, 1));
    while support::calls(&sipher).len() < before + 2 {
        sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    late.await??;
    serving.await??;
    let report = sessions.shutdown(Duration::from_secs(5)).await;
    println!("{report}");

    support::check_calls(&sipher, &mut events, &["near", "ethereum"]).await?;
    support::check_end(&sipher, &report)
}

/// Asks for `each` addresses on each chain, all at the same time.
async fn visit(agent: SocketAddr, each: usize) -> Result<()> {
    let client = reqwest::Client::new();
    let mut visits = JoinSet::new();
    for chain in ["near", "ethereum"].repeat(each) {
        let request = client.post(format!("http://{agent}/{chain}/address"));
        visits.spawn(async move {
            let answer: Value = request.send().await?.error_for_status()?.json().await?;
            ensure!(answer["data"]["chain"] == chain, "{chain}: {answer}");
            Ok(())
        });
    }
    while let Some(visit) = visits.join_next().await {
        visit??;
    }
    Ok(())
}

async fn read(agent: SocketAddr, path: &str) -> Result<String> {
    let answer = reqwest::get(format!("http://{agent}/{path}")).await?;
    answer
        .error_for_status()?
        .text()
        .await
        .context("half a page")
}
