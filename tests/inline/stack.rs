//! The order of the layers, and stacks that lack one.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, Response, header::CONTENT_ENCODING};
use http_body_util::{BodyExt, Full};
use sipher_session::{
    BoxError, ErrorKind, InlineDefaults, InlineDefaultsLayer, Inlined, NoSession, NotInlined,
    Proof, SessionLayer,
    body::ReadAhead,
    testing::{FakeBody, FakeError, FakeSipher},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, retry::Policy};

use super::{
    MODES, bears_session, chain, echo, id, inlined, kind, manager, post, proof, send, stack,
    support::{Call, Setup},
};

#[tokio::test(start_paused = true)]
async fn an_inline_layer_that_no_session_layer_has_decided_for_sends_nothing() {
    for mode in MODES {
        let setup = Setup::new();
        let manager = manager(&setup, mode);
        let alone = InlineDefaultsLayer::new(manager.clone()).layer(setup.sipher.clone());
        let error = alone.oneshot(post("{}")).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Config);
        // With the layers in the wrong order.
        let session = SessionLayer::new(manager.clone()).layer(setup.sipher.clone());
        let outside = InlineDefaultsLayer::new(manager.clone()).layer(session);
        let error = outside.oneshot(post("{}")).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Config);
        assert!(setup.uses().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn layers_of_two_managers_send_nothing() {
    let setup = Setup::new();
    let [one, other] = [(); 2].map(|()| manager(&setup, InlineDefaults::Always));
    let inner = InlineDefaultsLayer::new(other).layer(setup.sipher.clone());
    let service = SessionLayer::new(one).layer(inner);
    let error = service.oneshot(post("{}")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Config);
    assert!(setup.uses().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stack_without_an_inline_layer_bears_its_session_and_says_so() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    let layer = SessionLayer::new(manager.clone()).with_proof();
    for _ in 0..2 {
        let service = layer.layer(setup.sipher.clone());
        let answer = service.oneshot(post("{}")).await.unwrap();
        assert!(bears_session(&answer));
        assert_eq!(inlined(&answer), Inlined::from(NotInlined::NoLayer));
        assert_eq!(chain(answer).await, "near");
    }
    assert_eq!(manager.stats().not_inlined.no_layer, 2);
}

/// A service that sends in `call`, as some clients do.
fn eager(
    sipher: &FakeSipher,
) -> impl Service<Call, Response = Response<FakeBody>, Error = FakeError, Future: Send> + Clone {
    let sipher = sipher.clone();
    tower::service_fn(move |call: Call| {
        let sent = tokio::spawn(sipher.clone().oneshot(call));
        async move { sent.await.unwrap() }
    })
}

#[tokio::test(start_paused = true)]
async fn another_stack_of_the_same_manager_without_an_inline_layer_sends_nothing_without_a_session()
{
    let setup = Setup::new();
    setup.sipher.burn(&setup.key, 2_000);
    let manager = manager(&setup, InlineDefaults::Always);
    send(&setup, &manager, post("{}")).await.unwrap();
    let service = SessionLayer::new(manager).layer(eager(&setup.sipher));
    let error = service.oneshot(post("{}")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Quota);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(setup.uses().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn strict_sends_nothing_where_no_inline_layer_would_see_it() {
    let setup = Setup::new();
    let builder = setup.builder().inline_defaults(InlineDefaults::Always);
    let manager = builder.inline_strict(true).build().unwrap();
    manager.session().await.unwrap();
    let service = SessionLayer::new(manager.clone()).layer(eager(&setup.sipher));
    let error = service.oneshot(post("{}")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::InvalidRequest);
    assert_eq!(manager.stats().not_inlined.no_layer, 1);
    assert!(setup.uses().is_empty());
}

/// Some callers do not call `poll_ready`.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_called_unasked_is_merged_all_the_same() {
    let setup = Setup::new();
    let builder = setup.builder().inline_defaults(InlineDefaults::Always);
    let manager = builder.without_sessions().build().unwrap();
    let answer = stack(&manager, setup.sipher.clone()).call(post("{}")).await;
    assert_eq!(inlined(&answer.unwrap()), Inlined::Merged);
}

/// `poll_ready` of a buffer does not reach the services below it, so no inline layer makes itself known.
#[tokio::test(start_paused = true)]
async fn behind_a_buffer_the_first_request_waits_for_its_session_and_is_merged() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(manager.clone()).with_proof())
        .buffer(4)
        .layer(InlineDefaultsLayer::new(manager.clone()))
        .service(setup.sipher.clone());
    let answer = service.oneshot(post("{}")).await.unwrap();
    assert!(bears_session(&answer));
    assert_eq!(inlined(&answer), Inlined::Merged);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_twice_between_the_layers_is_refused() {
    #[derive(Clone)]
    struct Twice(usize);
    impl<R, E> Policy<Call, R, E> for Twice {
        type Future = std::future::Ready<()>;
        fn retry(&mut self, _: &mut Call, _: &mut Result<R, E>) -> Option<Self::Future> {
            self.0 = self.0.checked_sub(1)?;
            Some(std::future::ready(()))
        }
        fn clone_request(&mut self, call: &Call) -> Option<Call> {
            Some(call.clone())
        }
    }
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(manager.clone()))
        .retry(Twice(1))
        .layer(InlineDefaultsLayer::new(manager.clone()))
        .service(setup.sipher.clone());
    let error = service.oneshot(post("{}")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Config);
    // Above both layers, each try is merged once.
    let service = ServiceBuilder::new()
        .retry(Twice(1))
        .layer(SessionLayer::new(manager.clone()))
        .layer(InlineDefaultsLayer::new(manager))
        .service(setup.sipher.clone());
    assert_eq!(
        chain(service.oneshot(post("{}")).await.unwrap()).await,
        "near"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_put_in_where_the_request_or_its_path_says_so() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    let to = |path: &str| {
        let mut call = post("{}");
        *call.uri_mut() = path.parse().unwrap();
        call
    };
    let mut opted_out = post("{}");
    opted_out.extensions_mut().insert(NoSession);
    for call in [
        opted_out,
        to("https://sipher-api.sip-protocol.org/v1/errors"),
        to("https://sipher-api.sip-protocol.org/v1/sessions"),
        to("https://example.com/v1/stealth/generate"),
    ] {
        let answer = stack(&manager, echo()).oneshot(call).await.unwrap();
        assert_eq!(answer.body().body(), "{}", "{}", answer.body().uri());
        assert_eq!(id(answer.body()), None);
    }
    assert_eq!(manager.stats().inlined, 0);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_kept_is_kept_with_its_body() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    let request = sipher_session::api::CreateSession::new(
        sipher_session::SessionDefaults::new().chain(sipher_session::Chain::Sui),
    );
    let by_hand = manager.api().create_session(&request).await.unwrap();
    let mut call = post("{}");
    let value = by_hand.id.as_str().parse().unwrap();
    call.headers_mut().insert("x-session-id", value);
    let answer = send(&setup, &manager, call).await.unwrap();
    assert_eq!(proof(&answer), Proof::OwnSession);
    assert_eq!(chain(answer).await, "sui");
}

/// With the setting off, the layer changes nothing.
#[tokio::test(start_paused = true)]
async fn a_layer_in_a_stack_that_is_off_changes_nothing() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Off);
    let answer = stack(&manager, echo()).oneshot(post("{}")).await.unwrap();
    assert_eq!(answer.body().body(), "{}");
    assert!(id(answer.body()).is_some());
    assert_eq!(inlined(&answer), Inlined::Off);
    let cold =
        SessionLayer::new(manager.clone()).layer(tower::service_fn(|call: Call| async move {
            Ok::<_, BoxError>(Response::new(call.extensions().is_empty()))
        }));
    manager.invalidate(1);
    assert!(
        cold.oneshot(post("{}")).await.unwrap().into_body(),
        "nothing is handed down"
    );
    let alone = InlineDefaultsLayer::new(manager).layer(echo());
    assert!(alone.oneshot(post("{}")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_buffer_between_the_layers_passes_the_decision_on() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(manager.clone()).with_proof())
        .buffer(4)
        .layer(InlineDefaultsLayer::new(manager.clone()))
        .service(setup.sipher.clone());
    let answer = service.oneshot(post("{}")).await.unwrap();
    assert_eq!(inlined(&answer), Inlined::Merged);
    assert_eq!(chain(answer).await, "near");
}

#[tokio::test(start_paused = true)]
async fn a_request_below_goes_to_a_service_that_was_polled_ready() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(manager.clone()))
        .layer(InlineDefaultsLayer::new(manager))
        .concurrency_limit(1)
        .service(setup.sipher.clone());
    for _ in 0..5 {
        let call = service.clone().oneshot(post("{}"));
        let answer = tokio::time::timeout(Duration::from_secs(1), call).await;
        assert!(answer.expect("a permit is there").is_ok());
        let mut refused = post("{}");
        let digest = "sha-256=:x:".parse().unwrap();
        refused.headers_mut().insert("digest", digest);
        assert!(service.clone().oneshot(refused).await.is_err());
    }
}

