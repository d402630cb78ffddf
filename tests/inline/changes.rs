//! Defaults change while requests go on. The body has the defaults of the session that its request gets.

use std::time::Duration;

use serde_json::Value;
use sipher_session::{Chain, InlineDefaults, SessionDefaults, SessionLayer, testing::Tier};
use tower::{Layer, ServiceExt};

use super::{bodies::slow, chain, echo, id, json, manager, post, send, stack, support::Setup};

fn chain_in(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    body["chain"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn header_and_body_agree_whatever_is_changed_meanwhile() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    let changes = async {
        for chain in [Chain::Sui, Chain::Near, Chain::Aptos]
            .into_iter()
            .cycle()
            .take(60)
        {
            let defaults = SessionDefaults::new().chain(chain);
            manager.replace_defaults(defaults).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1_700)).await;
        }
    };
    let requests = async {
        for _ in 0..1_000 {
            let answer = stack(&manager, echo()).oneshot(post("{}")).await.unwrap();
            let request = answer.into_body();
            let in_body = chain_in(request.body());
            if let Some(id) = id(&request) {
                let stored = setup.sipher.defaults_of(id).expect("it is live");
                assert_eq!(stored["chain"], in_body.as_str());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::join!(changes, requests);
}

#[tokio::test(start_paused = true)]
async fn once_a_change_has_returned_no_body_has_the_older_defaults() {
    for without_sessions in [false, true] {
        let setup = Setup::new();
        let mut builder = setup.builder().inline_defaults(InlineDefaults::Always);
        if without_sessions {
            builder = builder.without_sessions();
        }
        let manager = builder.build().unwrap();
        for chain in [Chain::Sui, Chain::Near, Chain::Aptos] {
            let patch = SessionDefaults::new().chain(chain.clone());
            manager.update_defaults(patch).await.unwrap();
            let answer = stack(&manager, echo()).oneshot(post("{}")).await.unwrap();
            assert_eq!(chain_in(answer.body().body()), chain.as_str());
        }
    }
}

/// The call decided which defaults the request gets. A session with the older defaults would serve no other request, so none is created.
#[tokio::test(start_paused = true)]
async fn a_request_whose_body_comes_while_they_are_changed_keeps_its_own_and_makes_no_session() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    let call = stack(&manager, echo()).oneshot(json(slow(Duration::from_secs(5))));
    let change = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let sui = SessionDefaults::new().chain(Chain::Sui);
        manager.replace_defaults(sui).await.unwrap();
    };
    let (answer, ()) = tokio::join!(call, change);
    let request = answer.unwrap().into_body();
    assert_eq!(chain_in(request.body()), "near");
    assert_eq!(id(&request), None);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(setup.creates(), 2);
}

/// The request carries the session, as a request with a complete body does.
#[tokio::test(start_paused = true)]
async fn a_session_that_comes_while_the_body_is_read_is_borne() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    let call = stack(&manager, echo()).oneshot(json(slow(Duration::from_secs(5))));
    let (answer, session) = tokio::join!(call, manager.session());
    let request = answer.unwrap().into_body();
    assert_eq!(id(&request), Some(session.unwrap().id().as_str()));
    assert_eq!(chain_in(request.body()), "near");
}

#[tokio::test(start_paused = true)]
async fn defaults_are_changed_although_no_session_is_to_be_had() {
    let setup = Setup::new();
    let free = setup.sipher.api_key(Tier::Free);
    let builder = setup.builder().inline_defaults(InlineDefaults::Always);
    let manager = builder.api_key(free).build().unwrap();
    let sui = SessionDefaults::new().chain(Chain::Sui);
    manager.update_defaults(sui).await.unwrap();
    let answer = send(&setup, &manager, post("{}")).await.unwrap();
    assert_eq!(chain(answer).await, "sui");
}

#[tokio::test(start_paused = true)]
async fn a_request_and_a_layer_with_defaults_of_their_own_have_them_in_the_body() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    for _ in 0..2 {
        let mut call = post("{}");
        call.extensions_mut()
            .insert(SessionDefaults::new().chain(Chain::Sui));
        let answer = stack(&manager, echo()).oneshot(call).await.unwrap();
        assert_eq!(chain_in(answer.body().body()), "sui");
        let inner = sipher_session::InlineDefaultsLayer::new(manager.clone()).layer(echo());
        let aptos = SessionDefaults::new().chain(Chain::Aptos);
        let service = SessionLayer::new(manager.clone())
            .defaults(aptos)
            .layer(inner);
        let answer = service.oneshot(post("{}")).await.unwrap();
        assert_eq!(chain_in(answer.body().body()), "aptos");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
