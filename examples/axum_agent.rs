//! An agent as a web service: one manager, two chains, and no session left on the server after a stop.
//!
//! `cargo run --example axum_agent` calls itself a few times and ends. With `-- --serve` it runs until SIGTERM or
//! Ctrl-C.
//!
//! `AXUM_AGENT_ADDR` is the address to listen on. By default it is a free port of 127.0.0.1. The settings come from
//! `SIPHER_…` variables, the defaults too, but each route has its own chain. If no API key is among them, the example
//! starts a fake Sipher.

use std::{env, error::Error, future::Future, io, net::SocketAddr, time::Duration};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::{Value, json};
use sipher_session::{
    Chain, ErrorKind, PrivacyLevel, SessionConfig, SessionLayer, SessionManager,
    testing::{FakeSipher, Served, Tier},
};
use tokio::{net::TcpListener, sync::oneshot, time::timeout};

/// The sum is less than the time that container platforms allow between SIGTERM and SIGKILL.
const FOR_CALLERS: Duration = Duration::from_secs(4);
const FOR_SESSIONS: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Listen for signals before anything else, so that none is missed.
    let told_to_stop = signals()?;
    let mut config = SessionConfig::from_env()?;
    let own_sipher = if config.api_key.is_none() && config.api_key_file.is_none() {
        Some(embed(&mut config).await?)
    } else {
        None
    };
    config
        .defaults
        .privacy_level
        .get_or_insert(PrivacyLevel::Shielded);
    let sessions = SessionManager::from_config(config)?;
    let url = format!("{}/v1/stealth/generate", sessions.base_url());

    let client = reqwest::Client::builder()
        .redirect(sessions.redirect_policy())
        .retry(reqwest::retry::never()) // a retry below the layer carries the id of the first try
        .timeout(Duration::from_secs(10))
        .build()?;
    let address_on = |chain| {
        // The defaults of a layer are exact, and nothing is merged in. So start from the manager's.
        let defaults = sessions.defaults().chain(chain);
        let layer = SessionLayer::new(sessions.clone()).defaults(defaults);
        let http = ClientBuilder::new(client.clone()).with(layer).build();
        post(address).with_state((http, url.clone()))
    };
    let routes = Router::new()
        .route("/near/address", address_on(Chain::Near))
        .route("/ethereum/address", address_on(Chain::Ethereum));

    let listen_on = env::var("AXUM_AGENT_ADDR").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(listen_on).await?;
    let own_address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, routes).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());
    println!("listening on {own_address}");

    let stay = env::args().any(|argument| argument == "--serve");
    let outcome = tokio::select! {
        () = told_to_stop => Ok(()),
        visited = visit(own_address), if !stay => visited,
    };

    // Stop the server first, so that its last requests still have a session. Then delete the sessions.
    println!("stopping");
    let _ = stop.send(());
    if timeout(FOR_CALLERS, server).await.is_err() {
        println!("some callers were still there");
    }
    println!("{}", sessions.shutdown(FOR_SESSIONS).await);

    if let Some((sipher, _)) = own_sipher {
        println!("sessions still alive: {}", sipher.live_sessions());
        assert_eq!(sipher.live_sessions(), 0);
        sipher.assert_every_call_had_a_session();
    }
    outcome
}

/// Handles the route of any chain. The session of the route's layer has the chain.
async fn address(
    State((http, url)): State<(ClientWithMiddleware, String)>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let answer = async {
        let response = http.post(url).json(&json!({})).send().await?;
        Ok(response.error_for_status()?.json::<Value>().await?)
    };
    answer.await.map(Json).map_err(|error| handed_on(&error))
}

/// Chooses the status for an error. If there is no session, the error's kind suggests one. But the API key is the
/// agent's own, and its callers cannot correct it, so they do not get a 401.
fn handed_on(error: &reqwest_middleware::Error) -> (StatusCode, String) {
    let kind = sipher_session::Error::find(error).map(sipher_session::Error::kind);
    let status = kind.map(ErrorKind::suggested_status);
    let status = status.filter(|status| *status != StatusCode::UNAUTHORIZED);
    (status.unwrap_or(StatusCode::BAD_GATEWAY), error.to_string())
}

/// Starts a fake Sipher in this process, and configures the agent to use it.
async fn embed(config: &mut SessionConfig) -> io::Result<(FakeSipher, Served)> {
    let sipher = FakeSipher::new();
    let served = sipher.serve().await?;
    config.api_key = Some(sipher.api_key(Tier::Pro).into());
    config.base_url = Some(served.base_url());
    Ok((sipher, served))
}

/// Calls the agent like one of its callers, over real sockets.
async fn visit(agent: SocketAddr) -> Result<(), Box<dyn Error>> {
    let client = reqwest::Client::new();
    for chain in ["near", "ethereum", "near"] {
        let request = client.post(format!("http://{agent}/{chain}/address"));
        let response = request.send().await?;
        if !response.status().is_success() {
            return Err(response.text().await?.into()); // the body says why
        }
        let answer: Value = response.json().await?;
        println!("asked for {chain}, used {}", answer["data"]["chain"]);
        if answer["data"]["chain"] != chain {
            return Err(format!("not {chain}: {answer}").into());
        }
    }
    Ok(())
}

#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
