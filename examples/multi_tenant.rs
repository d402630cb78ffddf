//! Several API keys through one client, as in a proxy. Each key gets a session of its own. An event reports when more
//! of them are in use than `max_sessions` allows.
//!
//! Run it with `cargo run --example multi_tenant`. It starts a fake Sipher on a loopback port.

use std::{error::Error, time::Duration};

use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::{Value, json};
use sipher_session::{
    Chain, ErrorKind, Event, Events, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Tier},
};
use tokio::time::timeout;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sipher = FakeSipher::new();
    let server = sipher.serve().await?;
    let url = format!("{}/v1/stealth/generate", server.base_url());

    // No key is configured: each request has to carry its own.
    let sessions = SessionManager::builder()
        .base_url(server.base_url())
        .defaults(SessionDefaults::new().chain(Chain::Sui))
        .max_sessions(2)
        .build()?;
    let mut events = sessions.events();
    let client = reqwest::Client::builder()
        .redirect(sessions.redirect_policy())
        .retry(reqwest::retry::never()) // a retry below the layer carries the id of the first try
        .no_proxy() // the server is on this machine
        .build()?;
    let http = ClientBuilder::new(client)
        .with(SessionLayer::new(sessions.clone()))
        .build();

    let [anna, ben, carl] = [Tier::Pro, Tier::Pro, Tier::Enterprise].map(|t| sipher.api_key(t));
    for key in [&anna, &ben, &anna] {
        assert_eq!(forward(&http, &url, Some(key)).await?["chain"], "sui");
    }
    println!("two tenants, three requests: {:?}", sessions.stats());
    assert_eq!(sessions.stats().created, 2);
    assert_eq!(sipher.live_sessions_of(&anna), 1);
    assert_eq!(sipher.live_sessions_of(&ben), 1);

    // A third tenant, with room for two sessions. All three are in use: a session is not evicted within a minute of its
    // last use.
    forward(&http, &url, Some(&carl)).await?;
    let max_sessions = timeout(Duration::from_secs(10), crowded(&mut events)).await??;
    println!("more tenants than max_sessions({max_sessions}) has room for");
    for key in [&anna, &ben, &carl] {
        assert_eq!(forward(&http, &url, Some(key)).await?["chain"], "sui");
        assert_eq!(sipher.live_sessions_of(key), 1);
    }
    assert_eq!(sessions.stats().created, 3);

    // A request without a key is not sent.
    let sent = sipher.log().len();
    let error = match forward(&http, &url, None).await {
        Err(reqwest_middleware::Error::Middleware(error)) => {
            error.downcast::<sipher_session::Error>()?
        }
        other => return Err(format!("expected an error of the layer: {other:?}").into()),
    };
    println!("without a key: {error}");
    assert_eq!(error.kind(), ErrorKind::NoApiKey);
    assert_eq!(sipher.log().len(), sent);

    let report = sessions.shutdown(Duration::from_secs(5)).await;
    println!(
        "shut down, {} deleted: {:?}",
        report.deleted,
        sessions.stats()
    );
    assert!(report.is_clean());
    assert_eq!(sipher.live_sessions(), 0);
    sipher.assert_every_call_had_a_session();
    Ok(())
}

/// Forwards a tenant's request with the tenant's own key.
async fn forward(
    http: &ClientWithMiddleware,
    url: &str,
    key: Option<&str>,
) -> Result<Value, reqwest_middleware::Error> {
    let mut request = http.post(url).json(&json!({}));
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    let mut answer: Value = request.send().await?.error_for_status()?.json().await?;
    Ok(answer["data"].take())
}

async fn crowded(events: &mut Events) -> Result<u64, &'static str> {
    loop {
        match events.recv().await {
            Some(Event::Crowded { max_sessions, .. }) => return Ok(max_sessions),
            Some(_) => {}
            None => return Err("the manager is gone"),
        }
    }
}
