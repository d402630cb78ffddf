//! The traffic: callers that use two kinds of clients, and the manager's owner, who changes settings meanwhile.

use std::{fmt, sync::Arc, time::Duration};

use fastrand::Rng;
use http::{HeaderName, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use sipher_session::{
    BoxError, Chain, Error, ErrorKind, PrivacyLevel, SessionDefaults, SessionLayer, SessionManager,
    api::Bytes,
};
use tokio::time::{sleep, timeout};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};

use crate::record::{Record, Stamp};

/// In this letter case, the server serves the path but does not count it against the daily quota.
const PATH: &str = "/v1/Stealth/generate";
/// The chains that the manager's own defaults may have. The customers use other chains.
pub(crate) const OWN_CHAINS: [Chain; 3] = [Chain::Near, Chain::Aptos, Chain::Ethereum];
const PATIENCE: Duration = Duration::from_secs(4);
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const CONTENT_TYPE: HeaderName = http::header::CONTENT_TYPE;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A caller, with its API key and chain. `None` means the manager's own.
#[derive(Clone)]
struct Customer {
    key: Option<String>,
    chain: Option<Chain>,
}

/// How a call ended, as the caller saw it.
pub(crate) enum Outcome {
    Answered(u16),
    /// The head arrived, but not the whole body.
    BrokeOff,
    NotSent(ErrorKind),
    ConnectionFailed,
    GivenUp,
}

impl Outcome {
    /// Returns whether this outcome is a sign that the server may have restarted.
    fn is_sign(&self) -> bool {
        matches!(
            self,
            Self::ConnectionFailed | Self::Answered(410 | 502..=504)
        )
    }

    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Error::find(error).map_or(Self::ConnectionFailed, |error| Self::NotSent(error.kind()))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "answered {status}"),
            Self::BrokeOff => f.write_str("answer broke off"),
            Self::NotSent(kind) => write!(f, "not sent, {kind:?}"),
            Self::ConnectionFailed => f.write_str("connection failed"),
            Self::GivenUp => f.write_str("given up by the caller"),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Traffic {
    url: String,
    customers: Vec<Customer>,
    reqwest: ClientWithMiddleware,
    hyper:
        BoxCloneSyncService<Request<Full<Bytes>>, http::Response<hyper::body::Incoming>, BoxError>,
    record: Arc<Record>,
}

impl Traffic {
    pub(crate) fn new(
        sessions: &SessionManager,
        keys: &[String; 3],
        record: Arc<Record>,
    ) -> Result<Self, BoxError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(4))
            .build()?;
        let reqwest = ClientBuilder::new(client).with(SessionLayer::new(sessions.clone()));
        let hyper = ServiceBuilder::new()
            .layer(SessionLayer::new(sessions.clone()))
            .concurrency_limit(8)
            .service(
                Client::builder(TokioExecutor::new())
                    .pool_timer(TokioTimer::new())
                    .pool_idle_timeout(Duration::from_secs(4))
                    .build_http(),
            );
        let [_, anna, ben] = keys.clone().map(Some);
        let customers = [
            (None, None),
            (None, Some(Chain::Sui)),
            (anna, None),
            (ben, Some(Chain::Bitcoin)),
        ];
        Ok(Self {
            url: sessions.base_url() + PATH,
            customers: customers
                .map(|(key, chain)| Customer { key, chain })
                .to_vec(),
            reqwest: reqwest.build(),
            hyper: BoxCloneSyncService::new(hyper),
            record,
        })
    }

    pub(crate) async fn call_until_shutdown(self, mut rng: Rng) {
        loop {
            sleep(Duration::from_millis(rng.u64(20..200))).await;
            let hurried = rng.u8(0..20) == 0;
            let patience = if hurried {
                Duration::from_millis(rng.u64(0..20))
            } else {
                PATIENCE
            };
            let call = self.call(&mut rng);
            let outcome = timeout(patience, call).await.unwrap_or(Outcome::GivenUp);
            self.record.outcome(&outcome, outcome.is_sign());
            if matches!(outcome, Outcome::NotSent(ErrorKind::Shutdown)) {
                return;
            }
        }
    }

    async fn call(&self, rng: &mut Rng) -> Outcome {
        let customer = &self.customers[rng.usize(..self.customers.len())];
        let stamp = Stamp {
            began: self.record.now(),
            chain: customer.chain.clone(),
        };
        if rng.bool() {
            self.over_reqwest(customer, &stamp).await
        } else {
            self.over_hyper(customer, &stamp).await
        }
    }

    async fn over_reqwest(&self, customer: &Customer, stamp: &Stamp) -> Outcome {
        let mut request = self
            .reqwest
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(REQUEST_ID, stamp.to_string())
            .body("{}");
        if let Some(key) = &customer.key {
            request = request.header(API_KEY, key);
        }
        if let Some(chain) = &customer.chain {
            request = request.with_extension(SessionDefaults::new().chain(chain.clone()));
        }
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                answered(status, answer.bytes().await.is_ok())
            }
            Err(error) => Outcome::of(&error),
        }
    }

    async fn over_hyper(&self, customer: &Customer, stamp: &Stamp) -> Outcome {
        let mut request = Request::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(REQUEST_ID, stamp.to_string());
        if let Some(key) = &customer.key {
            request = request.header(API_KEY, key);
        }
        if let Some(chain) = &customer.chain {
            request = request.extension(SessionDefaults::new().chain(chain.clone()));
        }
        let request = request
            .body(Full::from("{}"))
            .expect("all parts are well-formed");
        match self.hyper.clone().oneshot(request).await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                answered(status, answer.into_body().collect().await.is_ok())
            }
            Err(error) => Outcome::of(&*error),
        }
    }
}

fn answered(status: u16, whole: bool) -> Outcome {
    if whole {
        Outcome::Answered(status)
    } else {
        Outcome::BrokeOff
    }
}

pub(crate) fn own_defaults(rng: &mut Rng) -> SessionDefaults {
    let chain = &OWN_CHAINS[rng.usize(..OWN_CHAINS.len())];
    SessionDefaults::new().chain(chain.clone())
}

/// Acts as the manager's owner: updates and replaces the defaults, and invalidates sessions. Errors are ignored,
/// because a failed change has changed nothing.
pub(crate) async fn own(sessions: &SessionManager, mut rng: Rng) {
    let levels = [
        PrivacyLevel::Standard,
        PrivacyLevel::Shielded,
        PrivacyLevel::Maximum,
    ];
    loop {
        sleep(Duration::from_millis(rng.u64(5_000..15_000))).await;
        match rng.u8(0..3) {
            0 => {
                let level = levels[rng.usize(..levels.len())].clone();
                let patch = SessionDefaults::new().privacy_level(level);
                let _ = sessions.update_defaults(patch).await;
            }
            1 => {
                let _ = sessions.replace_defaults(own_defaults(&mut rng)).await;
            }
            _ => {
                if let Ok(session) = sessions.session().await {
                    sessions.invalidate(session.generation());
                }
            }
        }
    }
}

pub(crate) async fn change_thrice(sessions: &SessionManager) {
    for chain in OWN_CHAINS {
        let defaults = SessionDefaults::new().chain(chain);
        let _ = sessions.replace_defaults(defaults).await;
    }
}
