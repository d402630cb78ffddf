//! Answers that are none, and answers that do not come.

use std::{
    convert::Infallible,
    error::Error as StdError,
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
    Chain, Error, ErrorKind, SessionDefaults, SessionManager, SessionsApi,
    api::{CreateSession, Transport},
    clock::Clock,
    testing::{FakeSipher, Fault, TestClock, What},
};
use tower::service_fn;

use crate::{World, over_every_transport};

over_every_transport!(
    what_is_not_sipher_is_told_from_a_sipher_that_cannot_be_read,
    what_is_lost_on_the_way_is_an_error_whether_or_not_it_was_done,
    no_error_shows_the_id_or_the_key_at_any_depth
);

async fn create(api: &SessionsApi) -> Error {
    let request = CreateSession::new(SessionDefaults::new().chain(Chain::Near));
    api.create_session(&request).await.unwrap_err()
}

async fn what_is_not_sipher_is_told_from_a_sipher_that_cannot_be_read(world: World) {
    for (what, kind) in [
        (What::Malformed, ErrorKind::WrongAnswer),
        (What::Html(201), ErrorKind::WrongAddress),
        (What::Html(200), ErrorKind::WrongAddress),
        (What::Html(404), ErrorKind::WrongAddress),
        (What::Html(502), ErrorKind::Unavailable),
        (What::Huge(10 * 1024 * 1024), ErrorKind::WrongAddress),
    ] {
        world.sipher.fault(Fault::new(what.clone()));
        let error = create(&world.api).await;
        assert_eq!(error.kind(), kind, "{what:?}");
        assert_eq!(error.code(), None);
        assert!(error.status().is_some(), "{what:?}");
    }
}

async fn what_is_lost_on_the_way_is_an_error_whether_or_not_it_was_done(world: World) {
    for (live, what) in [
        (0, What::Refuse),
        (0, What::LoseRequest),
        (1, What::LoseAnswer),
        (2, What::HalfBody),
    ] {
        world.sipher.fault(Fault::new(what));
        let error = create(&world.api).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.to_string(), "could not reach the server");
        assert!(error.is_transient() && error.source().is_some() && error.status().is_none());
        assert_eq!(world.sipher.live_sessions(), live);
    }
}

async fn no_error_shows_the_id_or_the_key_at_any_depth(world: World) {
    let id = world.create(SessionDefaults::new()).await.id;
    for what in [
        What::Refuse,
        What::LoseAnswer,
        What::Status(500),
        What::Malformed,
    ] {
        world.sipher.fault(Fault::new(what));
        let error = world.api.get_session(&id).await.unwrap_err();
        let mut shown = format!("{error:?}");
        let mut next = Some(&error as &dyn StdError);
        while let Some(error) = next {
            shown = format!("{shown} {error} {error:?}");
            next = error.source();
        }
        assert!(!shown.contains(&id.as_str()[5..]), "{shown}");
        assert!(!shown.contains(&*world.key), "{shown}");
    }
}

#[tokio::test]
async fn the_managers_own_client_follows_no_redirect() {
    let world = World::reqwest().await;
    let elsewhere = FakeSipher::seeded(1);
    let served = elsewhere.serve().await.unwrap();
    let target = format!("{}/v1/sessions?key=hunter2", served.base_url());
    world.sipher.fault(Fault::new(What::RedirectTo(target)));
    let manager = SessionManager::builder()
        .api_key(&*world.key)
        .base_url(&world.base_url);
    let error = create(&manager.build().unwrap().api()).await;
    assert_eq!(error.kind(), ErrorKind::WrongAddress);
    assert_eq!(
        error.to_string(),
        "no Sipher at the base URL: it answered 307 and points to http://127.0.0.1"
    );
    assert!(elsewhere.log().is_empty());
}

/// A call may take as long as it was told, however it is delayed, and no longer.
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
        assert_eq!(error.to_string(), "the server did not answer within 7s");
        assert!(error.is_transient());
        // Virtual time, so exactly.
        assert_eq!(clock.now().since(start), Duration::from_secs(7), "{what:?}");
        assert_eq!(world.sipher.live_sessions(), live, "{what:?}");
    }
    world
        .sipher
        .fault(Fault::new(What::Delay(Duration::from_secs(6))));
    let request = CreateSession::new(SessionDefaults::new());
    api.create_session(&request).await.unwrap();
}

/// A body without end, which counts how much of it is asked for.
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
