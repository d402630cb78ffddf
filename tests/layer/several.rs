//! Several API keys at one layer, and several layers with one session.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use sipher_session::{
    SessionLayer,
    clock::Clock,
    testing::{Fault, SessionUse, Target, Tier, What},
};
use tower::{Layer, ServiceExt};

use crate::{
    memory::{remembering, send},
    support::{Call, SECOND, Setup, generate, pass},
};

fn with_key(key: &str) -> Call {
    let mut request = generate();
    let value = key.parse().unwrap();
    request.headers_mut().insert("x-api-key", value);
    request
}

/// A thread looks at its first memo before the others. Once the first memo is replaced, the lookup reaches the others again.
#[tokio::test(start_paused = true)]
async fn after_a_sign_of_trouble_no_key_is_given_what_was_remembered_before_it() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = remembering(&setup, &manager).await;
    let other = setup.sipher.api_key(Tier::Pro);
    let of_other = || with_key(&other);
    for _ in 0..4 {
        send(&service, of_other()).await;
    }
    setup.sipher.restart();
    let lease = manager.apply(&mut HeaderMap::new()).await.unwrap().unwrap();
    lease.complete_with(StatusCode::SERVICE_UNAVAILABLE);
    // A third key takes the first place, before the memo of the other key is too old.
    let start = setup.clock.now().monotonic;
    let third = setup.sipher.api_key(Tier::Pro);
    for _ in 0..4 {
        send(&service, with_key(&third)).await;
    }
    let passed = setup.clock.now().monotonic.saturating_sub(start);
    assert!(passed < Duration::from_millis(250), "{passed:?}");
    send(&service, of_other()).await;
    let last = setup.uses().pop().unwrap();
    assert!(matches!(last.session, SessionUse::Live { .. }), "{last:?}");
    assert_eq!(last.chain.as_deref(), Some("near"));
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_trouble_reaches_what_each_of_several_layers_remembers() {
    let setup = Setup::new();
    let manager = setup.manager();
    let services = [
        remembering(&setup, &manager).await,
        remembering(&setup, &manager).await,
    ];
    setup.sipher.restart();
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    send(&services[1], generate()).await;
    for service in &services {
        send(service, generate()).await;
        assert_eq!(setup.last_chain().as_deref(), Some("near"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_session_ends_what_each_of_several_layers_remembers_of_it() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut services = Vec::new();
    for _ in 0..3 {
        services.push(remembering(&setup, &manager).await);
    }
    setup
        .sipher
        .fault(Fault::new(What::Delay(20 * SECOND)).on(Target::Calls));
    let slow = tokio::spawn(services[0].clone().oneshot(generate()));
    pass(0.5).await;
    assert!(manager.invalidate(1));
    for service in &services {
        send(service, generate()).await;
    }
    assert_eq!(setup.deletes(), 0, "one of them is still on its way");
    slow.await.unwrap().unwrap();
    pass(1.0).await;
    assert_eq!(setup.deletes(), 1);
    setup.sipher.assert_every_call_had_a_session();
}

/// The server reads no API key from an `Authorization` header that is not `Bearer`. Such a request belongs to the configured key.
#[tokio::test(start_paused = true)]
async fn the_same_value_in_another_header_is_not_the_same_key() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = SessionLayer::new(manager.clone()).layer(setup.sipher.clone());
    let other = setup.sipher.api_key(Tier::Pro);
    for (header, key) in [("x-api-key", "pro 2"), ("authorization", "pro 1")] {
        for _ in 0..4 {
            let mut request = generate();
            let value = other.parse().unwrap();
            request.headers_mut().insert(header, value);
            send(&service, request).await;
            let last = setup.uses().pop().unwrap();
            assert_eq!(last.key.as_deref(), Some(key));
            assert!(matches!(last.session, SessionUse::Live { .. }), "{last:?}");
            assert_eq!(last.chain.as_deref(), Some("near"));
        }
    }
}
