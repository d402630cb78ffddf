//! The inner service gets the request unchanged, with two more headers.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version};
use http_body_util::Full;
use sipher_session::{BoxError, SessionLayer};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    miss_and_hit,
    support::{Call, Setup, generate},
    warm,
};

/// Sends a request through the layer, and returns the request that the inner service gets.
async fn below(layer: &SessionLayer, request: Call) -> Call {
    let seen = Arc::new(Mutex::new(None));
    let inner = service_fn(|request: Call| {
        *seen.lock().unwrap() = Some(request);
        async { Ok::<_, BoxError>(Response::new(())) }
    });
    layer.layer(inner).oneshot(request).await.unwrap();
    seen.lock().unwrap().take().unwrap()
}

#[tokio::test(start_paused = true)]
async fn nothing_but_the_two_headers_is_changed() {
    #[derive(Clone, Debug, PartialEq)]
    struct Mark(u8);

    let setup = Setup::new();
    let uri = "https://sipher-api.sip-protocol.org/v1/stealth/generate?b=2&a=1";
    for layer in miss_and_hit(&setup).await {
        let request = Request::put(uri)
            .version(Version::HTTP_2)
            .header("accept", "one")
            .header("accept", "two")
            .extension(Mark(5))
            .body(Full::from("body"))
            .unwrap();
        let (mut head, body) = below(&layer, request).await.into_parts();
        assert!(head.headers.remove("x-session-id").is_some());
        assert_eq!(head.headers.remove("x-api-key").unwrap(), *setup.key);
        assert_eq!(
            (head.method.as_str(), head.uri.to_string()),
            ("PUT", uri.to_owned())
        );
        assert_eq!(head.version, Version::HTTP_2);
        let accept: Vec<_> = head.headers.get_all("accept").iter().collect();
        assert_eq!(accept, ["one", "two"]);
        assert_eq!(head.headers.len(), 2);
        assert_eq!(head.extensions.get(), Some(&Mark(5)));
        let body = http_body_util::BodyExt::collect(body).await.unwrap();
        assert_eq!(body.to_bytes(), Bytes::from("body"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_put_in_is_hidden_in_debug() {
    let setup = Setup::new();
    for layer in miss_and_hit(&setup).await {
        let request = below(&layer, generate()).await;
        for name in ["x-session-id", "x-api-key"] {
            assert!(request.headers()[name].is_sensitive(), "{name}");
        }
        assert!(!format!("{request:?}").contains(&*setup.key));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_requests_own_stays_as_it_was() {
    let setup = Setup::new();
    let layer = SessionLayer::new(warm(&setup).await);
    let bearer = HeaderValue::from_str(&format!("Bearer {}", setup.key)).unwrap();
    let mut request = generate();
    request
        .headers_mut()
        .insert("authorization", bearer.clone());
    let seen = below(&layer, request).await;
    assert_eq!(seen.headers()["authorization"], bearer);
    assert!(!seen.headers().contains_key("x-api-key"));
    assert!(seen.headers().contains_key("x-session-id"));
}

#[tokio::test(start_paused = true)]
async fn a_request_to_another_origin_is_handed_on_as_it_is() {
    let setup = Setup::new();
    let layer = SessionLayer::new(warm(&setup).await);
    for uri in [
        "https://other.example/v1/stealth/generate",
        "http://sipher-api.sip-protocol.org/v1/stealth/generate",
        "http://sipher-api.sip-protocol.org:443/v1/stealth/generate",
        "https://sipher-api.sip-protocol.org:8443/v1/stealth/generate",
        "https://sipher-api.sip-protocol.org@other.example/v1/stealth/generate",
    ] {
        let request = Request::post(uri).body(Full::default()).unwrap();
        assert!(below(&layer, request).await.headers().is_empty(), "{uri}");
    }
}

/// The `Host` header is for the server, on a connection that another component opened. It does not make a request Sipher's.
#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_say_where_it_goes_is_sipher_only_if_somebody_said_so() {
    let setup = Setup::new();
    let layer = SessionLayer::new(warm(&setup).await);
    let trusting = layer.clone().inner_is_sipher();
    let bears_a_session = async |layer: &SessionLayer, request| {
        let seen = below(layer, request).await;
        seen.headers().contains_key("x-session-id")
    };
    for host in [None, Some("sipher-api.sip-protocol.org"), Some("evil.com")] {
        let request = || {
            let mut request = Request::post("/v1/stealth/generate");
            if let Some(host) = host {
                request = request.header("host", host);
            }
            request.body(Full::default()).unwrap()
        };
        assert!(!bears_a_session(&layer, request()).await, "{host:?}");
        assert!(bears_a_session(&trusting, request()).await, "{host:?}");
    }
    for (method, uri) in [
        ("CONNECT", "sipher-api.sip-protocol.org:443"),
        (
            "CONNECT",
            "https://sipher-api.sip-protocol.org/v1/stealth/generate",
        ),
        ("OPTIONS", "*"),
        ("POST", "//evil.com/v1/stealth/generate"),
        ("POST", "https://evil.com/v1/stealth/generate"),
    ] {
        for layer in [&layer, &trusting] {
            let request = Request::builder().method(method).uri(uri);
            let request = request.body(Full::default()).unwrap();
            assert!(!bears_a_session(layer, request).await, "{method} {uri}");
        }
    }
    assert!(bears_a_session(&trusting, generate()).await);
    let mut public = generate();
    *public.uri_mut() = "/v1/health".parse().unwrap();
    assert!(!bears_a_session(&trusting, public).await);
}
