//! A body that the layer has read is handed on unchanged: bytes, size, trailers and errors.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use sipher_session::{
    BoxError, CheckedLayer, Doubt, ErrorKind, Proof,
    api::Bytes,
    checked::CheckedBody,
    testing::{Fault, Target, What},
};
use tower::{Layer, ServiceExt, service_fn};

use super::{answering, is_confirmed, json, proof, send};
use crate::support::{SECOND, Setup, generate, ours, pass};

const MIB: usize = 1024 * 1024;

/// A body with these frames. It yields to other tasks before each frame.
#[derive(Default)]
struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, io::ErrorKind>>,
    is_due: bool,
}

impl Frames {
    fn of(chunks: &[&[u8]]) -> Self {
        let frames = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk));
        Self {
            frames: frames.map(|chunk| Ok(Frame::data(chunk))).collect(),
            is_due: false,
        }
    }

    fn and_trailers(mut self) -> Self {
        self.frames.push_back(Ok(Frame::trailers(trailers())));
        self
    }

    fn and_error(mut self) -> Self {
        self.frames.push_back(Err(io::ErrorKind::ConnectionReset));
        self
    }
}

/// The answer has no rate-limit headers, so nothing proves the server's process.
fn is_unproven<B>(answer: &Response<B>) -> bool {
    let unproven = Some(Doubt::Unproven);
    matches!(proof(answer), Some(Proof::Session { doubt, .. }) if doubt == unproven)
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("a trailer"))])
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.is_due = !self.is_due;
        if self.is_due {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.frames.pop_front();
        Poll::Ready(next.map(|frame| frame.map_err(Into::into)))
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.frames.iter().flatten().filter_map(Frame::data_ref);
        SizeHint::with_exact(data.map(|data| data.len() as u64).sum())
    }
}

/// Sends a request through the layer, and returns the given answer as it comes out of the layer.
async fn through<B>(
    answer: impl Fn() -> Response<B> + Clone + Send,
) -> Result<Response<CheckedBody<B>>, BoxError>
where
    B: Body + Send,
{
    let setup = Setup::new();
    let service = CheckedLayer::new(setup.manager()).layer(answering(answer));
    service.oneshot(generate()).await
}

