//! Messages name the server, the chain and the key, and show no secret.

use sipher_session::{
    Chain, Error, ErrorKind, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Fault, Target, Tier, What},
};
use tower::{Layer, ServiceExt};

use crate::support::{SECOND, Setup, generate};

const BASE: &str = "https://sipher-api.sip-protocol.org";

fn fingerprint(message: &str) -> Option<&str> {
    let digits = message.split(", key ").nth(1)?.strip_suffix(')')?;
    (digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(digits)
}

#[track_caller]
fn assert_names(error: &Error, chain: &str, secret: &str) {
    let message = error.to_string();
    assert!(
        message.contains(&format!("({BASE}, chain {chain}, key ")),
        "{message}"
    );
    assert!(fingerprint(&message).is_some(), "{message}");
    let shown = format!("{error:?} {message}");
    assert!(!shown.contains(secret), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn every_failure_to_get_a_session_names_server_chain_and_key() {
    let kinds = [
        (What::Refuse, ErrorKind::Unavailable),
        (What::Hang, ErrorKind::Timeout),
        (What::Status(400), ErrorKind::Rejected),
        (What::Status(401), ErrorKind::Credentials),
        (What::Status(429), ErrorKind::RateLimited),
        (What::Html(404), ErrorKind::WrongAddress),
        (What::Malformed, ErrorKind::WrongAnswer),
    ];
    for (what, kind) in kinds {
        let setup = Setup::apart();
        let fault = Fault::new(what.clone()).on(Target::Create);
        setup.sipher.fault(fault.always());
        let manager = setup.manager();
        for _ in 0..2 {
            let error = setup.call(&manager).await.unwrap_err();
            let error = Error::find(&error).unwrap();
            assert_eq!(error.kind(), kind, "{what:?}");
            assert_names(error, "near", &setup.key);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_and_a_budget_that_is_used_up_name_them_too() {
    let setup = Setup::apart();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Create).always());
    let manager = setup.builder().max_wait(SECOND).build().unwrap();
    let error = manager.session().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_names(&error, "near", &setup.key);

    let setup = Setup::apart();
    let manager = setup.builder().call_budget(1, 1).max_wait(SECOND);
    let manager = manager.build().unwrap();
    manager.session().await.unwrap();
    let layer = SessionLayer::new(manager).defaults(SessionDefaults::new().chain(Chain::Sui));
    let service = layer.layer(setup.sipher.clone());
    let error = service.oneshot(generate()).await.unwrap_err();
    let error = Error::find(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::Budget);
    assert_names(error, "sui", &setup.key);
}

/// One tenant's failure holds back the other tenant. The error of each names its own session.
#[tokio::test(start_paused = true)]
async fn a_failure_that_is_shared_names_who_reads_it() {
    let setup = Setup::apart();
    setup
        .sipher
        .fault(Fault::new(What::Status(429)).on(Target::Create).always());
    let manager = setup.builder().max_wait(SECOND).build().unwrap();
    let first = manager.session().await.unwrap_err();
    let other = setup.sipher.api_key(Tier::Pro);
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", other.parse().unwrap());
    let sui = SessionDefaults::new().chain(Chain::Sui);
    request.extensions_mut().insert(sui);
    let second = setup.service(&manager).oneshot(request).await.unwrap_err();
    let second = Error::find(&second).unwrap();
    assert_names(&first, "near", &setup.key);
    assert_names(second, "sui", &other);
    let of = |error: &Error| fingerprint(&error.to_string()).map(str::to_owned);
    assert_ne!(of(&first), of(second));
    assert_eq!(setup.creates(), 1, "the second one was held back");
}

#[tokio::test(start_paused = true)]
async fn a_session_call_by_hand_names_server_and_key() {
    let setup = Setup::apart();
    setup.sipher.fault(Fault::new(What::Refuse).always());
    let api = setup.manager().api();
    let request = sipher_session::api::CreateSession::new(SessionDefaults::new());
    let error = api.create_session(&request).await.unwrap_err();
    let message = error.to_string();
    let start = format!("could not reach the server ({BASE}, key ");
    assert!(message.starts_with(&start), "{message}");
    assert!(fingerprint(&message).is_some(), "{message}");
}

/// A chain is any text, so it may contain a secret.
#[tokio::test(start_paused = true)]
async fn a_chain_that_is_a_secret_is_not_named() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let viewing_key = "0x0ddba11c0de50ddba11c0de50ddba11c0de5";
    for secret in [key.as_str(), viewing_key] {
        let defaults = SessionDefaults::new()
            .chain(Chain::from(secret))
            .default_viewing_key(viewing_key);
        let manager = SessionManager::builder()
            .api_key(key.as_str())
            .defaults(defaults)
            .transport(sipher_session::api::Transport::new(sipher.clone()))
            .build()
            .unwrap();
        let error = manager.session().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(!error.to_string().contains(secret), "{error}");
    }
}
