//! Shared by the tests: a manager against a fake Sipher, in virtual time.
// Each test uses only a part, and the module is not a crate of its own.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{
    future::pending,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use sipher_session::{
    BoxError, Chain, Error, SessionDefaults, SessionLayer, SessionManager, SessionManagerBuilder,
    SessionService,
    api::Transport,
    testing::{
        Exchange, FakeBody, FakeSipher, Fault, Operation, SessionUse, Target, TestClock, Tier, What,
    },
};
use tower::{Layer, ServiceExt, service_fn};

pub type Call = Request<Full<Bytes>>;

/// Returns whether a call carries this API key.
pub fn is_of(call: &Call, key: &str) -> bool {
    let own = call.headers().get("x-api-key");
    own.is_some_and(|own| own.as_bytes() == key.as_bytes())
}

/// A fake server, an API key of that server, and a clock for the manager.
pub struct Setup {
    pub sipher: FakeSipher,
    pub key: String,
    pub clock: TestClock,
}

impl Setup {
    pub fn new() -> Self {
        Self::over(FakeSipher::new())
    }

    /// A server whose session ids differ from those of all other tests in this process. Managers of one process
    /// recognise each other's ids.
    pub fn apart() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 40);
        Self::over(FakeSipher::seeded(NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    fn over(sipher: FakeSipher) -> Self {
        // The server has been up for a day. If a session was created at the moment of the start, nobody could tell
        // whether the process knows it.
        sipher.clock().suspend(24 * 3_600 * SECOND);
        let key = sipher.api_key(Tier::Pro);
        Self {
            sipher,
            key,
            clock: TestClock::new(),
        }
    }

    /// A builder whose default is the chain `near`, which the server never chooses on its own.
    pub fn builder(&self) -> SessionManagerBuilder {
        SessionManager::builder()
            .api_key(self.key.as_str())
            .defaults(SessionDefaults::new().chain(Chain::Near))
            .transport(Transport::new(self.sipher.clone()))
            .clock(self.clock.clone())
            .seed(1)
    }

    pub fn manager(&self) -> SessionManager {
        self.builder().build().unwrap()
    }

    pub fn service(&self, manager: &SessionManager) -> SessionService<FakeSipher> {
        SessionLayer::new(manager.clone()).layer(self.sipher.clone())
    }

    /// A transport to the server with a front that may answer calls instead of the server.
    pub fn behind<F>(&self, front: F) -> Transport
    where
        F: Fn(&Call) -> Option<Response<Full<Bytes>>> + Clone + Send + 'static,
    {
        let sipher = self.sipher.clone();
        Transport::new(service_fn(move |call: Call| {
            let (sipher, own) = (sipher.clone(), front(&call));
            async move {
                if let Some(own) = own {
                    return Ok::<_, BoxError>(own);
                }
                let (head, body) = sipher.oneshot(call).await?.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok(Response::from_parts(head, body.into()))
            }
        }))
    }

    /// A transport to the server on which some calls are never answered.
    pub fn behind_what_hangs<F>(&self, hangs: F) -> Transport
    where
        F: Fn(&Call) -> bool + Clone + Send + 'static,
    {
        let sipher = self.sipher.clone();
        Transport::new(service_fn(move |call: Call| {
            let (sipher, is_lost) = (sipher.clone(), hangs(&call));
            async move {
                if is_lost {
                    pending::<()>().await;
                }
                let (head, body) = sipher.oneshot(call).await?.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok::<_, BoxError>(Response::from_parts(head, Full::<Bytes>::from(body)))
            }
        }))
    }

    /// A transport with a gateway that refuses the session calls of one tenant, with a page of its own.
    pub fn behind_a_gateway_that_refuses(&self, tenant: &str) -> Transport {
        let tenant = tenant.to_owned();
        self.behind(move |call| {
            let mut page = Response::new(Full::from("<html>bad gateway</html>"));
            *page.status_mut() = StatusCode::BAD_GATEWAY;
            is_of(call, &tenant).then_some(page)
        })
    }

    /// Sends one request through the layer.
    pub async fn call(&self, manager: &SessionManager) -> Result<Response<FakeBody>, BoxError> {
        self.service(manager).oneshot(generate()).await
    }

    /// Returns the calls that are neither session calls nor health calls.
    pub fn uses(&self) -> Vec<Exchange> {
        let log = self.sipher.log().into_iter();
        log.filter(|exchange| {
            exchange.operation == Operation::Other && exchange.path != "/v1/health"
        })
        .collect()
    }

    /// From now on, health does not say when the server started.
    pub fn silence_health(&self) {
        let silent = Fault::new(What::NoUptime).on(Target::Health);
        self.sipher.fault(silent.always());
    }

    /// Returns how often the server was asked for its health, which is free.
    pub fn questions(&self) -> usize {
        self.sipher.health_calls()
    }

    /// Returns how often the server was asked for a session, which counts against the quota.
    pub fn gets(&self) -> usize {
        self.sipher.count(Operation::Get)
    }

    pub fn creates(&self) -> usize {
        self.sipher.count(Operation::Create)
    }

    pub fn deletes(&self) -> usize {
        self.sipher.count(Operation::Delete)
    }

    /// Returns the chain of the last call.
    pub fn last_chain(&self) -> Option<String> {
        self.uses().last()?.chain.clone()
    }

    pub fn last_id(&self) -> Option<String> {
        match &self.uses().last()?.session {
            SessionUse::Live { id, .. } => Some(id.clone()),
            _ => None,
        }
    }
}

/// A call that does not name a chain.
pub fn generate() -> Call {
    Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
        .header("content-type", "application/json")
        .body(Full::from("{}"))
        .unwrap()
}

pub fn ours(error: &BoxError) -> &Error {
    error.downcast_ref().expect("an error of this crate")
}

/// Returns an error's message without its end, which names the server, the chain and the key.
pub fn said(error: &impl std::fmt::Display) -> String {
    let message = error.to_string();
    let end = message.rfind(" (http").expect("it names the server");
    assert!(message[end..].contains(", key "), "{message}");
    message[..end].to_owned()
}

pub async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

pub const SECOND: Duration = Duration::from_secs(1);