fn of_frames(frames: Frames) -> Response<Frames> {
    json("").map(|_| frames)
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_pieces_with_trailers_is_read_and_handed_on_whole() {
    let answer =
        || of_frames(Frames::of(&[b"{\"data\":{\"ch", b"", b"ain\":\"near\"}}"]).and_trailers());
    let answer = through(answer).await.unwrap();
    assert!(is_confirmed(&answer));
    let body = answer.into_body();
    // The size is not exact, because a client that knows the length would send no trailers.
    assert_eq!(
        (body.size_hint().lower(), body.size_hint().upper()),
        (25, None)
    );
    assert!(!body.is_end_stream());
    let body = body.collect().await.unwrap();
    assert_eq!(body.trailers(), Some(&trailers()));
    assert_eq!(body.to_bytes(), r#"{"data":{"chain":"near"}}"#);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_breaks_off_for_the_caller_too() {
    let answer = || of_frames(Frames::of(&[b"{\"data\":", b"{\"chain\":\"solana\"}}"]).and_error());
    let answer = through(answer).await.unwrap();
    assert!(is_unproven(&answer));
    let mut body = answer.into_body();
    let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(data, r#"{"data":{"chain":"solana"}}"#);
    assert!(!body.is_end_stream());
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(body.frame().await.is_none());

    let setup = Setup::new();
    let manager = setup.manager();
    let half = Fault::new(What::HalfBody).on(Target::Others);
    setup.sipher.fault(half);
    let answer = send(&setup, &manager, generate()).await.unwrap();
    assert!(!is_confirmed(&answer));
    answer.into_body().collect().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_handed_on_byte_for_byte() {
    let pad = |len: usize| format!(r#"{{"data":{{"chain":"solana"}}}}{}"#, " ".repeat(len));
    let bodies = [
        pad(2 * MIB),
        pad(MIB),
        String::new(),
        "{".to_owned(),
        "null".to_owned(),
        r#"{"data":{}}"#.to_owned(),
        r#"{"data":{"chain":["solana"]}}"#.to_owned(),
        r#"{"chain":"solana"}"#.to_owned(),
    ];
    for body in bodies {
        let begin = body.chars().take(40).collect::<String>();
        let sent = Bytes::from(body);
        let answer = || json(sent.clone());
        let answer = through(answer).await.unwrap();
        assert!(is_unproven(&answer), "{begin}");
        assert_eq!(answer.body().size_hint().exact(), Some(sent.len() as u64));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(body == sent, "{begin}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_whose_length_is_not_known_is_handed_on_whole() {
    let piece = vec![b' '; 300_000];
    let begin = br#"{"data":{"chain":"solana"}}"#;
    let pieces: Vec<&[u8]> = vec![begin, &piece, &piece, &piece, &piece, &piece];
    let setup = Setup::new();
    let answer = || of_frames(Frames::of(&pieces));
    let inner = answering(move || answer().map(HidesLength));
    let service = CheckedLayer::new(setup.manager()).layer(inner);
    let answer = service.oneshot(generate()).await.unwrap();
    assert!(!is_confirmed(&answer));
    let body = answer.into_body();
    assert!(body.size_hint().lower() > MIB as u64, "what was read ahead");
    let length = begin.len() + 1_500_000;
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), length);
}

struct HidesLength(Frames);

impl Body for HidesLength {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_other_kinds_are_not_read() {
    let wrong = r#"{"data":{"chain":"solana"}}"#;
    let as_error = || {
        let mut answer = json(wrong);
        *answer.status_mut() = http::StatusCode::NOT_FOUND;
        answer
    };
    let with = |name: &'static str, value: &'static str| {
        move || {
            let mut answer = json(wrong);
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
            answer
        }
    };
    let packed = through(with("content-encoding", "gzip")).await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let html = through(with("content-type", "text/html")).await.unwrap();
    for answer in [through(as_error).await.unwrap(), packed, html] {
        assert!(matches!(proof(&answer), Some(Proof::Session { .. })));
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), wrong);
    }
}

#[tokio::test(start_paused = true)]
async fn depth_and_doubled_keys_do_not_hide_a_wrong_answer() {
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    for body in [
        r#"{"data":{"chain":"near"},"data":{"chain":"solana"}}"#.to_owned(),
        r#"{"data":{"chain":"near","chain":"solana"}}"#.to_owned(),
        format!(r#"{{"deep":{deep},"data":{{"chain":"solana"}}}}"#),
    ] {
        let answer = || json(body.clone());
        let error = through(answer).await.unwrap_err();
        assert_eq!(ours(&error).kind(), ErrorKind::WrongDefaults);
    }
}

/// Returns the body and the trailers that reach the inner service.
async fn arrives(frames: Frames) -> Result<(Bytes, Option<HeaderMap>), String> {
    let setup = Setup::new();
    let seen = Arc::new(Mutex::new(None));
    let notes = seen.clone();
    let inner = service_fn(move |request: Request<CheckedBody<Frames>>| {
        let notes = notes.clone();
        async move {
            let size = request.body().size_hint();
            let body = request.into_body().collect().await;
            let body = body.map_err(|error| error.to_string()).map(|body| {
                let trailers = body.trailers().cloned();
                (body.to_bytes(), trailers)
            });
            if let Ok((bytes, trailers)) = &body {
                let length = bytes.len() as u64;
                assert!(size.exact() == Some(length) || trailers.is_some());
                assert_eq!(size.lower(), length);
            }
            *notes.lock().unwrap() = Some(body);
            Ok::<_, Infallible>(json(r#"{"data":{"chain":"near"}}"#))
        }
    });
    let service = CheckedLayer::new(setup.manager()).layer(inner);
    let request = generate().map(|_| frames);
    service.oneshot(request).await.unwrap();
    seen.lock().unwrap().take().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_requests_body_arrives_as_it_was_sent() {
    let sent = Frames::of(&[b"{", b"", b"}"]).and_trailers();
    let arrived = arrives(sent).await.unwrap();
    assert_eq!(arrived, (Bytes::from("{}"), Some(trailers())));

    let piece = vec![b' '; 300_000];
    let long = Frames::of(&[&*piece; 5]).and_trailers();
    let (bytes, with_trailers) = arrives(long).await.unwrap();
    assert_eq!((bytes.len(), with_trailers), (1_500_000, Some(trailers())));

    let broken = arrives(Frames::of(&[b"{}"]).and_error()).await;
    assert_eq!(
        broken.unwrap_err(),
        "connection reset",
        "as its caller's stream failed"
    );
}

/// A body of two bytes that arrives after a pause.
struct Slow(Option<Pin<Box<tokio::time::Sleep>>>);
impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(sleep) = &mut self.0 else {
            return Poll::Ready(None);
        };
        std::task::ready!(Future::poll(sleep.as_mut(), cx));
        self.0 = None;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from("{}")))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_gets_its_session_once_its_body_is_there() {
    let setup = Setup::new();
    let manager = setup.manager();
    let first = manager.session().await.unwrap();
    let body = Slow(Some(Box::pin(tokio::time::sleep(4_000 * SECOND))));
    let service = CheckedLayer::new(manager).layer(setup.sipher.clone());
    let answer = service.oneshot(generate().map(|_| body)).await.unwrap();
    assert!(is_confirmed(&answer), "the first session has expired");
    assert_ne!(setup.last_id().as_deref(), Some(first.id().as_str()));
    setup.sipher.assert_no_dead_id();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_while_the_answer_is_read_takes_nothing_along() {
    let setup = Setup::new();
    let manager = setup.manager();
    let session = manager.session().await.unwrap();
    let slow = Fault::new(What::SlowBody(SECOND)).on(Target::Others);
    setup.sipher.fault(slow);
    let call = tokio::spawn({
        let call = super::checked(&setup, &manager).oneshot(generate());
        async move { call.await.map(drop) }
    });
    pass(5.0).await;
    assert_eq!(manager.stats().in_flight, 0, "its head is there");
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let answer = send(&setup, &manager, generate()).await.unwrap();
    assert!(is_confirmed(&answer));
    assert_eq!(
        manager.session().await.unwrap().generation(),
        session.generation()
    );
    assert!(manager.shutdown(5 * SECOND).await.is_clean());
    assert_eq!(setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_body_is_not_copied() {
    let body = Bytes::from(r#"{"data":{"chain":"near"}}"#.to_owned());
    let sent = body.clone();
    let answer = through(move || json(sent.clone())).await.unwrap();
    let whole: Full<Bytes> = Full::new(answer.into_body().collect().await.unwrap().to_bytes());
    let received = whole.collect().await.unwrap().to_bytes();
    assert_eq!(received.as_ptr(), body.as_ptr());
}
