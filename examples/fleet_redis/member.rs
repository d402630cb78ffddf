//! One process of the fleet. Your own program would do the same.

use std::{env, time::Duration};

use sipher_session::{Chain, SessionDefaults, SessionLayer, SessionManager, store::RedisStore};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{MEMBER_LEASE, Result};

/// The argument with which the program runs as a process of the fleet.
pub(crate) const ARGUMENT: &str = "member";

/// Carries out the orders on its standard input, one in each line.
pub(crate) async fn run() -> Result {
    let base_url = env::var("SIPHER_BASE_URL")?;
    let sessions = SessionManager::builder()
        .api_key(env::var("SIPHER_API_KEY")?)
        .base_url(&base_url)
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .store(RedisStore::connect(&env::var("REDIS_URL")?)?)
        .member_lease(MEMBER_LEASE)
        .build()?;
    let client = reqwest::Client::builder()
        .redirect(sessions.redirect_policy())
        .build()?;
    let http = reqwest_middleware::ClientBuilder::new(client)
        .with(SessionLayer::new(sessions.clone()))
        .build();

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.as_str() {
            "call" => {
                let url = format!("{base_url}/v1/stealth/generate");
                let request = http.post(url).header("content-type", "application/json");
                let answer = request.body("{}").send().await?;
                println!("{}", answer.status());
            }
            _ => break,
        }
    }
    println!("{}", sessions.shutdown(Duration::from_secs(5)).await);
    Ok(())
}
