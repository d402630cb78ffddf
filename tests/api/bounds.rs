//! The longest time that a call takes, and how much of an answer it reads.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use sipher_session::{
    ErrorKind, SessionDefaults, SessionsApi,
    api::{CreateSession, Transport},
    clock::Clock,
    testing::{FakeSipher, Fault, TestClock, What},
};
use tower::service_fn;

use crate::{World, faults::create};

/// A call ends exactly at its timeout, whichever part of the exchange is delayed.
#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_timeout_whatever_does_not_come() {
    let world = World::in_process();
    let clock = TestClock::new();
    let api = world.api.clone().timeout(Duration::from_secs(7));
    for (what, live) in [
        (What::Hang, 0),
        (What::Delay(Duration::from_secs(8)), 0),
        (What::HangAnswer, 1),
        (What::SlowBody(Duration::from_secs(1)), 2),
    ] {
        world.sipher.fault(Fault::new(what.clone()));
        let start = clock.now();
        let error = create(&api).await;
        assert_eq!(error.kind(), ErrorKind::Timeout, "{what:?}");
        assert_eq!(crate::said(&error), "the server did not answer within 7s");
        assert!(error.is_transient());
        // Time is virtual, so the call ends exactly at its timeout.
        assert_eq!(clock.now().since(start), Duration::from_secs(7), "{what:?}");
        assert_eq!(world.sipher.live_sessions(), live, "{what:?}");
    }
    world
        .sipher
        .fault(Fault::new(What::Delay(Duration::from_secs(6))));
    let request = CreateSession::new(SessionDefaults::new());
    api.create_session(&request).await.unwrap();
}

/// A body without end. It counts how many frames were read from it.
struct Endless(Arc<AtomicUsize>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = Bytes::from_static(&[b'x'; 1024]);
        let before = self.0.fetch_add(chunk.len(), Ordering::SeqCst);
        assert!(before < 1024 * 1024, "it would never end");
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_of_an_answer_is_read_than_sipher_would_send() {
    for (status, kind) in [
        (201, ErrorKind::WrongAddress),
        (503, ErrorKind::Unavailable),
    ] {
        let asked_for = Arc::new(AtomicUsize::new(0));
        let count = asked_for.clone();
        let service = service_fn(move |_: Request<Full<Bytes>>| {
            let answer = Response::builder()
                .status(status)
                .body(Endless(count.clone()));
            async { answer }
        });
        let api = SessionsApi::new(Transport::new(service), FakeSipher::base_url(), "key").unwrap();
        let error = create(&api).await;
        assert_eq!(error.kind(), kind);
        assert_eq!(error.status().unwrap(), status);
        let read = asked_for.load(Ordering::SeqCst);
        assert!((64 * 1024..=66 * 1024).contains(&read), "{read}");
    }
}
