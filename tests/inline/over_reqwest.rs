//! Over `reqwest`, on real sockets: as a middleware, and as a tower service. The session layer does everything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Client, Request};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use sipher_session::{
    Chain, Error, ErrorKind, InlineDefaults, Inlined, NotInlined, Proof, SessionDefaults,
    SessionLayer, SessionManager, SessionManagerBuilder,
    testing::{FakeSipher, Fault, Served, Target, Tier, What},
};
use tower::{Layer, ServiceExt};

struct Here {
    sipher: FakeSipher,
    served: Served,
}

impl Here {
    async fn start() -> Self {
        let sipher = FakeSipher::new();
        let served = sipher.serve().await.unwrap();
        Self { sipher, served }
    }

    fn builder(&self) -> SessionManagerBuilder {
        SessionManager::builder()
            .api_key(self.sipher.api_key(Tier::Pro))
            .defaults(SessionDefaults::new().chain(Chain::Near))
            .base_url(self.served.base_url())
            .inline_defaults(InlineDefaults::Always)
    }

    fn generate(&self, body: impl Into<Body>) -> Request {
        let url = self.served.base_url() + "/v1/stealth/generate";
        let request = Client::new().post(url).body(body);
        let request = request.header("content-type", "application/json");
        request.build().unwrap()
    }
}

/// Sends a request both ways: through the middleware, and through the service.
async fn both(
    sessions: &SessionManager,
    request: impl Fn() -> Request,
) -> [Result<(Inlined, bool, String), Error>; 2] {
    let layer = SessionLayer::new(sessions.clone()).with_proof();
    let http = reqwest_middleware::ClientBuilder::new(Client::new())
        .with(layer.clone())
        .build();
    let one = http.execute(request()).await;
    let one = one.map_err(|error| Error::find(&error).expect("one of ours").clone());
    let other = layer.layer(Client::new()).oneshot(request()).await;
    let other = other.map_err(|error| Error::find(&*error).expect("one of ours").clone());
    [seen(one).await, seen(other).await]
}

async fn seen(answer: Result<reqwest::Response, Error>) -> Result<(Inlined, bool, String), Error> {
    let answer = answer?;
    let proof: Proof = *answer.extensions().get().unwrap();
    let bears = matches!(proof, Proof::Session { .. });
    let body: serde_json::Value = answer.json().await.unwrap();
    let chain = body["data"]["chain"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Ok((proof.inlined(), bears, chain))
}

fn streamed(chunks: &'static [&'static str]) -> Body {
    let chunks = chunks
        .iter()
        .map(|chunk| Ok::<_, std::io::Error>(Bytes::from_static(chunk.as_bytes())));
    Body::wrap(http_body_util::StreamBody::new(stream::iter(
        chunks.map(|chunk| chunk.map(http_body::Frame::data)),
    )))
}

