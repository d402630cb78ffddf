//! The duties of a middleware towards the services around it and the runtime below it.

use std::{
    convert::Infallible,
    future::{Ready, poll_fn, ready},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use sipher_session::{
    BoxError, CallBudget, ErrorKind, SessionLayer, SessionManager,
    api::Transport,
    testing::{FakeSipher, Fault, SessionUse, Target, Tier, What},
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    buffer::Buffer,
    limit::ConcurrencyLimit,
    retry::{Policy, RetryLayer},
    service_fn,
};

use crate::support::{Call, SECOND, Setup, generate, ours, pass};

/// One of three places. It is returned however the call ends.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(busy: &Arc<AtomicUsize>) -> Self {
        assert!(busy.fetch_add(1, Ordering::SeqCst) < 3, "a place for three");
        Self(busy.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Pain 24: the middleware called a clone that had never been polled ready. Limits below it were overrun, or panicked,
/// or leaked their places.
#[tokio::test(start_paused = true)]
async fn a_limit_and_a_buffer_below_are_neither_overrun_nor_drained() {
    let setup = Setup::new();
    setup.sipher.set_latency(Duration::from_millis(300));
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    let busy = Arc::new(AtomicUsize::new(0));
    let sipher = setup.sipher.clone();
    let counted = service_fn({
        let busy = busy.clone();
        move |call: Call| {
            let (busy, sipher) = (busy.clone(), sipher.clone());
            async move {
                let _place = Place::take(&busy);
                sipher.oneshot(call).await
            }
        }
    });
    // These services panic if they are called without being ready.
    let limited = ConcurrencyLimit::new(Buffer::new(ConcurrencyLimit::new(counted, 3), 5), 5);
    let service = SessionLayer::new(manager.clone()).layer(limited);
    let mut random = fastrand::Rng::with_seed(24);
    for wave in 0..60 {
        let mut callers = JoinSet::new();
        for caller in 0..40 {
            let call = service.clone().oneshot(generate());
            let patience = Duration::from_millis(if caller % 2 == 0 {
                600_000
            } else {
                random.u64(0..400)
            });
            callers.spawn(timeout(patience, call));
        }
        let answers = callers.join_all().await;
        let answered = answers
            .iter()
            .flatten()
            .filter(|answer| answer.is_ok())
            .count();
        assert!(answered >= 20, "wave {wave}: {answered}");
        if wave % 10 == 9 {
            manager.invalidate(manager.stats().created);
        }
        pass(2.0).await;
    }
    // All five places are free: each can be taken before the others are answered.
    let mut places = Vec::new();
    for _ in 0..5 {
        let mut place = service.clone();
        timeout(
            SECOND,
            poll_fn(|cx| Service::<Call>::poll_ready(&mut place, cx)),
        )
        .await
        .unwrap()
        .unwrap();
        places.push(place);
    }
    setup.sipher.assert_every_call_had_a_session();
}

#[derive(Clone)]
struct Twice(u8);

impl Policy<Call, Response<sipher_session::testing::FakeBody>, BoxError> for Twice {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Call,
        answer: &mut Result<Response<sipher_session::testing::FakeBody>, BoxError>,
    ) -> Option<Ready<()>> {
        let failed = answer
            .as_ref()
            .map_or(true, |answer| answer.status().is_server_error());
        (failed && self.0 > 0).then(|| {
            self.0 -= 1;
            ready(())
        })
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(call.clone())
    }
}

/// Pain 25: a retry sent the header of the first attempt again, which was stale by then. Below the retry, the layer
/// sees each attempt as a new request.
#[tokio::test(start_paused = true)]
async fn below_a_retry_each_attempt_gets_the_session_of_its_own_moment() {
    let setup = Setup::new();
    let manager = setup.manager();
    let first = manager.session().await.unwrap();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(Twice(1)))
        .layer(SessionLayer::new(manager.clone()))
        .service(setup.sipher.clone());
    for sign in [What::Status(503), What::Refuse] {
        let (before, sent) = (manager.session().await.unwrap(), setup.uses().len());
        setup.sipher.fault(Fault::new(sign).on(Target::Calls));
        setup.sipher.restart();
        service.clone().oneshot(generate()).await.unwrap();
        let attempts = &setup.uses()[sent..];
        assert_eq!(attempts.len(), 2);
        let SessionUse::Live { id, .. } = &attempts[1].session else {
            panic!("{}", attempts[1])
        };
        assert_ne!(id, before.id().as_str());
        assert_eq!(attempts[1].chain.as_deref(), Some("near"));
    }
    // Without a restart, an attempt that fails inside of the server keeps the session, which is still good.
    setup
        .sipher
        .fault(Fault::new(What::Status(500)).on(Target::Calls));
    let (before, sent) = (manager.session().await.unwrap(), setup.uses().len());
    service.oneshot(generate()).await.unwrap();
    assert_eq!(setup.uses().len(), sent + 2);
    assert_eq!(setup.last_id().as_deref(), Some(before.id().as_str()));
    assert_ne!(before.generation(), first.generation());
}

