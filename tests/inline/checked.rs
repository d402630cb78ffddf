//! Checked layers, with a chain in the body.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use sipher_session::{
    BoxError, CheckedLayer, ErrorKind, InlineDefaults, InlineDefaultsLayer, Inlined, Proof,
    SessionLayer,
    testing::{Fault, Target, What},
};
use tower::{Layer, ServiceExt};

use super::{inlined, kind, manager, post, support::Setup};

/// A checked layer reads the body before it hands the request on.
#[tokio::test(start_paused = true)]
async fn a_cold_stack_with_replay_and_checked_layers_is_merged_at_once() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Create).always());
    let manager = manager(&setup, InlineDefaults::Always);
    let inner = InlineDefaultsLayer::new(manager.clone()).layer(setup.sipher.clone());
    let checked = CheckedLayer::new(manager.clone()).layer(inner);
    checked.oneshot(post("{}")).await.unwrap();
    assert_eq!(manager.stats().confirmed, 1);
    let inner = InlineDefaultsLayer::new(manager.clone()).layer(setup.sipher.clone());
    let layer = SessionLayer::new(manager.clone())
        .with_proof()
        .replay_once();
    let answer = layer.layer(inner).oneshot(post("{}")).await.unwrap();
    assert_eq!(inlined(&answer), Inlined::Merged);
}

#[tokio::test(start_paused = true)]
async fn a_checked_layer_above_confirms_what_was_merged() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    let inner = InlineDefaultsLayer::new(manager.clone()).layer(setup.sipher.clone());
    let service = CheckedLayer::new(manager).layer(inner);
    let answer = service.oneshot(post("{}")).await.unwrap();
    let proof: &Proof = answer.extensions().get().unwrap();
    assert!(matches!(proof, Proof::Confirmed { .. }), "{proof:?}");
    assert_eq!(proof.inlined(), Inlined::Merged);
}

/// No session is known to be lost. The server reads bodies in another way than it used to.
#[tokio::test(start_paused = true)]
async fn a_checked_layer_withholds_a_wrong_answer_also_where_only_the_body_names_the_chain() {
    let setup = Setup::new();
    let builder = setup.builder().inline_defaults(InlineDefaults::Always);
    let manager = builder.without_sessions().build().unwrap();
    let solana = tower::service_fn(|_: http::Request<_>| async {
        let body = http_body_util::Full::<Bytes>::from(r#"{"data":{"chain":"solana"}}"#);
        let answer = http::Response::builder().header("content-type", "application/json");
        Ok::<_, BoxError>(answer.body(body).unwrap())
    });
    let inner = InlineDefaultsLayer::new(manager.clone()).layer(solana);
    let service = CheckedLayer::new(manager.clone()).layer(inner);
    let error = service.oneshot(post("{}")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::WrongDefaults);
    assert_eq!(manager.stats().wrong_defaults, 1);
    let inner = InlineDefaultsLayer::new(manager.clone()).layer(setup.sipher.clone());
    let service = CheckedLayer::new(manager.clone()).layer(inner);
    service.oneshot(post("{}")).await.unwrap();
    assert_eq!(manager.stats().confirmed, 1);
}

/// The body named the chain, so the answer says nothing about the session.
#[tokio::test(start_paused = true)]
async fn a_wrong_answer_to_a_merged_body_costs_no_session() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    let before = manager.session().await.unwrap();
    let solana = tower::service_fn(|_: http::Request<_>| async {
        let body = Full::<Bytes>::from(r#"{"data":{"chain":"solana"}}"#);
        let answer = Response::builder().header("content-type", "application/json");
        Ok::<_, BoxError>(answer.body(body).unwrap())
    });
    let inner = InlineDefaultsLayer::new(manager.clone()).layer(solana);
    let service = CheckedLayer::new(manager.clone()).layer(inner);
    let error = service.oneshot(post("{}")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::WrongDefaults);
    assert_eq!(manager.session().await.unwrap().id(), before.id());
}
