//! Wraps an existing `reqwest` client. Its requests to Sipher carry a live session, and all other requests pass
//! unchanged.
//!
//! Run it with `cargo run --example reqwest_client`. It starts a fake Sipher on a loopback port.

use std::{error::Error, time::Duration};

use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::{Value, json};
use sipher_session::{
    Chain, PrivacyLevel, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Tier},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sipher = FakeSipher::new();
    let server = sipher.serve().await?;
    println!("a Sipher for this example listens on {}", server.base_url());

    // Once, at start-up. Nothing is sent yet.
    let sessions = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(server.base_url())
        .defaults(
            SessionDefaults::new()
                .chain(Chain::Near)
                .privacy_level(PrivacyLevel::Maximum),
        )
        .build()?;
    assert_eq!(sipher.session_calls(), 0);

    // The client that the program already has. It follows redirects below the layer. With this policy, it follows none
    // that leaves Sipher.
    let client = reqwest::Client::builder()
        .redirect(sessions.redirect_policy())
        .retry(reqwest::retry::never()) // a retry below the layer carries the id of the first try
        .no_proxy() // the server is on this machine
        .timeout(Duration::from_secs(10))
        .build()?;
    let http = ClientBuilder::new(client)
        .with(SessionLayer::new(sessions.clone()))
        .build();

    // The requests name neither chain nor level. The first request waits for the session, and the others use it.
    let url = format!("{}/v1/stealth/generate", server.base_url());
    for _ in 0..3 {
        let data = generate(&http, &url).await?;
        println!("used {} and {}", data["chain"], data["applied"]);
        assert_eq!(data["chain"], "near");
        assert_eq!(data["applied"]["privacyLevel"], "maximum");
    }
    assert_eq!(sipher.session_calls(), 1, "one create for all three");
    sipher.assert_every_call_had_a_session();

    let report = sessions.shutdown(Duration::from_secs(5)).await;
    println!(
        "shut down: {} deleted, {} left to expire, {} failed",
        report.deleted, report.left_to_expire, report.failed
    );
    assert!(report.is_clean());
    assert_eq!(sipher.live_sessions(), 0);

    // From now on, no request is sent: without a session, it would be answered under the server's own defaults.
    let Err(error) = generate(&http, &url).await else {
        return Err("a request was sent after the shutdown".into());
    };
    println!("after the shutdown: {error}");
    sipher.assert_every_call_had_a_session();
    Ok(())
}

async fn generate(
    http: &ClientWithMiddleware,
    url: &str,
) -> Result<Value, reqwest_middleware::Error> {
    let response = http.post(url).json(&json!({})).send().await?;
    let mut answer: Value = response.error_for_status()?.json().await?;
    Ok(answer["data"].take())
}
