//! What was on its way when something else was answered: a request to a session, and a question to a failure.

use std::{io, time::Duration};

use http::{Method, Response};
use http_body_util::{BodyExt, Full};
use sipher_session::{
    BoxError, Chain, Event, Events, SessionDefaults, SessionLayer,
    api::{Bytes, Transport},
    testing::{FakeBody, Fault, Target, What},
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Call, Setup, generate, pass};

fn reset() -> BoxError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}

/// Returns how many requests the event of the first session's loss counts.
fn lost(events: &mut Events) -> Option<u64> {
    std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
        Event::Lost {
            session, requests, ..
        } if session.generation == 1 => Some(requests),
        _ => None,
    })
}

/// A request gets its session when the service is called. Its future is polled only after a restart, as behind a `Buffer`.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_after_a_later_one_was_proven_counts_as_lost() {
    let setup = Setup::new();
    let sessions = setup.manager();
    let mut events = sessions.events();
    let layer = SessionLayer::new(sessions.clone()).with_proof();
    let service = layer.layer(setup.sipher.clone());
    setup.call(&sessions).await.unwrap();
    pass(5.0).await;
    let late = service.clone().call(generate());
    pass(1.0).await;
    service.oneshot(generate()).await.unwrap();
    pass(5.0).await;
    setup.sipher.restart();
    pass(5.0).await;
    late.await.unwrap();
    assert_ne!(setup.last_chain().as_deref(), Some("near"));
    setup.call(&sessions).await.unwrap();
    pass(1.0).await;
    assert_eq!((setup.gets(), lost(&mut events)), (0, Some(1)));
}

/// The same, where a request of other defaults has the server asked for the oldest session.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_after_its_session_was_found_counts_as_lost() {
    let setup = Setup::new();
    let sessions = setup.manager();
    let mut events = sessions.events();
    setup.call(&sessions).await.unwrap();
    let base = SessionDefaults::new().chain(Chain::Base);
    let other = SessionLayer::new(sessions.clone()).defaults(base);
    let other = other.layer(setup.sipher.clone());
    other.clone().oneshot(generate()).await.unwrap();
    setup.silence_health();
    let layer = SessionLayer::new(sessions.clone()).with_proof();
    let late = layer.layer(setup.sipher.clone()).call(generate());
    pass(70.0).await;
    other.oneshot(generate()).await.unwrap();
    assert_eq!(setup.gets(), 1);
    pass(5.0).await;
    setup.sipher.restart();
    pass(5.0).await;
    late.await.unwrap();
    assert_ne!(setup.last_chain().as_deref(), Some("near"));
    // After five minutes, the server is asked for a session again.
    pass(310.0).await;
    setup.call(&sessions).await.unwrap();
    pass(1.0).await;
    assert_eq!((setup.gets(), lost(&mut events)), (3, Some(1)));
}

/// Health tells nothing, so a session is asked for. A request breaks, so health is asked again. It answers, and the server
/// is restarted, which breaks the session call. Only then does the answer of health arrive.
#[tokio::test(start_paused = true)]
async fn a_session_call_that_breaks_after_a_question_was_sent_is_not_answered_by_it() {
    let setup = Setup::new();
    let sipher = setup.sipher.clone();
    let transport = Transport::new(service_fn(move |call: Call| {
        let sipher = sipher.clone();
        async move {
            if call.method() == Method::GET && call.uri().path().contains("sess_") {
                pass(0.7).await;
                return Err(reset());
            }
            let (head, body) = sipher.oneshot(call).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, BoxError>(Response::from_parts(head, Full::<Bytes>::from(body)))
        }
    }));
    let sessions = setup.builder().transport(transport).build().unwrap();
    setup.call(&sessions).await.unwrap();
    pass(5.0).await;
    let breaks = service_fn(|_: Call| async {
        pass(70.5).await;
        Err::<Response<FakeBody>, _>(reset())
    });
    let broken = SessionLayer::new(sessions.clone()).layer(breaks);
    let broken = tokio::spawn(broken.oneshot(generate()));
    pass(70.0).await;
    let of_health = |what| setup.sipher.fault(Fault::new(what).on(Target::Health));
    of_health(What::Html(404));
    of_health(What::DelayAnswer(Duration::from_millis(300)));
    let waits = tokio::spawn(setup.service(&sessions).oneshot(generate()));
    pass(0.6).await;
    assert!(broken.await.unwrap().is_err());
    setup.sipher.restart();
    pass(0.25).await;
    setup.call(&sessions).await.unwrap();
    waits.await.unwrap().unwrap();
    assert_eq!(setup.sipher.health_calls(), 3);
    setup.sipher.assert_no_dead_id();
}
