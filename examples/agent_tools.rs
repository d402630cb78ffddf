//! One agent with several tools. Most tools use the manager's defaults. One sets defaults of its own for each request,
//! and one wants no session. The manager's defaults are changed while requests are in flight.
//!
//! Run it with `cargo run --example agent_tools`. It starts a fake Sipher on a loopback port.

use std::{error::Error, time::Duration};

use reqwest_middleware::{ClientBuilder, RequestBuilder};
use serde_json::{Value, json};
use sipher_session::{
    Chain, NoSession, PrivacyLevel, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, SessionUse, Tier},
};
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sipher = FakeSipher::new();
    sipher.set_latency(Duration::from_millis(20));
    let server = sipher.serve().await?;
    let sessions = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(server.base_url())
        .defaults(
            SessionDefaults::new()
                .chain(Chain::Near)
                .privacy_level(PrivacyLevel::Shielded),
        )
        .build()?;
    let client = reqwest::Client::builder()
        .redirect(sessions.redirect_policy())
        .retry(reqwest::retry::never()) // a retry below the layer carries the id of the first try
        .no_proxy() // the server is on this machine
        .build()?;
    let http = ClientBuilder::new(client)
        .with(SessionLayer::new(sessions.clone()))
        .build();
    let address = || http.post(format!("{}/v1/stealth/generate", server.base_url()));

    // Each chain has a session of its own, created when it is first needed. The manager's defaults are not merged in.
    let maximum = SessionDefaults::new().privacy_level(PrivacyLevel::Maximum);
    for chain in [Chain::Ethereum, Chain::Bitcoin, Chain::Ethereum] {
        let defaults = maximum.clone().chain(chain.clone());
        let used = applied(address().with_extension(defaults)).await?;
        println!("asked for {chain}, used {used}");
        assert_eq!(used, in_force(chain.as_str(), "maximum"));
    }
    assert_eq!(sessions.stats().created, 2);

    // Sent with the API key only.
    let backends = http.get(format!("{}/v1/backends", server.base_url()));
    let answer = backends.with_extension(NoSession).send().await?;
    let session = sipher.log().pop().map(|exchange| exchange.session);
    println!("asked for the backends: {}, {session:?}", answer.status());
    assert_eq!(session, Some(SessionUse::None));

    let used = applied(address()).await?;
    println!("asked for nothing, used {used}");
    assert_eq!(used, in_force("near", "shielded"));

    // Requests that start before the change is complete use the older defaults. No request waits, and none fails.
    let mut meanwhile = JoinSet::new();
    for _ in 0..4 {
        meanwhile.spawn(applied(address()));
    }
    sessions.update_defaults(maximum).await?;
    let used = applied(address()).await?;
    println!("after the update, used {used}");
    assert_eq!(used, in_force("near", "maximum"));
    while let Some(used) = meanwhile.join_next().await {
        assert_eq!(used??, in_force("near", "shielded"));
    }

    let report = sessions.shutdown(Duration::from_secs(5)).await;
    println!("shut down: {} deleted", report.deleted);
    assert!(report.is_clean());
    assert_eq!(sipher.live_sessions(), 0);
    sipher.assert_no_dead_id();
    Ok(())
}

/// Sends a request, and returns the defaults that applied to it. The fake server repeats them in its answer.
async fn applied(request: RequestBuilder) -> Result<Value, reqwest_middleware::Error> {
    let response = request.json(&json!({})).send().await?;
    let mut answer: Value = response.error_for_status()?.json().await?;
    Ok(answer["data"]["applied"].take())
}

fn in_force(chain: &str, level: &str) -> Value {
    json!({ "chain": chain, "privacyLevel": level })
}
