//! The options of a layer can be set in any order.

use http::Response;
use http_body::Body;
use sipher_session::{
    Chain, Proof, SessionDefaults, SessionLayer,
    testing::{Fault, Target, What},
};
use tower::{Layer, Service, ServiceExt};

use crate::support::{Call, SECOND, Setup, generate};

/// The server restarts and answers 503 once. The final answer is for the layer's chain, and its proof says so.
async fn replays<S, B>(setup: &Setup, service: S, is_checked: bool)
where
    S: Service<Call, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: Body,
{
    service.clone().oneshot(generate()).await.unwrap();
    tokio::time::sleep(20 * SECOND).await;
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Others));
    setup.sipher.restart();
    let answer = service.oneshot(generate()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(setup.last_chain().as_deref(), Some("sui"));
    let proof = answer.extensions().get::<Proof>().expect("it is proved");
    let is_confirmed = matches!(proof, Proof::Confirmed { .. });
    assert_eq!(is_confirmed, is_checked, "{proof:?}");
}

macro_rules! in_every_order {
    ($is_checked:literal: $($($call:ident($($argument:ident)?)).+;)+) => {
        $({
            let setup = Setup::apart();
            let layer = SessionLayer::new(setup.manager());
            let layer = layer$(.$call($($argument.clone())?))+;
            replays(&setup, layer.layer(setup.sipher.clone()), $is_checked).await;
        })+
    };
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_replays_is_made_in_any_order() {
    let sui = SessionDefaults::new().chain(Chain::Sui);
    in_every_order! { false:
        replay_once().with_proof().defaults(sui).inner_is_sipher();
        replay_once().defaults(sui).with_proof().replay_once();
        with_proof().replay_once().defaults(sui);
        with_proof().defaults(sui).replay_once();
        defaults(sui).replay_once().with_proof();
        defaults(sui).inner_is_sipher().with_proof().replay_once();
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_replays_and_checks_is_made_in_any_order() {
    let sui = SessionDefaults::new().chain(Chain::Sui);
    in_every_order! { true:
        replay_once().checked().defaults(sui);
        replay_once().with_proof().checked().defaults(sui).inner_is_sipher();
        replay_once().defaults(sui).checked().with_proof().checked().replay_once();
        checked().replay_once().defaults(sui);
        checked().with_proof().defaults(sui).replay_once().inner_is_sipher();
        checked().checked().defaults(sui).replay_once();
        with_proof().checked().replay_once().defaults(sui).with_proof();
        defaults(sui).checked().replay_once();
        defaults(sui).replay_once().checked();
        inner_is_sipher().defaults(sui).replay_once().checked();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_says_not_where_it_goes_is_sent_again_too() {
    let setup = Setup::apart();
    let layer = SessionLayer::new(setup.manager()).replay_once().checked();
    let service = layer.inner_is_sipher().layer(setup.sipher.clone());
    let mut call = generate();
    *call.uri_mut() = "/v1/stealth/generate".parse().unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Others));
    let answer = service.oneshot(call).await.unwrap();
    assert!(matches!(
        answer.extensions().get(),
        Some(Proof::Confirmed { .. })
    ));
    setup.sipher.assert_every_call_had_a_session();
}

/// The server carried out the request, so it is not sent again.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_withheld_is_not_replayed() {
    let setup = Setup::apart();
    let layer = SessionLayer::new(setup.manager()).replay_once().checked();
    let service = layer.layer(setup.sipher.clone());
    service.clone().oneshot(generate()).await.unwrap();
    setup.sipher.restart(); // no call meets the restart
    let uses = setup.uses().len();
    let error = service.oneshot(generate()).await.unwrap_err();
    let kind = sipher_session::Error::find(&error).unwrap().kind();
    assert_eq!(kind, sipher_session::ErrorKind::WrongDefaults);
    assert_eq!(setup.uses().len(), uses + 1);
}
