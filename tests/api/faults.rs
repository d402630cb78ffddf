//! Answers that are not Sipher's, and answers that get lost.

use std::{error::Error as StdError, future::ready, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use sipher_session::{
    Chain, Error, ErrorKind, SessionDefaults, SessionId, SessionManager, SessionsApi,
    api::{CreateSession, Transport},
    testing::{FakeSipher, Fault, TestClock, What},
};
use tokio::{net::TcpStream, sync::oneshot, time::sleep};
use tower::{ServiceExt, service_fn};

use crate::{World, over_every_transport};

over_every_transport!(
    what_is_not_sipher_is_told_from_a_sipher_that_cannot_be_read,
    what_is_lost_on_the_way_is_an_error_whether_or_not_it_was_done,
    no_error_shows_the_id_or_the_key_at_any_depth
);

pub(crate) async fn create(api: &SessionsApi) -> Error {
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
        assert_eq!(crate::said(&error), "could not reach the server");
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
    let manager = SessionManager::builder()
        .api_key(&*world.key)
        .base_url(&world.base_url);
    let api = manager.build().unwrap().api();
    for status in [302, 303, 307] {
        world.sipher.fault(Fault::new(What::Answer {
            status,
            headers: vec![("location".to_owned(), target.clone())],
            body: String::new(),
        }));
        let error = create(&api).await;
        assert_eq!(error.kind(), ErrorKind::WrongAddress);
        let message = error.to_string();
        let start = format!(
            "no Sipher at the base URL: it answered {status} and points to http://127.0.0.1"
        );
        assert!(message.starts_with(&start), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    assert!(elsewhere.log().is_empty());
}

/// `reqwest` repeats the URL in its errors, and a proxy may repeat anything.
#[tokio::test(start_paused = true)]
async fn what_a_transport_says_is_shown_without_the_id_and_the_key() {
    let service = service_fn(async |call: Request<Full<Bytes>>| {
        let text = format!(
            "{} {:?} failed",
            call.uri(),
            call.headers()["x-api-key"].to_str()
        );
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other(text))
    });
    let transport = Transport::new(service);
    let api = SessionsApi::new(transport, FakeSipher::base_url(), "sk_pro_hunter2").unwrap();
    let digits = "0123456789abcdef".repeat(4);
    let id = SessionId::parse(&format!("sess_{digits}")).unwrap();
    let error = api.get_session(&id).await.unwrap_err();
    let shown = error.source().unwrap().to_string();
    assert_eq!(
        shown,
        "https://sipher-api.sip-protocol.org/v1/sessions/sess_[redacted] Ok(\"[redacted]\") failed"
    );
    assert!(!format!("{error:?}").contains("hunter2"));
}

/// A create that was sent and not answered may have left a session on the server. A create that got no connection cannot have.
#[tokio::test(start_paused = true)]
async fn only_an_open_connection_that_fails_leaves_it_open_whether_a_session_was_made() {
    for kind in [
        io::ErrorKind::Other, // for example, a host name that does not resolve
        io::ErrorKind::AddrNotAvailable,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::TimedOut,
    ] {
        let connect =
            service_fn(move |_: Uri| ready(Err::<TokioIo<TcpStream>, _>(io::Error::from(kind))));
        let client = Client::builder(TokioExecutor::new()).build(connect);
        let orphans = orphans_of(Transport::new(client)).await;
        assert_eq!(orphans, 0, "{kind:?} while connecting");

        let exchange = service_fn(move |_: Request<Full<Bytes>>| {
            ready(Err::<Response<Full<Bytes>>, _>(io::Error::from(kind)))
        });
        let orphans = orphans_of(Transport::new(exchange)).await;
        assert!(orphans > 0, "{kind:?} at any time");
    }
}

async fn orphans_of(transport: Transport) -> u64 {
    let manager = SessionManager::builder()
        .api_key("sk_pro_1234")
        .transport(transport)
        .clock(TestClock::new())
        .build()
        .unwrap();
    let error = manager.session().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    manager.shutdown(Duration::ZERO).await.possible_orphans
}

/// The client reads its connection in a task of its own. The runtime of the call stalls before the answer arrives, and
/// goes on after the timeout. The answer counts.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_when_a_runtime_goes_on_counts_though_its_time_is_over() {
    let world = World::in_process();
    let sipher = world.sipher.clone();
    let read_by_a_task = Transport::new(service_fn(move |request: Request<Full<Bytes>>| {
        let answer = sipher.clone().oneshot(request);
        let (arrives, there) = oneshot::channel();
        let (read, answered) = oneshot::channel();
        tokio::spawn(async move {
            sleep(Duration::from_secs(1)).await;
            let _ = arrives.send(());
        });
        tokio::spawn(async move {
            there.await.unwrap();
            let _ = read.send(answer.await);
        });
        async { answered.await.unwrap() }
    }));
    let api = SessionsApi::new(read_by_a_task, &world.base_url, &*world.key).unwrap();
    let api = api.timeout(Duration::from_secs(2));
    let request = CreateSession::new(SessionDefaults::new());
    let create = tokio::spawn(async move { api.create_session(&request).await });
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(60)).await;
    create.await.unwrap().unwrap();
}
