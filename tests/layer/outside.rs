//! Unusual requests to other addresses that look like Sipher's.

use http::{Method, Request};
use http_body_util::Full;
use sipher_session::{Event, Events, OutsideReason, SessionLayer, api::Bytes};
use tower::{Layer, ServiceExt};

use crate::support::{Call, Setup};

fn told(events: &mut Events) -> Vec<(String, OutsideReason)> {
    let all = std::iter::from_fn(|| events.try_recv());
    let outside = |event| match event {
        Event::Outside { origin, reason, .. } => Some((origin, reason)),
        _ => None,
    };
    all.filter_map(outside).collect()
}

fn request(method: Method, uri: &str, headers: &[(&str, &str)]) -> Call {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::<Bytes>::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_relative_uri_is_told_of_by_its_host_and_what_is_for_a_proxy_is_not() {
    use OutsideReason::{ApiKey, VendorsDomain};
    let setup = Setup::new();
    let key = ("x-api-key", setup.key.as_str());
    let vendors = ("host", "Sipher-API.sip-protocol.org");
    for (method, uri, headers, expected) in [
        (
            Method::GET,
            "/v1/scan",
            &[vendors][..],
            Some(("//sipher-api.sip-protocol.org", VendorsDomain)),
        ),
        (
            Method::GET,
            "/v1/scan",
            &[("host", "other.example:80"), key],
            Some(("//other.example:80", ApiKey)),
        ),
        (Method::GET, "/v1/scan", &[key], Some(("/", ApiKey))),
        (Method::GET, "/v1/scan", &[("host", "other.example")], None),
        (Method::GET, "/v1/scan", &[], None),
        (
            Method::OPTIONS,
            "*",
            &[vendors],
            Some(("//sipher-api.sip-protocol.org", VendorsDomain)),
        ),
        (
            Method::CONNECT,
            "sipher-api.sip-protocol.org:443",
            &[vendors, key],
            None,
        ),
        (
            Method::CONNECT,
            "https://docs.sip-protocol.org",
            &[key],
            None,
        ),
        (
            Method::GET,
            "ftp://Sip-Protocol.org/v1",
            &[],
            Some(("ftp://sip-protocol.org", VendorsDomain)),
        ),
        (
            Method::GET,
            "https://docs.sip-protocol.org:x/",
            &[key],
            Some(("/", ApiKey)),
        ),
    ] {
        let Ok(_) = uri.parse::<http::Uri>() else {
            continue;
        };
        let manager = setup.manager();
        let mut events = manager.events();
        let service = setup.service(&manager);
        let _ = service.oneshot(request(method, uri, headers)).await;
        let expected: Vec<_> = expected
            .map(|(origin, reason)| (origin.to_owned(), reason))
            .into_iter()
            .collect();
        assert_eq!(told(&mut events), expected, "{uri} {headers:?}");
        assert_eq!(manager.stats().outside, expected.len() as u64);
        // If the user said that the inner service is Sipher, such a request is not outside.
        if uri.starts_with("/v1") {
            let layer = SessionLayer::new(manager.clone()).inner_is_sipher();
            let service = layer.layer(setup.sipher.clone());
            service
                .oneshot(request(Method::GET, uri, headers))
                .await
                .unwrap();
            assert_eq!(manager.stats().outside, expected.len() as u64);
        }
    }
}

/// A program that sends requests to many hosts does not fill the log.
#[tokio::test(start_paused = true)]
async fn of_many_origins_a_thousand_are_told_of_and_all_are_counted() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    let service = setup.service(&manager);
    for _ in ["first", "again"] {
        for n in 0..1_010 {
            let uri = format!("https://{n}.sip-protocol.org/");
            let request = request(Method::GET, &uri, &[]);
            service.clone().oneshot(request).await.unwrap();
        }
    }
    assert_eq!(told(&mut events).len(), 1_000);
    assert_eq!(manager.stats().outside, 2_020);
}

/// A host name loses its letter case. A key in it is still recognised.
#[tokio::test(start_paused = true)]
async fn a_key_in_the_name_of_a_host_is_not_shown() {
    let setup = Setup::new();
    setup
        .sipher
        .accept_key("sk_pro_HUNTER2", sipher_session::testing::Tier::Pro);
    let manager = setup.builder().api_key("sk_pro_HUNTER2").build().unwrap();
    let mut events = manager.events();
    let headers = [("x-api-key", "sk_pro_HUNTER2")];
    let uri = "https://sk_pro_hunter2.sip-protocol.org";
    let request = request(Method::GET, uri, &headers);
    setup.service(&manager).oneshot(request).await.unwrap();
    let told = told(&mut events);
    assert!(
        told.len() == 1 && !told[0].0.contains("hunter2"),
        "{told:?}"
    );
}
