//! Agents that stop by a `CancellationToken` and a `TaskTracker`. Their sessions are deleted after the last of them has
//! stopped.
#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error};
use reqwest_retry::policies::ExponentialBackoff;
use serde_json::{Value, json};
use sipher_session::{
    Chain, ErrorKind, SessionDefaults, SessionLayer, SessionManager, ShutdownReport,
    testing::{FakeSipher, Operation, Tier},
    with_reqwest,
};
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// One agent with an API key of its own. It completes its current piece of work before it stops.
async fn agent(
    http: ClientWithMiddleware,
    api_key: String,
    stop: CancellationToken,
) -> Result<u64> {
    let mut done = 0;
    while !stop.is_cancelled() {
        // Two calls belong together: an agent does not stop between them.
        for _ in 0..2 {
            let answer = generate(&http, &api_key).await?;
            ensure!(answer["data"]["chain"] == "near", "{answer}");
            done += 1;
        }
        tokio::select! {
            () = sleep(Duration::from_secs(30)) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(done)
}

async fn generate(http: &ClientWithMiddleware, api_key: &str) -> Result<Value, Error> {
    let request = http
        .post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
        .header("x-api-key", api_key)
        .json(&json!({}));
    Ok(request.send().await?.error_for_status()?.json().await?)
}

/// Stops the agents first, and then deletes their sessions. Together that takes less time than a platform allows
/// between SIGTERM and SIGKILL.
async fn shut_down(
    stop: &CancellationToken,
    agents: &TaskTracker,
    sessions: &SessionManager,
) -> Result<ShutdownReport> {
    stop.cancel();
    agents.close();
    if timeout(Duration::from_secs(10), agents.wait())
        .await
        .is_err()
    {
        eprintln!("{} agents are still at work", agents.len());
    }
    let report = sessions.shutdown(Duration::from_secs(5)).await;
    if !report.is_clean() {
        eprintln!("sessions are left on the server: {report}");
    }
    Ok(report)
}

// Time is paused, so hours take no real time. The server is in this process too, as the last middleware.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let sipher = FakeSipher::new();
    sipher.set_latency(Duration::from_millis(200));
    let sessions = sipher
        .manager()
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .build()?;
    let mut events = sessions.events();
    // A restart between two calls costs one wrong answer. A checked layer withholds the answer, and the call is
    // retried.
    let policy = ExponentialBackoff::builder().build_with_max_retries(3);
    let http = ClientBuilder::new(reqwest::Client::new())
        .with(with_reqwest::retry(policy))
        .with(SessionLayer::new(sessions.clone()).checked())
        .with(sipher.clone())
        .build();

    let (stop, agents) = (CancellationToken::new(), TaskTracker::new());
    let at_work: Vec<_> = (0..3)
        .map(|_| {
            let api_key = sipher.api_key(Tier::Pro);
            agents.spawn(agent(http.clone(), api_key, stop.child_token()))
        })
        .collect();

    // Three hours with sessions of one hour each, which are renewed. Then the server restarts between two calls.
    sleep(Duration::from_secs(3 * 3600 + 10)).await;
    sipher.assert_every_call_had_a_session();
    ensure!(sipher.live_sessions() == 3);
    ensure!(sipher.count(Operation::Create) <= 3 * 5, "{sipher:?}");
    sipher.restart();
    sleep(Duration::from_secs(300)).await;
    ensure!(
        sipher.live_sessions() == 3,
        "new sessions after the restart"
    );

    // In production, SIGTERM starts this. Here each agent is in the middle of a call.
    sleep(Duration::from_secs(19)).await;
    let calls = support::calls(&sipher).len();
    let report = shut_down(&stop, &agents, &sessions).await?;
    println!("{report}");

    let mut done = 0;
    for agent in at_work {
        done += agent.await??;
    }
    let withheld = sessions.stats().wrong_defaults;
    println!("{calls} calls before the shutdown, {done} in all, {withheld} answers withheld");
    ensure!(withheld > 0);
    let all = usize::try_from(done + withheld)?;
    ensure!(support::calls(&sipher).len() == all);
    ensure!(report.deleted == 3);
    support::check_calls(&sipher, &mut events, &["near"]).await?;
    support::check_end(&sipher, &report)?;

    // A call after the shutdown fails, and nothing is sent.
    let late = generate(&http, "sk_pro_1")
        .await
        .err()
        .context("sent after the shutdown")?;
    let late = sipher_session::Error::find(&late).context("another error")?;
    println!("after the shutdown: {late}");
    ensure!(late.kind() == ErrorKind::Shutdown);
    ensure!(support::calls(&sipher).len() == all);
    Ok(())
}
