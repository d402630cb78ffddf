//! A tool of a rig agent that calls Sipher. The agent's own calls to its model may go through the same client.
#![forbid(unsafe_code)]

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use rig_core::{
    prelude::*,
    providers::openai,
    tool::{Tool, ToolFailure},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sipher_session::{
    Chain, InlineDefaults, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Operation, Tier},
};
use tokio::net::TcpListener;

/// The tool holds the client. The session decides on the chain, so the model cannot choose another one.
struct StealthAddress {
    http: ClientWithMiddleware,
    url: String,
}

#[derive(Deserialize)]
struct NoArguments {}

impl Tool for StealthAddress {
    const NAME: &'static str = "stealth_address";

    type Error = reqwest_middleware::Error;
    type Args = NoArguments;
    type Output = Value;

    fn description(&self) -> String {
        "Makes a stealth address".to_owned()
    }

    fn parameters(&self) -> Value {
        json!({ "type": "object", "properties": {} })
    }

    async fn call(&self, _: NoArguments) -> Result<Value, Self::Error> {
        let answer = self.http.post(&self.url).json(&json!({})).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Says whether another try can help.
    fn classify_error(&self, error: &Self::Error) -> ToolFailure {
        let failure = ToolFailure::network(error.to_string());
        match sipher_session::Error::find(error) {
            Some(error) => failure.with_retryable(error.is_transient()),
            None => failure,
        }
    }
}

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
    let client = reqwest::Client::builder()
        .redirect(sessions.redirect_policy())
        .retry(reqwest::retry::never())
        .build()?;
    let http = ClientBuilder::new(client)
        .with(SessionLayer::new(sessions.clone()))
        .build();

    // The model is called through the same client. The layer passes requests on unchanged if they are not for Sipher.
    let model = Model::start().await?;
    let agent = openai::CompletionsClient::builder()
        .api_key("the model's key")
        .base_url(&model.url)
        .http_client(http.clone())
        .build()?
        .agent("a-model")
        .tool(StealthAddress {
            url: format!("{}/v1/stealth/generate", server.base_url()),
            http,
        })
        .default_max_turns(3)
        .build();

    for _ in 0..3 {
        ensure!(agent.prompt("An address, please.").await? == "It is on near.");
    }
    ensure!(sipher.count(Operation::Create) == 1);

    // The server restarts between two prompts, and forgets the session.
    support::restart(&sipher, &mut server).await?;
    while !support::have_sessions(&sipher, &["near"]) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ensure!(agent.prompt("Another one, please.").await? == "It is on near.");
    }

    let report = sessions.shutdown(Duration::from_secs(5)).await;
    println!("{report}");
    for headers in model.requests() {
        ensure!(headers["authorization"] == "Bearer the model's key");
        ensure!(!headers.contains_key("x-session-id") && !headers.contains_key("x-api-key"));
    }
    support::check_calls(&sipher, &mut events, &["near"]).await?;
    support::check_end(&sipher, &report)
}

/// Replaces a model: it calls the tool, and then says which chain the tool's answer names.
struct Model {
    url: String,
    requests: Requests,
}

type Requests = Arc<Mutex<Vec<HeaderMap>>>;

impl Model {
    async fn start() -> Result<Self> {
        let requests = Requests::default();
        let route = post(complete).with_state(requests.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let serve = axum::serve(listener, Router::new().route("/chat/completions", route));
        tokio::spawn(async { serve.await });
        Ok(Self { url, requests })
    }

    fn requests(&self) -> Vec<HeaderMap> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn complete(
    State(requests): State<Requests>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Json<Value> {
    requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(headers);
    let last = request["messages"]
        .as_array()
        .and_then(|messages| messages.last());
    let message = match last {
        Some(last) if last["role"] == "tool" => {
            let answer = last["content"].to_string();
            let chains = ["near", "solana"];
            let chain = chains.into_iter().find(|chain| answer.contains(chain));
            json!({ "role": "assistant", "content": format!("It is on {}.", chain.unwrap_or("nothing")) })
        }
        _ => json!({ "role": "assistant", "content": "", "tool_calls": [{
            "id": "call_1", "type": "function", "function": { "name": "stealth_address", "arguments": "{}" }
        }] }),
    };
    Json(json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "a-model",
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 }
    }))
}
