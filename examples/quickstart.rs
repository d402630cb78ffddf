//! Shows what this crate does, step by step, and what happens without it.
//!
//! `cargo run --example quickstart` starts a fake Sipher on loopback. If `SIPHER_API_KEY` is set, to a key that may
//! have sessions, it uses the real server, or the one that `SIPHER_BASE_URL` names. With `SIPHER_QUICKSTART_WAIT=1` it
//! then also waits for a real renewal, which takes about a minute.

use std::{env, error::Error, time::Duration};

use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, RequestBuilder};
use serde_json::{Value, json};
use sipher_session::{
    Chain, Event, Events, InlineDefaults, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Served, Tier},
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Prints a statement, and fails if it does not hold.
macro_rules! check {
    ($holds:expr, $($text:tt)+) => {{
        let text = format!($($text)+);
        println!("   {text}");
        $holds.then_some(()).ok_or_else(|| format!("not as it should be: {text}"))?;
    }};
}

#[tokio::main]
async fn main() -> Result {
    let sipher = Sipher::find().await?;
    println!("Sipher is at {}", sipher.base_url);

    // Once, at start-up. A session lives for an hour by default. The minimum is 60 s.
    let mut builder = SessionManager::builder()
        .api_key(sipher.api_key.as_str())
        .base_url(&sipher.base_url)
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .ttl(Duration::from_secs(60));
    if let Some((fake, _)) = &sipher.fake {
        builder = builder.clock(fake.clock());
    }
    let sessions = builder.build()?;
    let mut events = sessions.events();

    // The client follows redirects below the layer. This policy stops at redirects that leave Sipher, because they
    // would take session id and API key along.
    let policy = sessions.redirect_policy();
    let client = reqwest::Client::builder()
        .redirect(policy)
        .retry(reqwest::retry::never()) // a retry below the layer carries the id of the first try
        .build()?;
    let plain = ClientWithMiddleware::from(client.clone());
    let http = ClientBuilder::new(client)
        .with(SessionLayer::new(sessions.clone()))
        .build();
    let ask = |body| sipher.generate(&http, &body);

    println!("\nThe first call creates the session");
    check!(events.try_recv().is_none(), "nothing was created so far");
    let used = chain(ask(json!({}))).await?;
    let Some(Event::Created { session, .. }) = events.try_recv() else {
        return Err("the first call created no session".into());
    };
    let (number, print) = (session.generation, session.fingerprint);
    println!("   now there is session {number}, fingerprint {print}");

    println!("\nWhere a request is silent, the session's default applies");
    check!(used == "near", "asked for no chain, got {used}");

    println!("\nWhat a request says itself wins");
    let used = chain(ask(json!({ "chain": "ethereum" }))).await?;
    check!(used == "ethereum", "asked for ethereum, got {used}");

    println!("\nWithout the layer");
    let bare = || {
        sipher
            .generate(&plain, &json!({}))
            .header("x-api-key", &sipher.api_key)
    };
    let used = chain(bare()).await?;
    check!(used == "solana", "no session id: 200, chain {used}");
    let dead_id = format!("sess_{:064x}", 0xdead);
    let used = chain(bare().header("x-session-id", dead_id)).await?;
    check!(
        used == "solana",
        "a dead session id: 200, chain {used}, and not a word about it"
    );

    println!("\nA session is replaced before it expires, while requests go on");
    if let Some((fake, _)) = &sipher.fake {
        println!("   50 of its 60 s pass, by turning the clock of both sides");
        fake.clock().suspend(Duration::from_secs(50));
        renewal(
            || ask(json!({})),
            &mut events,
            Duration::from_millis(20),
            200,
        )
        .await?;
    } else if env::var("SIPHER_QUICKSTART_WAIT").is_ok_and(|wait| wait == "1") {
        println!("   a request every 2 s; the renewal begins after 45 to 48 of its 60 s");
        renewal(|| ask(json!({})), &mut events, Duration::from_secs(2), 30).await?;
    } else {
        println!("   left out: it takes a minute; SIPHER_QUICKSTART_WAIT=1 shows it");
    }

    println!("\nThe shutdown deletes what is left");
    let report = sessions.shutdown(Duration::from_secs(5)).await;
    let (deleted, gone) = (report.deleted, report.already_gone);
    check!(
        report.is_clean(),
        "deleted {deleted}, already gone {gone}, left behind none"
    );
    let refused = chain(ask(json!({}))).await;
    let error = refused.err().ok_or("a request after it was sent")?;
    println!("   a request after it is not sent: {error}");

    if let Some((fake, _)) = &sipher.fake {
        println!("\nWhat the server counted");
        let (calls, live) = (fake.session_calls(), fake.live_sessions());
        check!(calls == 4, "{calls} session calls: 2 creates, 2 deletes");
        check!(live == 0, "{live} live sessions");
        unmet_restart(&sipher, fake).await?;
    }
    Ok(())
}

