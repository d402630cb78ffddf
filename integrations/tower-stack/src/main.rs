//! The middleware of tower and tower-http around the session layer.
#![forbid(unsafe_code)]

use std::{net::IpAddr, time::Duration};

use anyhow::{Result, anyhow, ensure};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{Empty, Full};
use sipher_session::{
    BoxError, Chain, Error, Event, Events, InlineDefaults, InlineDefaultsLayer, SessionDefaults,
    SessionLayer, SessionManager,
    api::Bytes,
    inline::InlineBody,
    testing::{FakeSipher, Fault, Operation, SessionUse, Target, What},
};
use tokio::{
    task::JoinSet,
    time::{Sleep, sleep},
};
use tower::{
    Service, ServiceBuilder, ServiceExt, balance::p2c::Balance, buffer::Buffer,
    discover::ServiceList, load::Constant, retry::Policy,
};
use tower_http_07::{set_header::SetRequestHeaderLayer, trace::TraceLayer};

const URL: &str = "https://sipher-api.sip-protocol.org/v1/stealth/generate";

/// Retries failures that may succeed later, and waits as long as the error says.
#[derive(Clone)]
struct Retries(u32);

impl<B> Policy<Request<Full<Bytes>>, Response<B>, BoxError> for Retries {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        outcome: &mut Result<Response<B>, BoxError>,
    ) -> Option<Sleep> {
        let wait = match outcome {
            Ok(response) if response.status().is_server_error() => None,
            Ok(_) => return None,
            Err(error) => match Error::find(error) {
                Some(error) if error.is_transient() => error.retry_after(),
                _ => return None,
            },
        };
        self.0 = self.0.checked_sub(1)?;
        Some(sleep(wait.unwrap_or(Duration::from_millis(200))))
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

// Time is paused, so waits take no real time.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    whole_stack().await?;
    balanced().await?;
    redirected().await
}

/// Combines all layers, from the outside to the inside.
async fn whole_stack() -> Result<()> {
    let sipher = FakeSipher::new(); // in production: the client of hyper-util
    let sessions = manager(&sipher)?;
    let mut events = sessions.events();
    let content_type = HeaderValue::from_static("application/json");
    let http = ServiceBuilder::new()
        .load_shed()
        .buffer(64)
        .concurrency_limit(16)
        .timeout(Duration::from_secs(60))
        .layer(SetRequestHeaderLayer::overriding(
            header::CONTENT_TYPE,
            content_type,
        ))
        .retry(Retries(3))
        .layer(TraceLayer::new_for_http()) // a span for each try
        .layer(tower_http_07::follow_redirect::FollowRedirectLayer::new())
        .layer(SessionLayer::new(sessions.clone()))
        .layer(InlineDefaultsLayer::new(sessions.clone()))
        .service(sipher.clone());

    // Fifty callers share one session.
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        calls.spawn(call(http.clone()));
    }
    while let Some(status) = calls.join_next().await {
        ensure!(status?? == 200);
    }
    ensure!(sipher.count(Operation::Create) == 1);
    sipher.assert_every_call_had_a_session();

    // The server restarts twice: a call fails because of the first restart, and none because of the second. The bodies
    // name the chain until there is a new session.
    sipher.restart();
    sipher.fault(Fault::new(What::Cloudflare(521)).on(Target::Calls));
    ensure!(call(http.clone()).await? == 200);
    while !support::have_sessions(&sipher, &["near"]) {
        sleep(Duration::from_secs(1)).await;
        ensure!(call(http.clone()).await? == 200);
    }
    sleep(Duration::from_secs(90)).await;
    sipher.restart();
    while !support::have_sessions(&sipher, &["near"]) {
        ensure!(call(http.clone()).await? == 200);
        sleep(Duration::from_secs(1)).await;
    }
    stop(&sipher, &sessions, &mut events).await
}