/// Does what a layer does that compresses request bodies.
fn compressed(body: &[u8]) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(body).unwrap();
    gzip.finish().unwrap().into()
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_compressed_below_are_merged_before() {
    let setup = Setup::new();
    let builder = setup.builder().inline_defaults(InlineDefaults::Always);
    let manager = builder.without_sessions().build().unwrap();
    let sipher = setup.sipher.clone();
    let compresses = tower::service_fn(move |request: http::Request<ReadAhead<_>>| {
        let sipher = sipher.clone();
        async move {
            let (mut head, body) = request.into_parts();
            let gzip = HeaderValue::from_static("gzip");
            head.headers.insert(CONTENT_ENCODING, gzip);
            let body = body.collect().await.unwrap().to_bytes();
            let body = Full::<Bytes>::from(compressed(&body));
            let answer = sipher.oneshot(http::Request::from_parts(head, body)).await;
            answer.map_err(BoxError::from)
        }
    });
    let answer = stack(&manager, compresses)
        .oneshot(post("{}"))
        .await
        .unwrap();
    assert_eq!(inlined(&answer), Inlined::Merged);
    assert_eq!(chain(answer).await, "near");
}

#[tokio::test(start_paused = true)]
async fn bodies_that_were_compressed_above_bear_their_session() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    let mut call = post("");
    let gzip = HeaderValue::from_static("gzip");
    call.headers_mut().insert(CONTENT_ENCODING, gzip);
    *call.body_mut() = Full::from(compressed(b"{}"));
    let answer = send(&setup, &manager, call).await.unwrap();
    assert_eq!(inlined(&answer), Inlined::from(NotInlined::Encoded));
    assert!(bears_session(&answer));
    assert_eq!(chain(answer).await, "near");
}