#[tokio::test]
async fn the_session_layer_merges_by_itself() {
    let here = Here::start().await;
    let sessions = here.builder().build().unwrap();
    sessions.session().await.unwrap();
    for answer in both(&sessions, || here.generate("{}")).await {
        assert_eq!(answer.unwrap(), (Inlined::Merged, true, "near".into()));
    }
    for answer in both(&sessions, || here.generate(streamed(&["{", "}"]))).await {
        assert_eq!(answer.unwrap(), (Inlined::Merged, true, "near".into()));
    }
    for answer in both(&sessions, || here.generate(r#"{"chain":"sui"}"#)).await {
        assert_eq!(answer.unwrap(), (Inlined::Complete, true, "sui".into()));
    }
    assert_eq!(sessions.stats().inlined, 6);
}

#[tokio::test]
async fn restarts_that_no_call_met_cost_nothing() {
    let here = Here::start().await;
    let sessions = here.builder().build().unwrap();
    for _ in 0..10 {
        for answer in both(&sessions, || here.generate("{}")).await {
            assert_eq!(answer.unwrap().2, "near");
        }
        here.sipher.restart();
    }
}

#[tokio::test]
async fn a_key_of_the_free_tier_has_its_defaults() {
    let here = Here::start().await;
    let free = here.sipher.api_key(Tier::Free);
    let sessions = here
        .builder()
        .api_key(free)
        .without_sessions()
        .build()
        .unwrap();
    for body in [|| Body::from("{}"), || streamed(&["{", "}"])] {
        for answer in both(&sessions, || here.generate(body())).await {
            assert_eq!(answer.unwrap(), (Inlined::Merged, false, "near".into()));
        }
    }
    // A request whose body cannot be merged is not sent.
    let packed = || {
        let mut request = here.generate("{}");
        request
            .headers_mut()
            .insert("content-encoding", "gzip".parse().unwrap());
        request
    };
    let before = here.sipher.log().len();
    for answer in both(&sessions, packed).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    assert_eq!(here.sipher.log().len(), before);
    assert_eq!(here.sipher.session_calls(), 0);
}

#[tokio::test]
async fn a_stream_that_is_too_long_is_sent_whole() {
    let here = Here::start().await;
    let sessions = here.builder().build().unwrap();
    sessions.session().await.unwrap();
    // The body is a little shorter than the server's limit, and longer than the limit with the defaults.
    let long = || {
        let body = format!("{{\"pad\":\"{}\"}}", "x".repeat(1024 * 1024 - 10));
        let chunks: Vec<_> = body
            .as_bytes()
            .chunks(50_000)
            .map(Bytes::copy_from_slice)
            .collect();
        let frames = chunks
            .into_iter()
            .map(|chunk| Ok::<_, std::io::Error>(http_body::Frame::data(chunk)));
        here.generate(Body::wrap(http_body_util::StreamBody::new(stream::iter(
            frames,
        ))))
    };
    for answer in both(&sessions, long).await {
        let (inlined, bears, chain) = answer.unwrap();
        assert_eq!(inlined, Inlined::from(NotInlined::TooLong));
        assert!(bears);
        assert_eq!(chain, "near", "by its session");
    }
}

#[tokio::test]
async fn a_get_without_a_session_waits_for_none() {
    let here = Here::start().await;
    here.sipher.set_latency(Duration::ZERO);
    let free = here.sipher.api_key(Tier::Free);
    let sessions = here.builder().api_key(free).build().unwrap();
    let url = here.served.base_url() + "/v1/backends";
    let get = || Client::new().get(&url).build().unwrap();
    for answer in both(&sessions, get).await {
        let (inlined, bears, _) = answer.unwrap();
        assert_eq!((inlined, bears), (NotInlined::NoBody.into(), false));
    }
}

/// The session suffices, so the body stays a stream.
#[tokio::test]
async fn a_stream_is_not_collected_where_its_session_is_at_hand_and_bodies_stay_as_they_are() {
    let here = Here::start().await;
    let builder = here
        .builder()
        .inline_defaults(InlineDefaults::WithoutSession);
    let sessions = builder.build().unwrap();
    sessions.session().await.unwrap();
    let read = Arc::new(AtomicBool::new(false));
    let body = || {
        let read = read.clone();
        let frames = stream::poll_fn(move |_| {
            let is_first = !read.swap(true, Ordering::SeqCst);
            let frame = http_body::Frame::data(Bytes::from_static(b"{}"));
            Poll::Ready(is_first.then_some(Ok::<_, std::io::Error>(frame)))
        });
        Body::wrap(http_body_util::StreamBody::new(frames))
    };
    let unread = tower::service_fn(|request: Request| {
        let read = read.clone();
        async move {
            assert!(!read.load(Ordering::SeqCst));
            drop(request);
            Ok::<_, reqwest::Error>(reqwest::Response::from(http::Response::new("")))
        }
    });
    let layer = SessionLayer::new(sessions.clone());
    layer
        .layer(unread)
        .oneshot(here.generate(body()))
        .await
        .unwrap();
    sessions.invalidate(1);
    let layer = layer.with_proof();
    let answer = layer
        .layer(Client::new())
        .oneshot(here.generate(body()))
        .await
        .unwrap();
    assert_eq!(seen(Ok(answer)).await.unwrap().0, Inlined::Merged);
}

/// A stream that stalls. `reqwest` counts a request's timeout from the moment at which it is sent.
#[tokio::test]
async fn a_stream_that_stalls_ends_with_the_requests_own_timeout_and_with_the_manager() {
    let here = Here::start().await;
    let sessions = here.builder().without_sessions().build().unwrap();
    let stalled = |timeout: Duration| {
        let frames = stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
        let body = Body::wrap(http_body_util::StreamBody::new(frames));
        let mut request = here.generate(body);
        *request.timeout_mut() = Some(timeout);
        request
    };
    for answer in both(&sessions, || stalled(Duration::from_millis(50))).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout);
    }
    let ending = sessions.clone();
    let end = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ending.shutdown(Duration::from_secs(1)).await;
    };
    let hour = Duration::from_secs(3_600);
    let (answers, ()) = tokio::join!(both(&sessions, || stalled(hour)), end);
    for answer in answers {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Shutdown);
    }
    assert!(here.sipher.log().is_empty());
}

/// Above the layer, as the README advises, each retry is merged from the caller's own body. Below the layer, the retry
/// sends the merged body again.
#[tokio::test]
async fn a_request_that_is_retried_is_merged_once() {
    let here = Here::start().await;
    let sessions = here.builder().without_sessions().build().unwrap();
    let retry = || {
        let policy = ExponentialBackoff::builder()
            .retry_bounds(Duration::ZERO, Duration::from_millis(1))
            .build_with_max_retries(3);
        RetryTransientMiddleware::new_with_policy(policy)
    };
    let layer = || SessionLayer::new(sessions.clone()).with_proof();
    let outside = reqwest_middleware::ClientBuilder::new(Client::new()).with(retry());
    let inside = reqwest_middleware::ClientBuilder::new(Client::new()).with(layer());
    for http in [outside.with(layer()).build(), inside.with(retry()).build()] {
        let away = Fault::new(What::Status(503)).on(Target::Others).times(2);
        here.sipher.fault(away);
        here.sipher.clear_log();
        let answer = seen(
            http.execute(here.generate("{}"))
                .await
                .map_err(|_| unreachable!()),
        )
        .await;
        assert_eq!(answer.unwrap(), (Inlined::Merged, false, "near".into()));
        assert_eq!(here.sipher.log().len(), 3);
    }
    assert_eq!(sessions.stats().inlined, 4, "three sendings, and one");
}
