//! Which requests are checked: requests to three routes that name no chain and use a session of this crate.

use http::{Method, Request, header::CONTENT_TYPE};
use http_body_util::Full;
use sipher_session::{
    Chain, CheckedLayer, ErrorKind, NoSession, OnNoSession, Proof, SessionDefaults,
    api::Bytes,
    testing::{Fault, Target, What},
};
use tower::{Layer, ServiceExt};

use super::{answering, chain, is_confirmed, json, post, proof, send};
use crate::support::{Call, Setup, generate, ours};

const WRONG: &str = r#"{"data":{"chain":"solana"}}"#;

/// Returns whether the answer to this request is checked. A checked answer is withheld here, because it is wrong.
async fn is_checked(call: Call) -> bool {
    let setup = Setup::new();
    let service = CheckedLayer::new(setup.manager()).layer(answering(|| json(WRONG)));
    match service.oneshot(call).await {
        Ok(answer) => {
            assert!(!is_confirmed(&answer));
            false
        }
        Err(error) => {
            assert_eq!(ours(&error).kind(), ErrorKind::WrongDefaults);
            true
        }
    }
}

#[tokio::test(start_paused = true)]
async fn three_routes_are_checked_however_they_are_spelt() {
    for path in [
        "/v1/stealth/generate",
        "/v1/stealth/generate/batch",
        "/v1/stealth/check",
        "/V1/Stealth/Generate/?a=b",
    ] {
        assert!(is_checked(post(path, "{}")).await, "{path}");
    }
    for path in [
        "/v1/stealth/generate//",
        "/v1/stealth/scan",
        "/v1/backends/compare",
        "/v1/health",
    ] {
        assert!(!is_checked(post(path, "{}")).await, "{path}");
    }
    let mut get = generate();
    *get.method_mut() = Method::GET;
    assert!(!is_checked(get).await);
    let mut elsewhere = generate();
    *elsewhere.uri_mut() = "https://other.example/v1/stealth/generate".parse().unwrap();
    assert!(!is_checked(elsewhere).await);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_names_a_chain_is_left_alone() {
    let route = "/v1/stealth/generate";
    for body in ["{}", "", r#"{"label":"chain"}"#, r#"{"a":{"chain":"sui"}}"#] {
        assert!(is_checked(post(route, body)).await, "{body}");
    }
    for body in [
        r#"{"chain":"sui"}"#,
        r#"{"chain":null}"#,
        r#"{"label":"x","\u0063hain":"sui"}"#,
        r#"{"chain":"sui","chain":"near"}"#,
        "[]",
        "{",
        "\"{}\"",
    ] {
        assert!(!is_checked(post(route, body)).await, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_into_which_the_server_merges_nothing_is_left_alone() {
    for media_type in ["text/json", "application/problem+json", "text/plain"] {
        let mut call = generate();
        let value = media_type.parse().unwrap();
        call.headers_mut().insert(CONTENT_TYPE, value);
        assert!(!is_checked(call).await, "{media_type}");
    }
    let mut call = generate();
    call.headers_mut().remove(CONTENT_TYPE);
    assert!(!is_checked(call).await);
    let mut call = generate();
    let value = "gzip".parse().unwrap();
    call.headers_mut().insert("content-encoding", value);
    assert!(!is_checked(call).await, "it cannot be read here");
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_answers_are_judged_as_the_server_means_them() {
    let setup = Setup::new();
    let manager = setup.manager();
    let named = post("/v1/stealth/generate", r#"{"chain":"sui"}"#);
    let answer = send(&setup, &manager, named).await.unwrap();
    assert!(!is_confirmed(&answer));
    assert_eq!(chain(answer).await, "sui", "as its caller wants it");
    let batch = post("/v1/stealth/generate/batch", r#"{"count":2}"#);
    let answer = send(&setup, &manager, batch).await.unwrap();
    assert!(is_confirmed(&answer));
    let wrong = post("/v1/stealth/generate", r#"{"chain":1}"#);
    let answer = send(&setup, &manager, wrong).await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn without_a_chain_to_compare_with_nothing_is_checked() {
    let setup = Setup::new();
    let defaults = SessionDefaults::new().backend("sip-native".into());
    let manager = setup.builder().defaults(defaults).build().unwrap();
    let answer = send(&setup, &manager, generate()).await.unwrap();
    assert!(matches!(
        proof(&answer),
        Some(Proof::Session { doubt: None, .. })
    ));

    let manager = setup.manager();
    let mut without = generate();
    without.extensions_mut().insert(NoSession);
    let answer = send(&setup, &manager, without).await.unwrap();
    assert_eq!(proof(&answer), Some(Proof::Without));
    assert_eq!(chain(answer).await, "solana");

    let fails = Fault::new(What::Status(400)).on(Target::Create);
    setup.sipher.fault(fails.always());
    let manager = setup.builder().on_no_session(OnNoSession::SendWithout);
    let answer = send(&setup, &manager.build().unwrap(), generate()).await;
    assert_eq!(proof(&answer.unwrap()), Some(Proof::Without));
}

#[tokio::test(start_paused = true)]
async fn a_request_with_defaults_of_its_own_is_compared_with_those() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut own = generate();
    own.extensions_mut()
        .insert(SessionDefaults::new().chain(Chain::Sui));
    let answer = send(&setup, &manager, own).await.unwrap();
    assert!(is_confirmed(&answer));
    assert_eq!(chain(answer).await, "sui");

    let aptos = SessionDefaults::new().chain(Chain::Aptos);
    let layer = CheckedLayer::new(manager).with_proof().defaults(aptos);
    let service = layer.layer(setup.sipher.clone());
    let answer = service.oneshot(generate()).await.unwrap();
    assert!(is_confirmed(&answer));
    assert_eq!(chain(answer).await, "aptos");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_say_where_it_goes_is_checked_if_the_layer_knows() {
    let setup = Setup::new();
    let request = || {
        Request::post("/v1/stealth/generate")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::<Bytes>::from("{}"))
            .unwrap()
    };
    let layer = CheckedLayer::new(setup.manager());
    let wrong = answering(|| json(WRONG));
    layer.layer(wrong.clone()).oneshot(request()).await.unwrap();
    let layer = layer.inner_is_sipher();
    let error = layer.layer(wrong).oneshot(request()).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::WrongDefaults);
}
