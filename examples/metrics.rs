//! A Prometheus endpoint with the metrics of the sessions. The example reads it once.
//!
//! `cargo run --example metrics --features metrics,testing`
//!
//! The exporter only renders the page, and twenty lines below serve it. The exporter's own `http-listener` would add a
//! second web server. If your program already has a web server, add a route to it.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use sipher_session::{
    BoxError, Chain, SessionDefaults, SessionLayer, SessionManager,
    api::{Bytes, Transport},
    testing::{FakeSipher, Tier},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, ServiceExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // Install the recorder first: building the manager describes its metrics to the installed recorder.
    let handle = PrometheusBuilder::new().install_recorder()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let endpoint = tokio::spawn(serve(listener, handle));

    let sipher = FakeSipher::new();
    let sessions = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .transport(Transport::new(sipher.clone()))
        .build()?;
    let http = SessionLayer::new(sessions.clone()).layer(sipher);
    for _ in 0..3 {
        let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from("{}"))?;
        http.clone().oneshot(request).await?;
    }

    let page = reqwest::get(format!("http://{address}/metrics"))
        .await?
        .error_for_status()?
        .text()
        .await?;
    for line in page.lines().filter(|line| line.starts_with("sipher_")) {
        println!("{line}");
    }
    for line in [
        r#"sipher_session_creates_total{outcome="created"} 1"#,
        r#"sipher_session_session_calls_total{operation="create"} 1"#,
        "sipher_session_live_sessions 1",
        "sipher_session_create_duration_seconds_count 1",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }

    sessions.shutdown(Duration::from_secs(5)).await;
    endpoint.abort();
    Ok(())
}

async fn serve(listener: TcpListener, handle: PrometheusHandle) {
    while let Ok((stream, _)) = listener.accept().await {
        // If the scraper is slow or its connection fails, the scraper has to try again.
        let answer = answer(stream, handle.clone());
        tokio::spawn(tokio::time::timeout(Duration::from_secs(5), answer));
    }
}

async fn answer(mut stream: TcpStream, handle: PrometheusHandle) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < 8 * 1024 {
        request.push(stream.read_u8().await?);
    }
    handle.run_upkeep(); // otherwise the samples of histograms accumulate
    let page = handle.render();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}