/// The service below may keep the request for as long as it likes.
#[tokio::test(start_paused = true)]
async fn a_request_that_its_caller_gave_up_holds_no_session_by_what_was_handed_down() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    let (keep, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let hangs = tower::service_fn(move |call: Call| {
        keep.send(call).unwrap();
        std::future::pending::<Result<Response<FakeBody>, BoxError>>()
    });
    let layer = SessionLayer::new(manager.clone());
    let call = layer.layer(hangs).oneshot(post("{}"));
    let second = Duration::from_secs(1);
    assert!(tokio::time::timeout(second, call).await.is_err());
    let _kept = kept.recv().await;
    assert_eq!(manager.stats().in_flight, 0);
}

/// The request does not say where it goes. So the inline layer alone cannot decide whether the request is Sipher's.
#[tokio::test(start_paused = true)]
async fn a_request_without_an_address_that_is_sent_twice_between_the_layers_is_refused() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    let inner = InlineDefaultsLayer::new(manager.clone()).layer(setup.sipher.clone());
    let twice = tower::service_fn(move |call: Call| {
        let inner = inner.clone();
        async move {
            inner.clone().oneshot(call.clone()).await?;
            inner.oneshot(call).await
        }
    });
    manager.session().await.unwrap();
    let service = SessionLayer::new(manager).inner_is_sipher().layer(twice);
    let mut call = post("{}");
    *call.uri_mut() = "/v1/stealth/generate".parse().unwrap();
    let error = service.oneshot(call).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Config);
    assert_eq!(setup.uses().len(), 1);
}
