use std::{
    error::Error as StdError,
    fmt, io,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use sipher_session::{
    BoxError, SessionLayer,
    testing::{FakeBody, FakeSipher, Fault, Operation, SessionUse, Solana, Target, Tier, What},
};
use tower::{Layer, Service, ServiceExt, util::BoxCloneService};

use crate::support::{Setup, generate, pass};

/// A service that fails a given number of times with an error of its own, and then answers as Sipher.
#[derive(Clone)]
struct Failing<F> {
    sipher: FakeSipher,
    fails: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    error: F,
}

impl<F: Fn() -> BoxError + Clone + Send + 'static> Failing<F> {
    fn new(sipher: &FakeSipher, error: F) -> Self {
        Self {
            sipher: sipher.clone(),
            fails: std::sync::Arc::default(),
            error,
        }
    }

    fn fail(&self) {
        self.fails.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

impl<F: Fn() -> BoxError + Clone + Send + 'static> Service<Request<Full<Bytes>>> for Failing<F> {
    type Response = Response<FakeBody>;
    type Error = BoxError;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<FakeBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        use std::sync::atomic::Ordering::SeqCst;
        let fails = self
            .fails
            .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
            .is_ok();
        let (sipher, error) = (self.sipher.clone(), (self.error)());
        Box::pin(async move {
            if fails {
                Err(error)
            } else {
                sipher.oneshot(request).await.map_err(Into::into)
            }
        })
    }
}

#[derive(Debug)]
struct Opaque;

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something went wrong")
    }
}

impl StdError for Opaque {}

fn wrong(sipher: &FakeSipher) -> usize {
    let log = sipher.log().into_iter();
    log.filter(|it| it.operation == Operation::Other && it.path.starts_with("/v1/stealth"))
        .filter(|it| !matches!(it.session, SessionUse::Live { .. }))
        .count()
}

/// An unknown error counts as a sign: a type of the user, a text, an error that hides its cause, an error of the network.
#[tokio::test(start_paused = true)]
async fn whatever_a_client_fails_with_while_the_server_restarts_costs_no_later_request() {
    let errors: [fn() -> BoxError; 9] = [
        || Box::new(Opaque),
        || "a text".into(),
        || Box::new(io::Error::other(Opaque)),
        || Box::new(io::Error::from(io::ErrorKind::ConnectionReset)),
        || Box::new(io::Error::from(io::ErrorKind::HostUnreachable)),
        || Box::new(io::Error::from(io::ErrorKind::NetworkUnreachable)),
        || Box::new(io::Error::from(io::ErrorKind::NetworkDown)),
        || Box::new(io::Error::from(io::ErrorKind::AddrNotAvailable)),
        || Box::new(io::Error::from(io::ErrorKind::TimedOut)),
    ];
    for (number, error) in errors.into_iter().enumerate() {
        let setup = Setup::new();
        let sessions = setup.manager();
        let inner = Failing::new(&setup.sipher, error);
        let service = SessionLayer::new(sessions.clone()).layer(inner.clone());
        service.clone().oneshot(generate()).await.unwrap();
        pass(2.0).await;
        inner.fail();
        setup.sipher.restart();
        service.clone().oneshot(generate()).await.unwrap_err();
        pass(0.1).await;
        service.clone().oneshot(generate()).await.unwrap();
        assert_eq!(wrong(&setup.sipher), 0, "{number}");
        assert_eq!(setup.sipher.session_calls(), 2, "{number}");
    }
}

/// While Solana is away, `/v1/health` answers 503 to anyone who polls it through the layer.
#[tokio::test(start_paused = true)]
async fn polling_health_while_solana_is_away_costs_nothing() {
    let setup = Setup::new();
    let sessions = setup.manager();
    let service = setup.service(&sessions);
    setup.call(&sessions).await.unwrap();
    setup.sipher.set_solana(Solana::Away);
    let (calls, asked) = (setup.sipher.session_calls(), sessions.stats().health_calls);
    for _ in 0..50 {
        let poll = Request::get("https://sipher-api.sip-protocol.org/v1/health")
            .body(Full::<Bytes>::default())
            .unwrap();
        assert_eq!(service.clone().oneshot(poll).await.unwrap().status(), 503);
        pass(1.0).await;
    }
    assert_eq!(setup.sipher.session_calls(), calls);
    assert_eq!(sessions.stats().health_calls, asked);
}

