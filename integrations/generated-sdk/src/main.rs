//! Sipher's Rust client, as openapi-generator writes it, with sessions below it.
//!
//! Run `./generate`, and then `cargo run`. It calls a fake Sipher on a loopback port.

#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest_middleware::ClientBuilder;
use serde_json::{from_value, json};
use sipher_client::{
    apis::{
        Error as SdkError,
        configuration::{ApiKey, Configuration},
        health_api::get_health,
        sessions_api::create_session,
        stealth_api::stealth_generate,
    },
    models::{
        CreateSessionRequest, CreateSessionRequestDefaults, StealthGenerateRequest,
        StealthMetaAddress,
    },
};
use sipher_session::{
    Chain, Error, ErrorKind, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Operation, Tier},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let sipher = FakeSipher::new();
    let server = sipher.serve().await?;
    let key = sipher.api_key(Tier::Pro);

    // Once, at start-up.
    let sessions = SessionManager::builder()
        .api_key(key.clone())
        .base_url(server.base_url())
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .clock(sipher.clock())
        .build()?;
    let client = reqwest::Client::builder()
        .redirect(sessions.redirect_policy())
        .retry(reqwest::retry::never())
        .build()?;
    let sdk = Configuration {
        base_path: server.base_url(),
        client: ClientBuilder::new(client)
            .with(SessionLayer::new(sessions.clone()))
            .build(),
        api_key: Some(ApiKey { prefix: None, key }),
        ..Configuration::new()
    };

    // The first call creates the session, and later ones use it.
    for _ in 0..3 {
        stealth_generate(&sdk, StealthGenerateRequest::new()).await?;
    }
    ensure!(sessions.stats().created == 1, "{:?}", sessions.stats());
    every_call_was_for_near(&sipher)?;

    // Fifty-eight of the session's sixty minutes pass: it is replaced before it expires.
    sipher.clock().suspend(Duration::from_secs(58 * 60));
    stealth_generate(&sdk, StealthGenerateRequest::new()).await?;
    let mut patience = 200;
    while sessions.stats().created < 2 && patience > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        stealth_generate(&sdk, StealthGenerateRequest::new()).await?;
        patience -= 1;
    }
    ensure!(sessions.stats().created == 2, "{:?}", sessions.stats());

    // The server restarts between two calls, so no call fails. The manager finds it out and creates another session.
    sipher.restart();
    sipher.clock().suspend(Duration::from_secs(120));
    stealth_generate(&sdk, StealthGenerateRequest::new()).await?;
    ensure!(sessions.stats().created == 3, "{:?}", sessions.stats());
    every_call_was_for_near(&sipher)?;
    sipher.assert_no_dead_id();

    // Calls that need no session get none.
    get_health(&sdk).await?;

    sessions.shutdown(Duration::from_secs(5)).await;
    ensure!(sipher.live_sessions() == 0, "a session was left behind");
    let refused = stealth_generate(&sdk, StealthGenerateRequest::new()).await;
    let reason = refused
        .as_ref()
        .err()
        .and_then(|error| Error::find(error))
        .map(Error::kind);
    ensure!(reason == Some(ErrorKind::Shutdown), "{refused:?}");

    what_the_sdk_cannot_read(&sdk, &sipher).await
}

fn every_call_was_for_near(sipher: &FakeSipher) -> Result<()> {
    let log = sipher.log();
    let mut calls = log
        .iter()
        .filter(|call| call.path.starts_with("/v1/stealth"));
    let is_near = calls.all(|call| call.chain.as_deref() == Some("near"));
    ensure!(is_near, "{log:#?}");
    Ok(())
}

/// Shows two faults of the generated client, which no middleware can repair.
async fn what_the_sdk_cannot_read(sdk: &Configuration, sipher: &FakeSipher) -> Result<()> {
    // The client reads times in milliseconds as 32-bit numbers. So the session is created, but its id is lost.
    let request = CreateSessionRequest::new(CreateSessionRequestDefaults::new());
    let created = create_session(sdk, request).await;
    ensure!(matches!(created, Err(SdkError::Serde(_))), "{created:?}");
    ensure!(sipher.count(Operation::Create) == 4);

    // The client reads addresses on Solana only.
    let address = json!({ "spendingKey": "0x01", "viewingKey": "0x02", "chain": "near" });
    ensure!(from_value::<StealthMetaAddress>(address).is_err());
    Ok(())
}
