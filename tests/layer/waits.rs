//! How long a request waits for its session: as its own timeout says, or its `MaxWait`, or the manager's setting.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Extensions;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next, Result as Answer};
use sipher_session::{
    BoxError, Chain, Error, ErrorKind, InlineDefaults, MaxWait, OnNoSession, SessionDefaults,
    SessionLayer, SessionManager,
    testing::{Fault, Target, What},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{SECOND, Setup, generate, ours, pass};

/// Takes the place of a `reqwest::Client`, and records the timeout of each request.
#[derive(Clone, Default)]
struct Terminal(Arc<Mutex<Vec<Option<Duration>>>>);

impl Terminal {
    fn send(&self, request: &Request) -> Response {
        self.0.lock().unwrap().push(request.timeout().copied());
        http::Response::new("{}").into()
    }

    fn timeouts(&self) -> Vec<Option<Duration>> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Middleware for Terminal {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Answer<Response> {
        Ok(self.send(&request))
    }
}

/// Sends the request through the tower service, and then through the middleware. Each gets a manager without a session.
async fn both<F>(
    manager: impl Fn() -> SessionManager,
    request: impl Fn() -> Request,
    with: impl Fn(&mut Extensions),
    mut see: impl FnMut(Result<Vec<Option<Duration>>, Error>, Duration) -> F,
) where
    F: Future<Output = ()>,
{
    let (start, client) = (Instant::now(), Terminal::default());
    let inner = service_fn(|request: Request| {
        let response = client.send(&request);
        async { Ok::<_, BoxError>(response) }
    });
    let answer = SessionLayer::new(manager())
        .layer(inner)
        .oneshot(request())
        .await;
    let answer = answer.map(|_| client.timeouts());
    see(
        answer.map_err(|error| ours(&error).clone()),
        start.elapsed(),
    )
    .await;

    let (start, client) = (Instant::now(), Terminal::default());
    let http = ClientBuilder::new(Client::new())
        .with(SessionLayer::new(manager()))
        .with(client.clone())
        .build();
    let mut extensions = Extensions::new();
    with(&mut extensions);
    let answer = http
        .execute_with_extensions(request(), &mut extensions)
        .await;
    let answer = answer.map(|_| client.timeouts());
    let ours = |error| Error::find(&error).expect("one of ours").clone();
    see(answer.map_err(ours), start.elapsed()).await;
}

fn post(timeout: Option<Duration>) -> Request {
    let url = "https://sipher-api.sip-protocol.org/v1/stealth/generate";
    let request = Client::new()
        .post(url)
        .header("content-type", "application/json");
    let mut request = request.body("{}").build().unwrap();
    *request.timeout_mut() = timeout;
    request
}

/// A server whose creates take this long.
fn slow(create: Duration) -> Setup {
    let setup = Setup::new();
    let slow = Fault::new(What::DelayAnswer(create)).on(Target::Create);
    setup.sipher.fault(slow.always());
    setup
}

#[tokio::test(start_paused = true)]
async fn a_request_never_waits_longer_than_its_own_timeout() {
    let setup = slow(19 * SECOND);
    let see = async |answer: Result<_, Error>, took: Duration| {
        let error = answer.unwrap_err();
        assert_eq!((error.kind(), took), (ErrorKind::Timeout, SECOND));
        assert!(error.to_string().contains("own 1s"), "{error}");
    };
    both(|| setup.manager(), || post(Some(SECOND)), |_| (), see).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_waited_is_taken_from_the_timeout_and_nothing_from_one_that_waited_for_nothing() {
    let setup = slow(3 * SECOND);
    for (timeout, left) in [(Some(10 * SECOND), Some(7 * SECOND)), (None, None)] {
        let see = async |answer: Result<_, Error>, took: Duration| {
            assert_eq!((answer.unwrap(), took), (vec![left], 3 * SECOND));
        };
        both(|| setup.manager(), || post(timeout), |_| (), see).await;
    }
    let warm = setup.manager();
    warm.session().await.unwrap();
    let see = async |answer: Result<_, Error>, _| {
        assert_eq!(answer.unwrap(), [Some(10 * SECOND)]);
    };
    both(|| warm.clone(), || post(Some(10 * SECOND)), |_| (), see).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_body_takes_to_be_read_is_taken_from_the_timeout() {
    let setup = slow(3 * SECOND);
    let inlines = || {
        setup
            .builder()
            .inline_defaults(InlineDefaults::Always)
            .build()
            .unwrap()
    };
    let streamed = || {
        let chunk = async {
            pass(2.0).await;
            Ok::<_, BoxError>("[1]")
        };
        let mut request = post(Some(10 * SECOND));
        let body = reqwest::Body::wrap(http_body_util::StreamBody::new(
            futures_util::stream::once(Box::pin(async {
                chunk
                    .await
                    .map(|chunk| http_body::Frame::data(bytes::Bytes::from(chunk)))
            })),
        ));
        *request.body_mut() = Some(body);
        request
    };
    let see = async |answer: Result<_, Error>, took: Duration| {
        assert_eq!(
            (answer.unwrap(), took),
            (vec![Some(8 * SECOND)], 2 * SECOND)
        );
    };
    both(inlines, streamed, |_| (), see).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_go_without_keeps_half_of_its_timeout_for_that() {
    let setup = slow(19 * SECOND);
    let lenient = || {
        let builder = setup.builder().on_no_session(OnNoSession::SendWithout);
        builder.build().unwrap()
    };
    let see = async |answer: Result<_, Error>, took: Duration| {
        assert_eq!((answer.unwrap(), took), (vec![Some(SECOND)], SECOND));
    };
    both(lenient, || post(Some(2 * SECOND)), |_| (), see).await;
}

#[tokio::test(start_paused = true)]
async fn a_middlewares_request_says_how_long_it_waits() {
    let setup = slow(19 * SECOND);
    let mut expected = [19 * SECOND, 2 * SECOND].into_iter();
    let see = |answer: Result<Vec<_>, Error>, took: Duration| {
        let expected = expected.next().unwrap();
        // The tower service cannot see the extensions of a `reqwest::Request`.
        assert_eq!(answer.is_ok(), expected > 10 * SECOND);
        async move { assert_eq!(took, expected) }
    };
    let with = |extensions: &mut Extensions| {
        extensions.insert(MaxWait(2 * SECOND));
    };
    both(|| setup.manager(), || post(None), with, see).await;
}

#[tokio::test(start_paused = true)]
async fn a_tower_request_says_how_long_it_waits_also_longer_than_others() {
    let setup = slow(10 * SECOND);
    for (own, succeeds, expected) in [(None, false, 5), (Some(2), false, 2), (Some(15), true, 10)] {
        let manager = setup.builder().max_wait(5 * SECOND).build().unwrap();
        let mut request = generate();
        if let Some(own) = own {
            request.extensions_mut().insert(MaxWait(own * SECOND));
        }
        let start = Instant::now();
        let answer = setup.service(&manager).oneshot(request).await;
        assert_eq!(answer.is_ok(), succeeds, "{own:?}");
        assert_eq!(start.elapsed(), expected * SECOND, "{own:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_wait_has_the_session_made_for_the_next() {
    let setup = slow(SECOND);
    let manager = setup.manager();
    let mut request = generate();
    request.extensions_mut().insert(MaxWait(Duration::ZERO));
    let start = Instant::now();
    let error = setup
        .service(&manager)
        .oneshot(request.clone())
        .await
        .unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Timeout);
    assert_eq!(start.elapsed(), Duration::ZERO);
    pass(1.5).await;
    setup.service(&manager).oneshot(request).await.unwrap();
    assert_eq!(setup.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_with_more_patience_than_others_waits_for_a_call_as_long_as_it_says() {
    let setup = Setup::new();
    let builder = setup.builder().max_wait(5 * SECOND).call_budget(2, 1);
    let manager = builder.build().unwrap();
    manager.session().await.unwrap();
    let ask = |own: Option<u32>, chain: Chain| {
        let mut request = generate();
        request
            .extensions_mut()
            .insert(SessionDefaults::new().chain(chain));
        if let Some(own) = own {
            request.extensions_mut().insert(MaxWait(own * SECOND));
        }
        let (call, start) = (setup.service(&manager).oneshot(request), Instant::now());
        async move {
            let answer = call.await.map(drop);
            (answer, start.elapsed())
        }
    };
    let refused = |(answer, took): (Result<(), BoxError>, Duration)| {
        let error = answer.unwrap_err();
        assert_eq!(ours(&error).kind(), ErrorKind::Budget);
        assert_eq!(took, Duration::ZERO);
    };
    // This request already knows that it would be too late.
    refused(ask(Some(20), Chain::Sui).await);
    let patient = tokio::spawn(ask(Some(60), Chain::Sui));
    pass(1.0).await;
    // No other request waits any longer because of it, for the same session or another.
    refused(ask(None, Chain::Sui).await);
    refused(ask(Some(4), Chain::Sui).await);
    refused(ask(None, Chain::Base).await);
    let (answer, took) = patient.await.unwrap();
    answer.unwrap();
    assert!(took >= 29 * SECOND && took <= 32 * SECOND, "{took:?}");
    assert_eq!(setup.creates(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_with_patience_waits_out_the_servers_pace_and_no_refusal() {
    let paced = What::RateLimited {
        retry_after: Some(40),
        in_body: false,
    };
    for (what, succeeds) in [(paced, true), (What::Status(401), false)] {
        let setup = Setup::new();
        let manager = setup.builder().max_wait(5 * SECOND).build().unwrap();
        setup.sipher.fault(Fault::new(what).on(Target::Create));
        let mut request = generate();
        request.extensions_mut().insert(MaxWait(60 * SECOND));
        let start = Instant::now();
        let answer = setup.service(&manager).oneshot(request).await;
        assert_eq!(answer.is_ok(), succeeds, "{answer:?}");
        let least = if succeeds {
            40 * SECOND
        } else {
            Duration::ZERO
        };
        assert!(start.elapsed() >= least && start.elapsed() <= least + 2 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_patient_request_waits_no_longer_than_until_others_have_got_its_session() {
    let setup = Setup::new();
    let manager = setup.builder().max_wait(5 * SECOND).build().unwrap();
    let paced = What::RateLimited {
        retry_after: Some(40),
        in_body: false,
    };
    setup.sipher.fault(Fault::new(paced).on(Target::Create));
    let mut request = generate();
    request.extensions_mut().insert(MaxWait(60 * SECOND));
    let patient = tokio::spawn(setup.service(&manager).oneshot(request));
    pass(1.0).await;
    // The machine sleeps, and its timers stop.
    setup.clock.suspend(60 * SECOND);
    manager.session().await.unwrap();
    let answer = tokio::time::timeout(SECOND, patient).await;
    answer.expect("there is a session").unwrap().unwrap();
    assert_eq!(setup.creates(), 2, "one was refused");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_wait_of_a_patient_request() {
    let setup = Setup::new();
    let builder = setup.builder().max_wait(5 * SECOND).call_budget(1, 1);
    let manager = builder.build().unwrap();
    manager.session().await.unwrap();
    let mut request = generate();
    request
        .extensions_mut()
        .insert(SessionDefaults::new().chain(Chain::Sui));
    request.extensions_mut().insert(MaxWait(600 * SECOND));
    let patient = tokio::spawn(setup.service(&manager).oneshot(request));
    pass(1.0).await;
    manager.shutdown(SECOND).await;
    let error = patient.await.unwrap().unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Shutdown);
}