/// Restarts the server between two calls, so that no call fails. The server forgets the session, and does not say so.
async fn unmet_restart(sipher: &Sipher, fake: &FakeSipher) -> Result {
    println!("\nA restart that no call meets");
    for (setting, expected) in [
        (InlineDefaults::Off, "solana"),
        (InlineDefaults::Always, "near"),
    ] {
        let sessions = SessionManager::builder()
            .api_key(sipher.api_key.as_str())
            .base_url(&sipher.base_url)
            .defaults(SessionDefaults::new().chain(Chain::Near))
            .inline_defaults(setting)
            .build()?;
        let layer = SessionLayer::new(sessions.clone());
        let http = ClientBuilder::new(reqwest::Client::new())
            .with(layer)
            .build();
        let ask = || chain(sipher.generate(&http, &json!({})));
        sessions.session().await?;
        let before = ask().await?;
        fake.restart();
        let used = ask().await?;
        check!(
            before == "near" && used == expected,
            "inline defaults {setting:?}: got {before} before it, and {used} after it"
        );
        sessions.shutdown(Duration::from_secs(5)).await;
    }
    Ok(())
}

/// Sends requests until there is a successor. None of them may be answered for another chain than near.
async fn renewal(
    ask: impl Fn() -> RequestBuilder,
    events: &mut Events,
    pause: Duration,
    most: usize,
) -> Result {
    for sent in 1..=most {
        let used = chain(ask()).await?;
        if used != "near" {
            return Err(format!("request {sent} got {used}").into());
        }
        if let Some(Event::Created {
            session,
            replaces: Some(old),
            ..
        }) = events.try_recv()
        {
            let (new, old) = (session.generation, old.generation);
            println!("   session {new} replaces session {old}");
            let used = chain(ask()).await?;
            check!(
                used == "near",
                "requests until then: {sent}, and one after: all {used}"
            );
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
    Err("no successor came".into())
}

/// Sends a request, and returns the chain that the server used.
async fn chain(request: RequestBuilder) -> Result<String> {
    let answer = request.send().await?.error_for_status()?;
    let answer: Value = answer.json().await?;
    let chain = &answer["data"]["chain"];
    Ok(chain
        .as_str()
        .ok_or("the answer names no chain")?
        .to_owned())
}

/// The real server, or a fake one.
struct Sipher {
    base_url: String,
    api_key: String,
    fake: Option<(FakeSipher, Served)>,
}

impl Sipher {
    async fn find() -> Result<Self> {
        if let Ok(api_key) = env::var("SIPHER_API_KEY") {
            let base_url = env::var("SIPHER_BASE_URL");
            let base_url = base_url.unwrap_or("https://sipher-api.sip-protocol.org".to_owned());
            return Ok(Self {
                base_url,
                api_key,
                fake: None,
            });
        }
        let fake = FakeSipher::new();
        let served = fake.serve().await?;
        let (base_url, api_key) = (served.base_url(), fake.api_key(Tier::Pro));
        Ok(Self {
            base_url,
            api_key,
            fake: Some((fake, served)),
        })
    }

    /// Builds a request for a stealth address.
    fn generate(&self, http: &ClientWithMiddleware, body: &Value) -> RequestBuilder {
        let url = format!("{}/v1/stealth/generate", self.base_url);
        http.post(url).json(body)
    }
}
