//! Counts heap allocations: a hit allocates nothing, and a merge allocates only the merged body.

#![allow(clippy::unwrap_used)] // for the helper functions

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use sipher_session::{
    Chain, SessionDefaults, SessionLayer, SessionManager,
    api::Transport,
    inline::merge,
    testing::{FakeSipher, TestClock, Tier},
};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service};

const CALLS: usize = 1_000;

/// An inner service that answers at once and drops the request.
#[derive(Clone)]
struct Inner;

impl Service<Request<Full<Bytes>>> for Inner {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

/// Returns a manager with a live session, and the API key of that session.
fn live() -> (Runtime, SessionManager, HeaderValue) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let (manager, key) = runtime.block_on(async {
        let sipher = FakeSipher::new();
        let key = sipher.api_key(Tier::Pro);
        let manager = SessionManager::builder()
            .api_key(key.as_str())
            .transport(Transport::new(sipher))
            .clock(TestClock::new()) // so that the session stays a hit
            .build()
            .unwrap();
        manager.session().await.unwrap();
        (manager, HeaderValue::try_from(key).unwrap())
    });
    (runtime, manager, key)
}

/// A request whose header map has room for the headers that the layer adds.
fn request(url: &str, key: Option<&HeaderValue>) -> Request<Full<Bytes>> {
    let mut request = Request::post(url).body(Full::default()).unwrap();
    *request.headers_mut() = HeaderMap::with_capacity(6);
    let content_type = HeaderValue::from_static("application/json");
    request.headers_mut().insert("content-type", content_type);
    if let Some(key) = key {
        request.headers_mut().insert("x-api-key", key.clone());
    }
    request
}

/// Returns what the layer allocates in `CALLS` calls. The requests are made before the count starts.
fn allocated(manager: &SessionManager, url: &str, key: Option<&HeaderValue>) -> AllocationInfo {
    let mut service = SessionLayer::new(manager.clone()).layer(Inner);
    let mut send = |request| {
        let mut future = pin!(service.call(request));
        let poll = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(poll, Poll::Ready(Ok(_))));
    };
    // From the third request on, the layer remembers the decision.
    for _ in 0..3 {
        send(request(url, key));
    }
    let requests: Vec<_> = (0..CALLS).map(|_| request(url, key)).collect();
    measure(|| requests.into_iter().for_each(&mut send))
}

const OURS: &str = "https://sipher-api.sip-protocol.org/v1/stealth/generate";

#[test]
fn a_hit_with_a_key_of_its_own_allocates_nothing() {
    let (_runtime, manager, key) = live();
    assert_eq!(allocated(&manager, OURS, Some(&key)).count_total, 0);
}

#[test]
fn a_hit_that_is_given_the_key_allocates_nothing() {
    let (_runtime, manager, _) = live();
    assert_eq!(allocated(&manager, OURS, None).count_total, 0);
}

#[test]
fn a_request_for_somebody_else_allocates_nothing() {
    let (_runtime, manager, _) = live();
    let url = "https://api.example.org/v1/stealth/generate";
    let theirs = HeaderValue::from_static("sk_pro_of_another_service");
    for key in [None, Some(&theirs)] {
        assert_eq!(allocated(&manager, url, key).count_total, 0);
    }
}

/// Returns how many allocations one merge makes, and how many bytes they have.
fn merged(body: &str, defaults: &SessionDefaults) -> (u64, u64) {
    let counted = measure(|| drop(black_box(merge(black_box(body.as_bytes()), defaults))));
    (counted.count_total, counted.bytes_total)
}

#[test]
fn a_merged_body_is_allocated_in_one_piece_of_its_length() {
    let defaults = SessionDefaults::new()
        .chain(Chain::Near)
        .default_viewing_key("0xfeed");
    let more = r#""chain":"near","defaultViewingKey":"0xfeed""#.len() as u64;
    for body in [
        r#"{"a":{"b":[[{"c":[1,"\u0063"]}]],"chain":"x"}}"#,
        r#"{"ch\u0061i":1,"\ud800":"a\"b"}"#,
        &format!(r#"{{"a":{}{}}}"#, "[".repeat(60), "]".repeat(60)),
    ] {
        let length = body.len() as u64 + more + 1;
        assert_eq!(merged(body, &defaults), (1, length), "{body}");
    }
    assert_eq!(merged("", &defaults), (1, more + 2));
}

#[test]
fn a_body_that_lacks_nothing_or_is_no_object_allocates_nothing() {
    let near = SessionDefaults::new().chain(Chain::Near);
    for body in [
        r#"{"chain":"sui","a":{"b":[[{"c":[1,2]}]]}}"#,
        r#"{"\u0063hain":null}"#,
        "[]",
        r#"{"a":"b"} x"#,
    ] {
        assert_eq!(merged(body, &near), (0, 0), "{body}");
    }
}

#[test]
fn the_count_sees_what_is_allocated() {
    let counted = measure(|| drop(black_box(Box::new(1_u8))));
    assert_eq!((counted.count_total, counted.bytes_total), (1, 1));
}
