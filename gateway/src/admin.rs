//! The admin port: probes, metrics, status.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, uri::Authority,
};
use hyper::body::Incoming;
use sipher_session::SessionManager;

use crate::{
    Limits,
    activity::InFlight,
    body::AnswerBody,
    status::{Chronicle, Status, millis, now_ms},
};

/// Renders the metrics in Prometheus' text format.
pub(crate) type Metrics = Box<dyn Fn() -> String + Send + Sync>;

const PAGE: &str = include_str!("../page/status.html");
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// The page loads nothing from elsewhere, and nobody may show it inside of another page.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src data:; script-src 'unsafe-inline'; \
                      style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the admin port shows.
pub(crate) struct Admin {
    sessions: SessionManager,
    pub(crate) addr: SocketAddr,
    pub(crate) own_addr: Option<SocketAddr>,
    metrics: Option<Metrics>,
    started_at_ms: u64,
    is_draining: AtomicBool,
    chronicle: Mutex<Chronicle>,
    /// Subscribed when the gateway was built, so that no event is missed. Taken by [`watch`](Self::watch).
    events: Mutex<Option<sipher_session::Events>>,
}

impl Admin {
    pub(crate) fn new(
        sessions: SessionManager,
        addr: SocketAddr,
        own_addr: Option<SocketAddr>,
        metrics: Option<Metrics>,
    ) -> Self {
        let events = Mutex::new(Some(sessions.events()));
        Self {
            sessions,
            addr,
            own_addr,
            metrics,
            started_at_ms: now_ms(),
            is_draining: AtomicBool::new(false),
            chronicle: Mutex::default(),
            events,
        }
    }

    /// Limits for the few that look at this port.
    pub(crate) fn limits() -> Limits {
        Limits {
            max_connections: 64,
            drain_timeout: Duration::from_secs(1),
            ..Limits::default()
        }
    }

    /// Follows the events of the manager, as long as there are any.
    pub(crate) async fn watch(self: Arc<Self>) {
        let events = self
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut events) = events else { return };
        while let Some(event) = events.recv().await {
            let mut chronicle = self
                .chronicle
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            chronicle.note(&event, now_ms());
        }
    }

    /// Says from now on that the gateway is not ready.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn answer(
        &self,
        request: &Request<Incoming>,
        in_flight: InFlight,
    ) -> Response<AnswerBody> {
        let mut answer = self.route(request);
        let headers = answer.headers_mut();
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        answer.body_mut().in_flight = Some(in_flight);
        answer
    }

    fn route(&self, request: &Request<Incoming>) -> Response<AnswerBody> {
        if !self.is_for_here(request) {
            return text(
                StatusCode::MISDIRECTED_REQUEST,
                "this host name is not known here",
            );
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "expected GET");
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok"),
            "/readyz" => match self.trouble() {
                None => text(StatusCode::OK, "ready"),
                Some(trouble) => text(StatusCode::SERVICE_UNAVAILABLE, trouble),
            },
            "/metrics" => {
                let metrics = self.metrics.as_ref().map(|render| render());
                page(
                    StatusCode::OK,
                    "text/plain; version=0.0.4",
                    metrics.unwrap_or_default(),
                )
            }
            "/status.json" => page(StatusCode::OK, JSON, self.status()),
            "/" => page(StatusCode::OK, HTML, PAGE),
            _ => text(
                StatusCode::NOT_FOUND,
                "expected /, /healthz, /readyz, /metrics or /status.json",
            ),
        }
    }

    /// Refuses other host names on a loopback port: a web page whose name was made to point here could read the status.
    fn is_for_here(&self, request: &Request<Incoming>) -> bool {
        if !self
            .own_addr
            .is_some_and(|address| address.ip().is_loopback())
        {
            return true;
        }
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
        let host = host
            .as_ref()
            .or(request.uri().authority())
            .map(Authority::host);
        host.is_none_or(|host| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host.eq_ignore_ascii_case("localhost")
                || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        })
    }

    /// Returns why a new request would probably fail.
    fn trouble(&self) -> Option<String> {
        if self.is_draining.load(Ordering::Relaxed) {
            return Some("the gateway is stopping".to_owned());
        }
        let health = self.sessions.health();
        if health.is_ready() {
            return None;
        }
        if health.is_shut_down {
            return Some("the session manager is shut down".to_owned());
        }
        if let Some(down) = health.server_down_for.filter(|_| health.is_cut_off) {
            let down = down.as_secs();
            return Some(format!("Sipher cannot be reached since {down} s"));
        }
        health.held_back.map(|error| error.to_string())
    }

    fn status(&self) -> String {
        let (health, now_ms) = (self.sessions.health(), now_ms());
        let chronicle = self
            .chronicle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let status = Status {
            upstream: self.sessions.base_url(),
            started_at_ms: self.started_at_ms,
            now_ms,
            ready: self.trouble().is_none(),
            held_back: health.held_back.map(|error| error.to_string()),
            server_down_for_ms: health.server_down_for.map(millis),
            stats: self.sessions.stats().into(),
            sessions: chronicle.sessions(now_ms),
            events: chronicle.events(),
        };
        // It has string keys and finite numbers only, so this cannot fail.
        serde_json::to_string(&status).unwrap_or_default()
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<AnswerBody> {
    page(status, TEXT, text.into() + "\n")
}

fn page(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response<AnswerBody> {
    let mut answer = Response::new(AnswerBody::own(body));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
