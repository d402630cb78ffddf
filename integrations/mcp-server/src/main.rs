//! An MCP server whose tools call Sipher. Each tool that needs another chain has a client of its own.
#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use rmcp::{
    ErrorData, ServiceExt,
    model::CallToolRequestParams,
    service::{RoleClient, RunningService},
    tool, tool_router,
};
use serde_json::{Value, json};
use sipher_session::{
    Chain, InlineDefaults, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Operation, Tier},
};

#[derive(Clone)]
struct Wallet {
    near: ClientWithMiddleware,
    ethereum: ClientWithMiddleware,
    url: String,
}

#[tool_router(server_handler)]
impl Wallet {
    #[tool(description = "Makes a stealth address on NEAR")]
    async fn near_address(&self) -> Result<String, ErrorData> {
        self.address(&self.near).await
    }

    #[tool(description = "Makes a stealth address on Ethereum")]
    async fn ethereum_address(&self) -> Result<String, ErrorData> {
        self.address(&self.ethereum).await
    }
}

impl Wallet {
    fn new(sessions: &SessionManager) -> Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(sessions.redirect_policy())
            .retry(reqwest::retry::never())
            .build()?;
        let on = |chain| {
            let defaults = sessions.defaults().chain(chain);
            let layer = SessionLayer::new(sessions.clone()).defaults(defaults);
            ClientBuilder::new(client.clone()).with(layer).build()
        };
        Ok(Self {
            near: on(Chain::Near),
            ethereum: on(Chain::Ethereum),
            url: format!("{}/v1/stealth/generate", sessions.base_url()),
        })
    }

    async fn address(&self, http: &ClientWithMiddleware) -> Result<String, ErrorData> {
        let answer = async {
            let answer = http.post(&self.url).json(&json!({})).send().await?;
            Ok(answer.error_for_status()?.text().await?)
        };
        answer.await.map_err(failed)
    }
}

/// Turns a failure into an error for the model, which may try again later if that helps. The model sees no key and no
/// session id: no error of the session layer contains them.
fn failed(error: reqwest_middleware::Error) -> ErrorData {
    let session = sipher_session::Error::find(&error);
    let retry_after = session.and_then(sipher_session::Error::retry_after);
    let data = retry_after.map(|after| json!({ "retry_after_secs": after.as_secs() }));
    ErrorData::internal_error(error.to_string(), data)
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
    sessions.session().await?; // optional: the first call does not have to wait for it

    // A program of yours would serve `rmcp::transport::stdio()`.
    let (ours, theirs) = tokio::io::duplex(4096);
    let wallet = Wallet::new(&sessions)?;
    let serving =
        tokio::spawn(async move { wallet.serve(ours).await?.waiting().await.context("gone") });
    let client = ().serve(theirs).await?;
    ensure!(client.list_all_tools().await?.len() == 2);

    // However many calls there are, each chain has one session.
    for _ in 0..5 {
        ensure!(call(&client, "near_address").await? == "near");
        ensure!(call(&client, "ethereum_address").await? == "ethereum");
    }
    ensure!(sipher.count(Operation::Create) == 2);

    // The server restarts between two calls, and forgets both sessions. Every answer is still for the tool's chain.
    support::restart(&sipher, &mut server).await?;
    while !support::have_sessions(&sipher, &["near", "ethereum"]) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ensure!(call(&client, "near_address").await? == "near");
        ensure!(call(&client, "ethereum_address").await? == "ethereum");
    }

    client.cancel().await?;
    serving.await??;
    let report = sessions.shutdown(Duration::from_secs(5)).await;
    println!("{report}");
    support::check_calls(&sipher, &mut events, &["near", "ethereum"]).await?;
    support::check_end(&sipher, &report)
}

/// Calls a tool as a model would, and returns the chain of its answer.
async fn call(client: &RunningService<RoleClient, ()>, tool: &'static str) -> Result<String> {
    let result = client.call_tool(CallToolRequestParams::new(tool)).await?;
    let text = result.content.first().and_then(|content| content.as_text());
    let answer: Value = serde_json::from_str(&text.context("no text")?.text)?;
    let chain = answer["data"]["chain"].as_str();
    Ok(chain.context("no chain")?.to_owned())
}