/// `Balance` is not `Clone`, so it is in a `Buffer`. The `Buffer` is below the session layer: keep its queue short.
async fn balanced() -> Result<()> {
    let sipher = FakeSipher::new();
    let sessions = manager(&sipher)?;
    let mut events = sessions.events();
    // Two ways to the same server, such as two proxies.
    let ways =
        [[10, 0, 0, 1], [10, 0, 0, 2]].map(|address| sipher.seen_from(IpAddr::from(address)));
    let ways = ways.map(|way| Constant::new(way, 1));
    let balance = Balance::new(ServiceList::new::<Request<InlineBody<Full<Bytes>>>>(ways));
    let http = ServiceBuilder::new()
        .retry(Retries(3))
        .layer(SessionLayer::new(sessions.clone()))
        .layer(InlineDefaultsLayer::new(sessions.clone()))
        .service(Buffer::new(balance, 1));
    for _ in 0..20 {
        ensure!(call(http.clone()).await? == 200);
    }
    ensure!(sipher.count(Operation::Create) == 1);
    stop(&sipher, &sessions, &mut events).await
}

/// Uses `FollowRedirect` above the session layer, and then below it.
async fn redirected() -> Result<()> {
    for above in [true, false] {
        let sipher = FakeSipher::new();
        let sessions = manager(&sipher)?;
        let mut events = sessions.events();
        let layer = SessionLayer::new(sessions.clone());
        for version in [6, 7] {
            let (stack, client) = (ServiceBuilder::new(), sipher.clone());
            let (of_06, of_07) = (
                tower_http::follow_redirect::FollowRedirectLayer::new(),
                tower_http_07::follow_redirect::FollowRedirectLayer::new(),
            );
            let away = "https://elsewhere.example/v1/backends".to_owned();
            sipher.fault(Fault::new(What::RedirectTo(away)).on(Target::Calls));
            match (above, version) {
                (true, 6) => get(stack.layer(of_06).layer(&layer).service(client)).await,
                (true, _) => get(stack.layer(of_07).layer(&layer).service(client)).await,
                (false, 6) => get(stack.layer(&layer).layer(of_06).service(client)).await,
                (false, _) => get(stack.layer(&layer).layer(of_07).service(client)).await,
            }?;
            let log = sipher.log();
            let elsewhere = log.last().ok_or_else(|| anyhow!("no call"))?;
            let leaked = elsewhere.key.is_some() || elsewhere.session != SessionUse::None;
            let told = std::iter::from_fn(|| events.try_recv())
                .any(|event| matches!(event, Event::Leaked { .. }));
            println!("tower-http 0.{version}, above: {above}, leaked: {leaked}, told: {told}");
            ensure!(leaked != above, "{elsewhere}");
            ensure!(told == leaked, "a leak is told");
        }
        sessions.shutdown(Duration::from_secs(5)).await;
    }
    Ok(())
}

fn manager(sipher: &FakeSipher) -> Result<SessionManager, Error> {
    sipher
        .manager()
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .inline_defaults(InlineDefaults::Always)
        .build()
}

async fn call<S, B>(http: S) -> Result<StatusCode>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = BoxError>,
{
    let request = Request::post(URL)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from("{}"))?;
    let response = http
        .oneshot(request)
        .await
        .map_err(|error| anyhow!(error))?;
    Ok(response.status())
}

async fn get<S, B>(http: S) -> Result<StatusCode>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = BoxError>,
{
    let request =
        Request::get("https://sipher-api.sip-protocol.org/v1/backends").body(Empty::new())?;
    let response = http
        .oneshot(request)
        .await
        .map_err(|error| anyhow!(error))?;
    Ok(response.status())
}

async fn stop(sipher: &FakeSipher, sessions: &SessionManager, events: &mut Events) -> Result<()> {
    let report = sessions.shutdown(Duration::from_secs(5)).await;
    println!("{report}");
    support::check_calls(sipher, events, &["near"]).await?;
    support::check_end(sipher, &report)
}
