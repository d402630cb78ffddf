//! hyper-util's client in a tower stack. The session calls use a hyper-util client too, so `reqwest` is not needed.
//!
//! Run it with `cargo run --example hyper_client`. It starts a fake Sipher on a loopback port.

use std::{error::Error, time::Duration};

use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde_json::Value;
use sipher_session::{
    Chain, SessionDefaults, SessionLayer, SessionManager,
    api::{Bytes, Transport},
    testing::{FakeSipher, Operation, Tier},
};
use tower::{Service, ServiceBuilder, ServiceExt, timeout::TimeoutLayer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let sipher = FakeSipher::new();
    let server = sipher.serve().await?;
    println!("a Sipher for this example listens on {}", server.base_url());

    // The session calls have a client of their own, so they never wait for a place in the stack below.
    let sessions = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(server.base_url())
        .defaults(SessionDefaults::new().chain(Chain::Aptos))
        .transport(Transport::new(client()))
        .build()?;

    let mut service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(10)))
        .layer(SessionLayer::new(sessions.clone()))
        .concurrency_limit(8)
        .service(client());

    let url: Uri = format!("{}/v1/stealth/generate", server.base_url()).parse()?;
    for _ in 0..3 {
        let request = Request::post(&url)
            .header("content-type", "application/json")
            .body(Full::from("{}"))?;
        let response = service.ready().await?.call(request).await?;
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&body)?;
        println!("used {}", answer["data"]["chain"]);
        assert_eq!(answer["data"]["chain"], "aptos");
    }
    assert_eq!(sipher.count(Operation::Create), 1);
    sipher.assert_every_call_had_a_session();

    let report = sessions.shutdown(Duration::from_secs(5)).await;
    println!("shut down: {} deleted", report.deleted);
    assert!(report.is_clean());
    assert_eq!(sipher.live_sessions(), 0);
    Ok(())
}

/// Builds a client that closes idle connections after 4 s. Sipher closes them after 5 s.
fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(4))
        .build_http()
}
