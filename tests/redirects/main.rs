//! Redirects over real sockets: which ones the policy follows, which ones the guard notices, and that nothing arrives at other servers.
#![allow(clippy::unwrap_used)] // for the helper functions

mod guard;
mod order;
mod policy;
mod session_calls;

use std::sync::{Arc, Mutex};

use axum::{Router, extract::Request, http::StatusCode, response::IntoResponse};
use http::{HeaderMap, header::LOCATION};
use reqwest::redirect::Policy;
use reqwest_middleware::ClientWithMiddleware;
use sipher_session::{
    Event, Events, SessionLayer, SessionManager,
    testing::{FakeSipher, Fault, Served, SessionUse, Target, Tier, What},
};
use tokio::net::TcpListener;

/// Sipher on a port, and a manager for it.
struct Here {
    sipher: FakeSipher,
    key: String,
    served: Served,
    sessions: SessionManager,
}

impl Here {
    async fn start() -> Self {
        let sipher = FakeSipher::new();
        // The server has been up for a day. If a session was created in the second of the server's start, nobody could
        // tell whether the process knows it.
        sipher
            .clock()
            .suspend(std::time::Duration::from_secs(86_400));
        let served = sipher.serve().await.unwrap();
        let key = sipher.api_key(Tier::Pro);
        let sessions = SessionManager::builder()
            .api_key(key.as_str())
            .base_url(served.base_url())
            .build()
            .unwrap();
        Self {
            sipher,
            key,
            served,
            sessions,
        }
    }

    fn url(&self, path: &str) -> String {
        self.served.base_url() + path
    }

    /// Redirects the next call that is no session call.
    fn redirects_to(&self, url: &str) {
        let fault = Fault::new(What::RedirectTo(url.to_owned()));
        self.sipher.fault(fault.on(Target::Calls));
    }

    /// The layer over a client with this redirect policy.
    fn http(&self, policy: Policy) -> ClientWithMiddleware {
        let client = client(policy);
        reqwest_middleware::ClientBuilder::new(client)
            .with(SessionLayer::new(self.sessions.clone()))
            .build()
    }

    /// Returns the path of each call that is no session call, and whether it had a session, in order.
    fn calls(&self) -> Vec<(String, bool)> {
        let log = self.sipher.log().into_iter();
        log.filter(|exchange| !exchange.path.starts_with("/v1/sessions"))
            .map(|exchange| (exchange.path, exchange.session != SessionUse::None))
            .collect()
    }
}

fn client(policy: Policy) -> reqwest::Client {
    reqwest::Client::builder().redirect(policy).build().unwrap()
}

/// Another server, which records the requests that arrive.
struct Elsewhere {
    base_url: String,
    state: Arc<Mutex<Arrivals>>,
}

#[derive(Default)]
struct Arrivals {
    headers: Vec<HeaderMap>,
    location: Option<String>,
}

impl Elsewhere {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Arrivals::default()));
        let arrivals = state.clone();
        let router = Router::new().fallback(async move |request: Request| {
            let mut arrivals = arrivals.lock().unwrap();
            arrivals.headers.push(request.headers().clone());
            match arrivals.location.clone() {
                Some(location) => {
                    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response()
                }
                None => "{}".into_response(),
            }
        });
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { base_url, state }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn redirects_to(&self, url: String) {
        self.state.lock().unwrap().location = Some(url);
    }

    /// Returns the headers of the requests that arrived.
    fn seen(&self) -> Vec<HeaderMap> {
        self.state.lock().unwrap().headers.clone()
    }
}

/// Returns the leaks that were reported so far: the session's generation, if one leaked, and the destination.
fn leaks(events: &mut Events) -> Vec<(Option<u64>, String)> {
    std::iter::from_fn(|| events.try_recv())
        .filter_map(|event| match event {
            Event::Leaked { session, to, .. } => Some((session.map(|s| s.generation), to)),
            _ => None,
        })
        .collect()
}
