//! `reqwest-retry` and `reqwest-tracing` above the session layer, and what goes wrong with a retry below it.
#![forbid(unsafe_code)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use reqwest_tracing::TracingMiddleware;
use serde_json::{Value, json};
use sipher_session::{
    Chain, ErrorKind, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Fault, Served, Target, Tier, What},
    with_reqwest,
};
use tokio::time::sleep;
use tracing::{Subscriber, span};
use tracing_subscriber::{Layer, layer, prelude::*};

/// The right order: each try gets a span of its own, and the session that is current at that moment.
fn right(client: reqwest::Client, sessions: SessionManager) -> ClientWithMiddleware {
    ClientBuilder::new(client)
        .with(with_reqwest::retry(policy()))
        .with(TracingMiddleware::default())
        .with(SessionLayer::new(sessions))
        .build()
}

/// The wrong order: each try carries the session id of the first one, and all of them share one span.
fn wrong(client: reqwest::Client, sessions: SessionManager) -> ClientWithMiddleware {
    ClientBuilder::new(client)
        .with(TracingMiddleware::default())
        .with(SessionLayer::new(sessions))
        .with(RetryTransientMiddleware::new_with_policy(policy()))
        .build()
}

/// The right order without `with_reqwest::retry`: by default, `reqwest-retry` retries no error of a middleware.
fn plain(client: reqwest::Client, sessions: SessionManager) -> ClientWithMiddleware {
    ClientBuilder::new(client)
        .with(RetryTransientMiddleware::new_with_policy(policy()))
        .with(TracingMiddleware::default())
        .with(SessionLayer::new(sessions))
        .build()
}

fn policy() -> ExponentialBackoff {
    let (min, max) = (Duration::from_millis(10), Duration::from_millis(100));
    ExponentialBackoff::builder()
        .retry_bounds(min, max)
        .build_with_max_retries(3)
}

type Stack = fn(reqwest::Client, SessionManager) -> ClientWithMiddleware;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let spans = Spans::default();
    tracing_subscriber::registry().with(spans.clone()).init();

    // The server restarts during a call. The gateway answers 521, and the call is retried.
    let chain = across_a_restart(right).await?;
    println!("retry above the session layer: answered for {chain}");
    ensure!(chain == "near");
    let tries = spans.take();
    ensure!(tries == 4, "a span for each try: {tries}");

    let chain = across_a_restart(wrong).await?;
    println!("retry below the session layer: answered for {chain}");
    ensure!(chain == "solana", "the wrong order did no harm");
    let calls = spans.take();
    ensure!(calls == 3, "a span for each call: {calls}");

    // The server asks for fewer calls when the session is created. So there is no session for a second.
    let failed = without_a_session(right).await?;
    println!("with_reqwest::retry: {failed:?}");
    ensure!(failed.is_none());
    let failed = without_a_session(plain).await?;
    println!("reqwest-retry on its own: {failed:?}");
    ensure!(failed.is_some_and(ErrorKind::is_transient));
    Ok(())
}

/// Returns the chain that the retry was answered for.
async fn across_a_restart(stack: Stack) -> Result<String> {
    let agent = Agent::start(stack, Duration::from_secs(10)).await?;
    let mut events = agent.sessions.events();
    ensure!(agent.generate().await? == "near");

    sleep(support::UPTIME).await;
    agent.sipher.restart();
    agent
        .sipher
        .fault(Fault::new(What::Cloudflare(521)).on(Target::Calls));
    let chain = agent.generate().await?;

    // The wrong order is not silent: the retry's answer reveals the restart, and an event reports that the answer may
    // be wrong.
    ensure!(agent.generate().await? == "near");
    support::check_calls(&agent.sipher, &mut events, &["near"]).await?;
    agent.stop().await?;
    Ok(chain)
}

/// Returns why the call failed, if it did.
async fn without_a_session(stack: Stack) -> Result<Option<ErrorKind>> {
    let agent = Agent::start(stack, Duration::from_millis(500)).await?;
    let fewer_calls = What::RateLimited {
        retry_after: Some(1),
        in_body: true,
    };
    agent
        .sipher
        .fault(Fault::new(fewer_calls).on(Target::Create));
    let outcome = agent.generate().await;
    agent.sipher.assert_every_call_had_a_session();
    agent.stop().await?;
    match outcome {
        Ok(chain) if chain == "near" => Ok(None),
        Ok(chain) => bail!("answered for {chain}"),
        Err(error) => {
            let error = sipher_session::Error::find(&error).context("another error")?;
            Ok(Some(error.kind()))
        }
    }
}

struct Agent {
    sipher: FakeSipher,
    server: Served,
    sessions: SessionManager,
    http: ClientWithMiddleware,
}

impl Agent {
    async fn start(stack: Stack, max_wait: Duration) -> Result<Self> {
        let sipher = FakeSipher::new();
        let server = sipher.serve().await?;
        let sessions = SessionManager::builder()
            .api_key(sipher.api_key(Tier::Pro))
            .base_url(server.base_url())
            .defaults(SessionDefaults::new().chain(Chain::Near))
            .max_wait(max_wait)
            .build()?;
        let client = reqwest::Client::builder()
            .redirect(sessions.redirect_policy())
            .retry(reqwest::retry::never())
            .build()?;
        Ok(Self {
            http: stack(client, sessions.clone()),
            sipher,
            server,
            sessions,
        })
    }

    /// Returns the chain that the answer is for.
    async fn generate(&self) -> Result<String, reqwest_middleware::Error> {
        let url = format!("{}/v1/stealth/generate", self.server.base_url());
        let answer = self.http.post(url).json(&json!({})).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        Ok(answer["data"]["chain"].to_string().replace('"', ""))
    }

    async fn stop(self) -> Result<()> {
        let report = self.sessions.shutdown(Duration::from_secs(5)).await;
        support::check_end(&self.sipher, &report)
    }
}

/// Counts the spans of `reqwest-tracing`. A program of your own would export them.
#[derive(Clone, Default)]
struct Spans(Arc<AtomicUsize>);

impl Spans {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl<S: Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, span: &span::Attributes<'_>, _: &span::Id, _: layer::Context<'_, S>) {
        if span.metadata().name() == "HTTP request" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