/// A body that can be read once, and counts the reads.
struct Stream(Arc<AtomicUsize>, Option<Bytes>);

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(self.1.take().map(|data| Ok(Frame::data(data))))
    }
}

/// Pain 25: the middleware replayed a request, and the second time its streamed body was empty.
#[tokio::test(start_paused = true)]
async fn no_body_is_touched_and_no_request_is_sent_twice_whatever_comes_of_it() {
    for trouble in [
        What::Status(503),
        What::Status(410),
        What::Status(401),
        What::Status(404),
        What::Refuse,
        What::LoseAnswer,
        What::LoseRequest,
    ] {
        for warm in [false, true] {
            let name = format!("{trouble:?}, {warm}");
            let setup = Setup::new();
            let manager = setup.manager();
            if warm {
                manager.session().await.unwrap();
            }
            setup
                .sipher
                .fault(Fault::new(trouble.clone()).on(Target::Calls));
            let polls = Arc::new(AtomicUsize::new(0));
            let (sipher, seen) = (setup.sipher.clone(), polls.clone());
            let inner = service_fn(move |request: Request<Stream>| {
                assert_eq!(seen.load(Ordering::SeqCst), 0, "it arrives unread");
                sipher.clone().oneshot(request)
            });
            let (head, _) = generate().into_parts();
            let body = Stream(polls, Some(Bytes::from_static(b"{}")));
            let request = Request::from_parts(head, body);
            drop(
                SessionLayer::new(manager.clone())
                    .layer(inner)
                    .oneshot(request)
                    .await,
            );
            pass(60.0).await;
            assert_eq!(setup.uses().len(), 1, "{name}");
        }
    }
}

fn outside() -> (FakeSipher, SessionManager) {
    // The fake's clock needs a runtime to start.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let sipher = runtime.block_on(async { FakeSipher::new() });
    let manager = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .transport(Transport::new(sipher.clone()))
        .build()
        .unwrap();
    (sipher, manager)
}

/// Polls a future once, without a runtime.
fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Pain 27: a client that spawned a task in its constructor panicked if there was no runtime yet. So did a request that
/// was made after its runtime had ended.
#[test]
fn a_layer_outside_of_any_runtime_and_after_its_own_gives_errors_and_no_panic() {
    let (sipher, manager) = outside();
    let service = SessionLayer::new(manager.clone()).layer(sipher.clone());
    let is_refused = || {
        let Poll::Ready(Err(error)) = poll_once(service.clone().oneshot(generate())) else {
            panic!("it waits, or was sent")
        };
        assert_eq!(ours(&error).kind(), ErrorKind::NoRuntime);
    };
    is_refused();
    for ended in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(service.clone().oneshot(generate()))
            .unwrap();
        // A delete is in flight, too, when its runtime ends.
        runtime.block_on(async { assert!(manager.invalidate(ended + 1)) });
        drop(runtime);
        is_refused();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let report = runtime.block_on(manager.shutdown(5 * SECOND));
    assert!(report.is_clean(), "{report}");
    assert_eq!(sipher.live_sessions(), 0);
}

/// Pain 27: the worker task had died of a panic. Every caller then panicked or waited forever.
#[tokio::test(start_paused = true)]
async fn a_create_that_panics_is_an_error_within_the_bound_and_not_the_end() {
    let setup = Setup::new();
    let broken = Arc::new(AtomicBool::new(true));
    let calls = Arc::new(AtomicUsize::new(0));
    let transport = service_fn({
        let (sipher, broken, calls) = (setup.sipher.clone(), broken.clone(), calls.clone());
        move |call: Call| {
            let (sipher, broken, calls) = (sipher.clone(), broken.clone(), calls.clone());
            async move {
                calls.fetch_add(1, Ordering::SeqCst);
                assert!(!broken.load(Ordering::SeqCst), "broken");
                sipher.oneshot(call).await
            }
        }
    });
    let manager = setup
        .builder()
        .transport(Transport::new(transport))
        .max_wait(10 * SECOND)
        .build()
        .unwrap();
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        callers.spawn(setup.service(&manager).oneshot(generate()));
    }
    for answer in callers.join_all().await {
        ours(&answer.unwrap_err());
    }
    assert!(start.elapsed() <= 10 * SECOND);
    let calls = calls.load(Ordering::SeqCst) as u64;
    assert!(
        calls <= CallBudget::default().bound(start.elapsed()),
        "{calls}"
    );
    assert_eq!(
        manager.stats().possible_orphans,
        calls,
        "what a call that panicked has done is not known"
    );
    broken.store(false, Ordering::SeqCst);
    setup.call(&manager).await.unwrap();
    setup.sipher.assert_every_call_had_a_session();
}
