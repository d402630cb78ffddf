//! Payments by `x402-reqwest` above the session layer: the request that is paid for has a session too.
#![forbid(unsafe_code)]

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use serde_json::{Value, json};
use sipher_session::{
    Chain, InlineDefaults, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Fault, Operation, Target, Tier, What},
};
use x402_reqwest::X402Client;
use x402_types::{
    proto::{PaymentRequired, v2::PaymentRequirements},
    scheme::{
        X402SchemeId,
        client::{PaymentCandidate, PaymentCandidateSigner, X402Error, X402SchemeClient},
    },
    util::Base64Bytes,
};

/// The payment layer is outside of the session layer, so the paid try passes the session layer too.
fn client(sessions: &SessionManager, sent: Sent, wallet: Wallet) -> Result<ClientWithMiddleware> {
    let client = reqwest::Client::builder()
        .redirect(sessions.redirect_policy())
        .retry(reqwest::retry::never())
        .build()?;
    Ok(ClientBuilder::new(client)
        .with(X402Client::new().register(wallet))
        .with(SessionLayer::new(sessions.clone()))
        .with(sent)
        .build())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let sipher = FakeSipher::new();
    let server = sipher.serve().await?;
    let sessions = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(server.base_url())
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .inline_defaults(InlineDefaults::Always) // nobody pays for an address on another chain
        .build()?;
    let mut events = sessions.events();
    let (sent, wallet) = (Sent::default(), Wallet::default());
    let http = client(&sessions, sent.clone(), wallet.clone())?;
    let url = format!("{}/v1/stealth/generate", server.base_url());
    sessions.session().await?;

    // The server answers 402, the wallet signs, and the same request is sent again: paid, and with the same session.
    sipher.fault(Fault::new(payment_required()).on(Target::Calls));
    ensure!(generate(&http, &url).await? == "near");
    ensure!(sent.take() == ["unpaid, with a session", "paid, with a session"]);
    ensure!(sipher.count(Operation::Create) == 1);
    sipher.assert_every_call_had_a_session();

    tokio::time::sleep(support::UPTIME).await;

    // The server restarts while the wallet signs, and forgets the session. The paid answer is still for the right
    // chain.
    sipher.fault(Fault::new(payment_required()).on(Target::Calls));
    wallet.restart_while_signing(&sipher);
    ensure!(generate(&http, &url).await? == "near");
    println!("across a restart: {:?}", sent.take());
    while !support::have_sessions(&sipher, &["near"]) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ensure!(generate(&http, &url).await? == "near");
    }

    let report = sessions.shutdown(Duration::from_secs(5)).await;
    println!("{report}");
    support::check_calls(&sipher, &mut events, &["near"]).await?;
    support::check_end(&sipher, &report)
}

async fn generate(http: &ClientWithMiddleware, url: &str) -> Result<String> {
    let answer = http.post(url).json(&json!({})).send().await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    Ok(answer["data"]["chain"]
        .as_str()
        .context("no chain")?
        .to_owned())
}

/// What the server answers to an unpaid request.
fn payment_required() -> What {
    let terms = json!({
        "x402Version": 2,
        "resource": { "url": "/v1/stealth/generate", "description": "an address", "mimeType": "application/json" },
        "accepts": [{
            "scheme": "exact", "network": "eip155:84532", "amount": "1000", "maxTimeoutSeconds": 60,
            "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            "payTo": "0x0000000000000000000000000000000000000001", "extra": null
        }]
    });
    let terms = Base64Bytes::encode(terms.to_string());
    What::Answer {
        status: 402,
        headers: vec![("payment-required".to_owned(), terms.to_string())],
        body: "{}".to_owned(),
    }
}

/// A wallet that does not really sign. In production, use the one of `x402-chain-eip155` with a signer of alloy.
#[derive(Clone, Default)]
struct Wallet(Arc<Mutex<Option<FakeSipher>>>);

impl Wallet {
    fn restart_while_signing(&self, sipher: &FakeSipher) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sipher.clone());
    }
}

impl X402SchemeId for Wallet {
    fn namespace(&self) -> &'static str {
        "eip155"
    }

    fn scheme(&self) -> &'static str {
        "exact"
    }
}

impl X402SchemeClient for Wallet {
    fn accept(&self, required: &PaymentRequired) -> Vec<PaymentCandidate> {
        let PaymentRequired::V2(required) = required else {
            return Vec::new();
        };
        let accepts = required.accepts.iter();
        let terms = accepts.filter_map(|terms| PaymentRequirements::try_from(terms).ok());
        let candidates = terms.filter_map(|terms: PaymentRequirements| {
            Some(PaymentCandidate {
                amount: terms.amount.parse().ok()?,
                chain_id: terms.network,
                asset: terms.asset,
                scheme: terms.scheme,
                x402_version: 2,
                pay_to: terms.pay_to,
                signer: Box::new(self.clone()),
            })
        });
        candidates.collect()
    }
}

#[async_trait]
impl PaymentCandidateSigner for Wallet {
    async fn sign_payment(&self) -> Result<String, X402Error> {
        let sipher = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sipher) = sipher {
            sipher.restart();
        }
        Ok(Base64Bytes::encode("signed").to_string())
    }
}

/// Notes what is sent. A program of your own does not need it.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<String>>>);

impl Sent {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Middleware for Sent {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let has = |name| request.headers().contains_key(name);
        let paid = if has("payment-signature") {
            "paid"
        } else {
            "unpaid"
        };
        let session = if has("x-session-id") {
            "with"
        } else {
            "without"
        };
        let note = format!("{paid}, {session} a session");
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(note);
        next.run(request, extensions).await
    }
}