/// The application answers 503 every two seconds for an hour. This costs few free questions and no session call.
#[tokio::test(start_paused = true)]
async fn the_applications_own_503_costs_no_session_call_and_few_questions() {
    let setup = Setup::new();
    let sessions = setup.manager();
    setup.call(&sessions).await.unwrap();
    let calls = setup.sipher.session_calls();
    let solana = Fault::new(What::Error(503, "SOLANA_RPC_UNAVAILABLE"));
    setup.sipher.fault(solana.on(Target::Calls).always());
    for _ in 0..600 {
        setup.call(&sessions).await.unwrap();
        pass(2.0).await;
    }
    assert_eq!(setup.sipher.session_calls(), calls);
    let health = sessions.stats().health_calls;
    assert!(health <= 30, "{health} in twenty minutes");
    setup.sipher.assert_no_dead_id();
}

/// One of 300 tenants gets a 503 from a gateway.
#[tokio::test(start_paused = true)]
async fn one_tenants_503_is_one_free_question_and_nobodys_failure() {
    let setup = Setup::new();
    setup.sipher.set_rate_limit(None);
    let sessions = setup.builder().call_budget(1_000, 1_000).build().unwrap();
    let service = setup.service(&sessions);
    let keys: Vec<_> = (0..300)
        .map(|_| setup.sipher.api_key(Tier::Enterprise))
        .collect();
    let call = |key: &str| {
        let mut request = generate();
        request
            .headers_mut()
            .insert("x-api-key", key.parse().unwrap());
        service.clone().oneshot(request)
    };
    for key in &keys {
        call(key).await.unwrap();
    }
    let (calls, asked) = (setup.sipher.session_calls(), sessions.stats().health_calls);
    setup
        .sipher
        .fault(Fault::new(What::Html(503)).on(Target::Calls).times(1));
    for _ in 0..20 {
        let tenants = keys.iter().map(|key| call(key));
        for answer in futures(tenants).await {
            answer.unwrap();
        }
        pass(1.0).await;
    }
    assert_eq!(setup.sipher.session_calls(), calls, "nothing that counts");
    let asked = sessions.stats().health_calls - asked;
    assert!((1..=2).contains(&asked), "{asked}");
    assert_eq!(setup.sipher.live_sessions(), 300);
}

async fn futures<T: Send + 'static>(
    all: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = all.map(tokio::spawn).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

/// A gateway sends a `Retry-After` of a day. It is asked again after five minutes.
#[tokio::test(start_paused = true)]
async fn a_strangers_retry_after_of_a_day_holds_a_key_for_five_minutes() {
    for status in [503, 429] {
        let setup = Setup::new();
        let sessions = setup.manager();
        let day = What::Answer {
            status,
            headers: vec![
                ("retry-after".into(), "86400".into()),
                ("content-type".into(), "text/html".into()),
            ],
            body: "<html>".into(),
        };
        setup
            .sipher
            .fault(Fault::new(day).on(Target::Create).times(1));
        setup.call(&sessions).await.unwrap_err();
        pass(301.0).await;
        setup.call(&sessions).await.unwrap();
        setup.sipher.assert_no_dead_id();
    }
}

/// Callers give up, one after another, for ten minutes.
#[tokio::test(start_paused = true)]
async fn callers_that_give_up_cost_no_session_call_and_few_questions() {
    let setup = Setup::new();
    let sessions = setup.manager();
    setup.call(&sessions).await.unwrap();
    let calls = setup.sipher.session_calls();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Calls).always());
    for _ in 0..300 {
        let call = setup.call(&sessions);
        tokio::time::timeout(std::time::Duration::from_secs(1), call)
            .await
            .unwrap_err();
        pass(1.0).await;
    }
    assert_eq!(setup.sipher.session_calls(), calls);
    let health = sessions.stats().health_calls;
    assert!(health <= 15, "{health} in ten minutes");
}

/// The stack wraps every error in one of its own, below the layer and above it.
#[tokio::test(start_paused = true)]
async fn an_own_upload_that_fails_is_no_sign() {
    let setup = Setup::new();
    let sessions = setup.manager();
    setup.call(&sessions).await.unwrap();
    let asked = sessions.stats().health_calls;
    let inner = setup.sipher.clone();
    let nested = SessionLayer::new(sessions.clone()).layer(inner);
    // An inner session layer refuses the request, so nothing was sent.
    let outer = SessionLayer::new(sessions.clone()).layer(BoxCloneService::new(nested));
    let mut twice = generate();
    for id in ["sess_1", "sess_2"] {
        twice
            .headers_mut()
            .append("x-session-id", id.parse().unwrap());
    }
    outer.oneshot(twice).await.unwrap_err();
    assert_eq!(sessions.stats().health_calls, asked);
}
