//! Bodies of all types, in one piece or many.

use std::{convert::Infallible, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, header::CONTENT_LENGTH};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use sipher_session::{
    BoxError, Error, ErrorKind, InlineDefaults, Inlined, NotInlined, SessionManager,
    body::ReadAhead,
};
use tower::ServiceExt;

use super::{bears_session, echo, id, inlined, json, manager, post, stack, support::Setup};

const MERGED: &str = r#"{"chain":"near","a":1}"#;

async fn warm() -> (Setup, SessionManager) {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    (setup, manager)
}

/// Returns the request that the inner service gets.
async fn passed<B>(manager: &SessionManager, request: Request<B>) -> (Request<Bytes>, Inlined)
where
    B: Body<Data: Send, Error: Into<BoxError> + Send> + Send + 'static,
{
    let answer = stack(manager, echo()).oneshot(request).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
    let became = inlined(&answer);
    assert!(bears_session(&answer));
    (answer.into_body(), became)
}

fn chunks(of: &'static [&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + Send {
    let frames = of
        .iter()
        .map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes()))));
    StreamBody::new(stream::iter(frames))
}

#[tokio::test(start_paused = true)]
async fn bodies_of_all_types_are_merged() {
    let (_setup, manager) = warm().await;
    let boxed = BoxBody::new(Full::<Bytes>::from(r#"{"a":1}"#));
    for (request, became) in [
        passed(&manager, json(Full::<Bytes>::from(r#"{"a":1}"#))).await,
        passed(&manager, json(boxed)).await,
        passed(&manager, json(chunks(&["{\"", "a\"", ":1}"]))).await,
        passed(&manager, json(axum::body::Body::from(r#"{"a":1}"#))).await,
        passed(&manager, json(String::from(r#"{"a":1}"#))).await,
    ] {
        assert_eq!(request.body(), MERGED);
        assert_eq!(became, Inlined::Merged);
        assert!(id(&request).is_some());
        assert!(
            !request.headers().contains_key(CONTENT_LENGTH),
            "none was there"
        );
    }
    let (request, became) = passed(&manager, json(Empty::<Bytes>::new())).await;
    assert_eq!(request.body(), "");
    assert_eq!(became, Inlined::from(NotInlined::NoBody));
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_that_says_so_becomes_an_object() {
    let (_setup, manager) = warm().await;
    for (name, value) in [("content-length", "0"), ("transfer-encoding", "chunked")] {
        let mut request = json(Empty::<Bytes>::new());
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        let (request, became) = passed(&manager, request).await;
        assert_eq!(request.body(), r#"{"chain":"near"}"#);
        assert_eq!(became, Inlined::Merged);
        let length = request.headers().get(CONTENT_LENGTH);
        assert_eq!(length.is_some(), name == "content-length");
        assert!(length.is_none_or(|length| length == "16"));
    }
}

/// A client would send an empty stream as a chunked body, and the server reads an empty chunked body as an object.
#[tokio::test(start_paused = true)]
async fn a_stream_that_turns_out_to_be_empty_becomes_an_object() {
    let (_setup, manager) = warm().await;
    let (request, became) = passed(&manager, json(chunks(&[]))).await;
    assert_eq!(request.body(), r#"{"chain":"near"}"#);
    assert_eq!(became, Inlined::Merged);
    assert_eq!(request.headers()[CONTENT_LENGTH], "16");
}

#[tokio::test(start_paused = true)]
async fn a_digest_in_a_trailer_is_not_broken_either() {
    let (setup, manager) = warm().await;
    for is_announced in [false, true] {
        let mut trailers = HeaderMap::new();
        trailers.insert("content-digest", HeaderValue::from_static("sha-256=:x:"));
        let data = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"{}")));
        let frames = vec![data, Ok(Frame::trailers(trailers))];
        let frames = frames.into_iter().take(if is_announced { 1 } else { 2 });
        let mut request = json(StreamBody::new(stream::iter(frames)));
        if is_announced {
            let names = HeaderValue::from_static("x-one, Content-Digest");
            request.headers_mut().insert("trailer", names);
        }
        let error = stack(&manager, echo()).oneshot(request).await.unwrap_err();
        let error = Error::find(&*error).unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
    assert!(setup.uses().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_length_is_right_afterwards() {
    let (_setup, manager) = warm().await;
    let mut request = json(Full::<Bytes>::from(r#"{"a":1}"#));
    request.headers_mut().insert(CONTENT_LENGTH, 7.into());
    let (request, _) = passed(&manager, request).await;
    assert_eq!(request.headers()[CONTENT_LENGTH], MERGED.len().to_string());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_lacks_nothing_keeps_every_byte() {
    let (_setup, manager) = warm().await;
    let body = r#" { "ch\u0061in" : null , "n":1.0e0 } "#;
    let (request, became) = passed(&manager, json(Full::<Bytes>::from(body))).await;
    assert_eq!(request.body(), body);
    assert_eq!(became, Inlined::Complete);
}

/// The layer has already read the first part of a body that is too long.
#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_goes_on_whole_with_its_session_alone() {
    let (_setup, manager) = warm().await;
    let long: String = format!("{{\"pad\":\"{}\"}}", "x".repeat(1024 * 1024));
    let frames: Vec<_> = long
        .as_bytes()
        .chunks(10_000)
        .map(Bytes::copy_from_slice)
        .collect();
    let frames = stream::iter(
        frames
            .into_iter()
            .map(|data| Ok::<_, Infallible>(Frame::data(data))),
    );
    let (request, became) = passed(&manager, json(StreamBody::new(frames))).await;
    assert_eq!(request.body(), long.as_bytes());
    assert_eq!(became, Inlined::from(NotInlined::TooLong));
    assert!(id(&request).is_some());
    assert_eq!(manager.stats().not_inlined.too_long, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fits_only_unmerged_goes_on_unmerged() {
    let (_setup, manager) = warm().await;
    let pad = "x".repeat(1024 * 1024 - 10);
    let body = format!("{{\"pad\":\"{pad}\"}}");
    assert_eq!(body.len(), 1024 * 1024);
    let (request, became) = passed(&manager, json(Full::<Bytes>::from(body.clone()))).await;
    assert_eq!(request.body(), body.as_bytes());
    assert_eq!(became, Inlined::from(NotInlined::TooLong));
}

#[tokio::test(start_paused = true)]
async fn strict_refuses_what_cannot_be_merged_and_sends_nothing() {
    let setup = Setup::new();
    let builder = setup.builder().inline_defaults(InlineDefaults::Always);
    let manager = builder.inline_strict(true).build().unwrap();
    manager.session().await.unwrap();
    let mut packed = post("{}");
    let gzip = HeaderValue::from_static("gzip");
    packed.headers_mut().insert("content-encoding", gzip);
    let error = stack(&manager, setup.sipher.clone())
        .oneshot(packed)
        .await
        .unwrap_err();
    let error = Error::find(&*error).unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.to_string().contains("Content-Encoding"), "{error}");
    assert_eq!(manager.stats().not_inlined.encoded, 1);
    assert!(setup.uses().is_empty());
    // A body that the server would not merge either is not refused.
    let answer = stack(&manager, setup.sipher.clone())
        .oneshot(post("[]"))
        .await;
    assert_eq!(
        inlined(&answer.unwrap()),
        Inlined::from(NotInlined::NotAnObject)
    );
}

#[tokio::test(start_paused = true)]
async fn a_signature_over_the_body_is_not_broken() {
    let (setup, manager) = warm().await;
    for name in [
        "digest",
        "content-digest",
        "repr-digest",
        "content-md5",
        "signature",
    ] {
        let signed = |body| {
            let mut call = post(body);
            let value = HeaderValue::from_static("sha-256=:x:");
            call.headers_mut()
                .insert(http::HeaderName::from_static(name), value);
            stack(&manager, setup.sipher.clone()).oneshot(call)
        };
        let error = signed("{}").await.unwrap_err();
        let error = Error::find(&*error).unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().starts_with(name), "{error}");
        // The signature stays right if nothing is added.
        let answer = signed(r#"{"chain":"sui"}"#).await.unwrap();
        assert_eq!(inlined(&answer), Inlined::Complete);
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_and_errors_are_handed_on() {
    let (_setup, manager) = warm().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checked", HeaderValue::from_static("yes"));
    let frames = [
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"{}"))),
        Ok(Frame::trailers(trailers.clone())),
    ];
    let inner = tower::service_fn(
        |request: Request<sipher_session::inline::InlineBody<_>>| async {
            let body = request.into_body().collect().await.unwrap();
            let trailers = body.trailers().cloned();
            Ok::<_, BoxError>(http::Response::new((body.to_bytes(), trailers)))
        },
    );
    let request = json(StreamBody::new(stream::iter(frames)));
    let answer = stack(&manager, inner).oneshot(request).await.unwrap();
    assert_eq!(
        answer.into_body(),
        (Bytes::from(r#"{"chain":"near"}"#), Some(trailers))
    );

    let frames = [
        Ok(Frame::data(Bytes::from_static(b"{\"a\""))),
        Err(BoxError::from("the disk is gone")),
    ];
    let request = json(StreamBody::new(stream::iter(frames)));
    let error = stack(&manager, echo()).oneshot(request).await.unwrap_err();
    assert_eq!(error.to_string(), "the disk is gone");
    assert_eq!(manager.stats().not_inlined.body_failed, 1);
}

/// A body whose first frame comes at once, and the rest after `wait`.
pub(super) fn slow(wait: Duration) -> Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>> {
    let frames = stream::unfold(0, move |at| async move {
        match at {
            0 => Some((Ok(Frame::data(Bytes::from_static(b"{\"a\""))), 1)),
            1 => {
                tokio::time::sleep(wait).await;
                Some((Ok(Frame::data(Bytes::from_static(b":1}"))), 2))
            }
            _ => None,
        }
    });
    Box::pin(StreamBody::new(frames))
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_the_body_comes_is_not_borne() {
    let (setup, manager) = warm().await;
    let older = setup.sipher.live_session_ids().remove(0);
    let hour = Duration::from_secs(3_600);
    let answer = stack(&manager, echo())
        .oneshot(json(slow(hour)))
        .await
        .unwrap();
    assert_eq!(answer.body().body(), MERGED);
    assert_ne!(id(answer.body()), Some(older.as_str()));
}

/// No request was sent with this session, so no answer can be late.
#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_the_body_comes_meets_no_late_answer() {
    let (_setup, manager) = warm().await;
    let day = Duration::from_secs(86_400);
    let answer = stack(&manager, echo()).oneshot(json(slow(day))).await;
    assert!(answer.is_ok());
    assert_eq!(manager.stats().late_answers, 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_invalidated_while_the_body_comes_is_not_borne() {
    let (setup, manager) = warm().await;
    let older = setup.sipher.live_session_ids().remove(0);
    let answer = stack(&manager, echo()).oneshot(json(slow(Duration::from_secs(5))));
    let invalidate = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(manager.invalidate(1));
    };
    let (answer, ()) = tokio::join!(answer, invalidate);
    let answer = answer.unwrap();
    assert_eq!(answer.body().body(), MERGED);
    assert_ne!(id(answer.body()), Some(older.as_str()));
    assert!(!bears_session(&answer), "it says what it went out with");
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_while_the_body_comes_leaves_nothing_in_flight() {
    let (setup, manager) = warm().await;
    let answer = stack(&manager, echo()).oneshot(json(slow(Duration::from_secs(5))));
    let second = Duration::from_secs(1);
    assert!(tokio::time::timeout(second, answer).await.is_err());
    assert_eq!(manager.stats().in_flight, 0);
    assert_eq!(setup.questions(), 0, "nothing speaks against the server");
}

/// A client that knows the length would leave out the trailers.
#[tokio::test(start_paused = true)]
async fn a_merged_body_with_trailers_has_no_length_that_is_known() {
    let (_setup, manager) = warm().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checked", HeaderValue::from_static("yes"));
    let frames = [
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"{}"))),
        Ok(Frame::trailers(trailers)),
    ];
    let inner = tower::service_fn(|request: Request<ReadAhead<_>>| async move {
        let size = request.body().size_hint();
        Ok::<_, BoxError>(http::Response::new((size.lower(), size.upper())))
    });
    let request = json(StreamBody::new(stream::iter(frames)));
    let answer = stack(&manager, inner).oneshot(request).await.unwrap();
    assert_eq!(answer.into_body(), (16, None));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_held_while_the_body_comes() {
    let (setup, manager) = warm().await;
    let answer = stack(&manager, setup.sipher.clone()).oneshot(json(slow(Duration::from_secs(5))));
    let look = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(manager.stats().in_flight, 1);
    };
    let (answer, ()) = tokio::join!(answer, look);
    assert!(bears_session(&answer.unwrap()));
    assert_eq!(manager.stats().in_flight, 0);
}
