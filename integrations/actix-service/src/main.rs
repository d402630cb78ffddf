//! An agent as an actix-web service. Each worker has a runtime of its own, and all share one manager.
#![forbid(unsafe_code)]

use std::{net::SocketAddr, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, http::StatusCode, web};
use anyhow::{Context, Result, ensure};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::{Value, json};
use sipher_session::{
    Chain, InlineDefaults, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Operation, Tier},
};
use tokio::{task::JoinSet, time::sleep};

/// Creates a client for each worker: the runtime that opened a connection drives it, and the connection ends with the
/// runtime.
fn client(sessions: &SessionManager) -> Result<ClientWithMiddleware, reqwest::Error> {
    let client = reqwest::Client::builder()
        .redirect(sessions.redirect_policy())
        .retry(reqwest::retry::never())
        .build()?;
    let layer = SessionLayer::new(sessions.clone());
    Ok(ClientBuilder::new(client).with(layer).build())
}

async fn address(
    http: web::Data<ClientWithMiddleware>,
    sessions: web::Data<SessionManager>,
) -> HttpResponse {
    let url = format!("{}/v1/stealth/generate", sessions.base_url());
    let answer = async {
        let answer = http.post(url).json(&json!({})).send().await?;
        Ok::<String, reqwest_middleware::Error>(answer.error_for_status()?.text().await?)
    };
    match answer.await {
        Ok(answer) => HttpResponse::Ok()
            .content_type("application/json")
            .body(answer),
        Err(error) => HttpResponse::build(status(&error)).body(error.to_string()),
    }
}

/// Returns the status for a caller. A 401 would not help the caller: the API key is the agent's own.
fn status(error: &reqwest_middleware::Error) -> StatusCode {
    let kind = sipher_session::Error::find(error).map(sipher_session::Error::kind);
    // actix-web has a status type of its own, of an older version of the crate http.
    let status = kind.map(|kind| kind.suggested_status().as_u16());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    status
        .filter(|status| *status != StatusCode::UNAUTHORIZED)
        .unwrap_or(StatusCode::BAD_GATEWAY)
}

async fn ready(sessions: web::Data<SessionManager>) -> HttpResponse {
    if sessions.health().is_ready() {
        HttpResponse::Ok().finish()
    } else {
        HttpResponse::ServiceUnavailable().finish()
    }
}

// The program's runtime outlives those of the workers. Tasks that a worker leaves behind continue here.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let sipher = FakeSipher::new();
    let mut server = sipher.serve().await?;
    let sessions = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(server.base_url())
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .inline_defaults(InlineDefaults::Always)
        .build()?;
    let mut events = sessions.events();

    let for_workers = sessions.clone();
    let agent = HttpServer::new(move || {
        let http = client(&for_workers).expect("the settings of this client are fine");
        App::new()
            .app_data(web::Data::new(http))
            .app_data(web::Data::new(for_workers.clone()))
            .route("/address", web::post().to(address))
            .route("/ready", web::get().to(ready))
    })
    .workers(2)
    .disable_signals() // the program stops the server itself; leave them on in a service
    .bind("127.0.0.1:0")?;
    let address = *agent.addrs().first().context("no address")?;
    let agent = agent.run();
    let handle = agent.handle();
    let serving = tokio::spawn(agent);

    // Callers at both workers share one session.
    visit(address, 16).await?;
    ensure!(sipher.count(Operation::Create) == 1);

    // The server restarts and forgets the session. Every answer is still for the right chain.
    support::restart(&sipher, &mut server).await?;
    while !support::have_sessions(&sipher, &["near"]) {
        sleep(Duration::from_millis(50)).await;
        visit(address, 16).await?;
    }
    let probe = reqwest::get(format!("http://{address}/ready")).await?;
    ensure!(probe.status() == 200);

    // In production, SIGTERM starts this. Calls in flight still have a session, because the sessions are deleted last.
    sipher.set_latency(Duration::from_millis(300));
    let before = support::calls(&sipher).len();
    let late = tokio::spawn(visit(address, 4));
    while support::calls(&sipher).len() < before + 4 {
        sleep(Duration::from_millis(10)).await;
    }
    handle.stop(true).await;
    late.await??;
    serving.await??;
    let report = sessions.shutdown(Duration::from_secs(5)).await;
    println!("{report}");

    support::check_calls(&sipher, &mut events, &["near"]).await?;
    support::check_end(&sipher, &report)
}

/// Asks for `callers` addresses, all at the same time.
async fn visit(agent: SocketAddr, callers: usize) -> Result<()> {
    let client = reqwest::Client::new();
    let mut visits = JoinSet::new();
    for _ in 0..callers {
        let request = client.post(format!("http://{agent}/address"));
        visits.spawn(async move {
            let answer: Value = request.send().await?.error_for_status()?.json().await?;
            ensure!(answer["data"]["chain"] == "near", "{answer}");
            Ok(())
        });
    }
    while let Some(visit) = visits.join_next().await {
        visit??;
    }
    Ok(())
}
