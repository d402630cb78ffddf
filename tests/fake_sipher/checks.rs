//! What the log contains, and the assertions about it.

use std::{panic, time::Duration};

use http::HeaderValue;
use sipher_session::{
    Chain,
    testing::{DeadReason, FakeError, FakeSipher, Fault, Operation, SessionUse, Tier, What},
};

use crate::{create, create_request, on, request, send, stealth, stealth_request};

fn panic_of(check: impl FnOnce() + panic::UnwindSafe) -> Option<String> {
    let panic = panic::catch_unwind(check).err()?;
    panic.downcast_ref::<String>().cloned()
}

/// Sends `session` with a stealth call, and expects the assertion to name this reason.
async fn dies(sipher: &FakeSipher, key: &str, session: &str, why: DeadReason) {
    sipher.clear_log();
    assert_eq!(
        stealth(sipher, key, session).await,
        "solana",
        "as silent as the real one"
    );
    let log = sipher.log();
    let SessionUse::Dead { why: found, ref id } = log[0].session else {
        panic!("{why:?}: {:?}", log[0]);
    };
    assert_eq!(found, why);
    assert_eq!(id, session);
    let handle = sipher.clone();
    let message = panic_of(panic::AssertUnwindSafe(|| handle.assert_no_dead_id())).unwrap();
    assert!(message.contains(&format!("{why:?}")), "{message}");
    assert!(
        session.len() < 20 || !message.contains(session),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_check_names_every_way_for_an_id_to_be_dead() {
    let sipher = FakeSipher::new();
    let [key, other] = [(); 2].map(|()| sipher.api_key(Tier::Pro));
    let near = r#"{"chain":"near"}"#;

    dies(&sipher, &key, "nope", DeadReason::Malformed).await;
    let never = format!("sess_{}", "f".repeat(64));
    dies(&sipher, &key, &never, DeadReason::Unknown).await;

    let id = create(&sipher, &key, near).await;
    dies(
        &sipher,
        &key,
        &id.to_uppercase().replace("SESS", "sess"),
        DeadReason::Malformed,
    )
    .await;
    dies(&sipher, &other, &id, DeadReason::ForeignKey).await;
    sipher.clock().suspend(Duration::from_secs(3601));
    dies(&sipher, &key, &id, DeadReason::Expired).await;
    dies(&sipher, &key, &id, DeadReason::Expired).await;

    let id = create(&sipher, &key, near).await;
    assert_eq!(on(&sipher, "DELETE", &key, &id, "").await, 200);
    dies(&sipher, &key, &id, DeadReason::Deleted).await;

    let id = create(&sipher, &key, near).await;
    sipher.restart();
    dies(&sipher, &key, &id, DeadReason::Forgotten).await;

    let id = create(&sipher, &key, near).await;
    sipher.evict(&id);
    dies(&sipher, &key, &id, DeadReason::Evicted).await;
}

#[tokio::test]
async fn a_doubled_header_is_dead_even_with_a_live_id() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let id = create(&sipher, &key, r#"{"chain":"near"}"#).await;
    let mut call = stealth_request(&key, &id);
    let again = HeaderValue::from_str(&id).unwrap();
    call.headers_mut().append("x-session-id", again);
    let (_, body) = send(&sipher, call).await.unwrap();
    assert_eq!(body["data"]["chain"], "solana");
    let why = DeadReason::Doubled;
    assert_eq!(sipher.log()[1].session, SessionUse::Dead { id, why });
}

#[tokio::test]
async fn live_sessions_pass_the_checks() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let id = create(
        &sipher,
        &key,
        r#"{"chain":"near","privacyLevel":"maximum"}"#,
    )
    .await;
    assert_eq!(stealth(&sipher, &key, &id).await, "near");
    send(&sipher, request("GET", "/v1/health", "", "", ""))
        .await
        .unwrap();
    sipher.assert_no_dead_id();
    sipher.assert_every_call_had_a_session();

    let log = sipher.log();
    assert_eq!(log[0].operation, Operation::Create);
    assert_eq!(log[0].session, SessionUse::None);
    assert_eq!(log[1].key.as_deref(), Some("pro 1"));
    assert_eq!(log[1].chain.as_deref(), Some("near"));
    let SessionUse::Live { defaults, .. } = &log[1].session else {
        panic!("{:?}", log[1]);
    };
    assert_eq!(defaults["privacyLevel"], "maximum");
    assert_eq!(
        (sipher.session_calls(), sipher.count(Operation::Create)),
        (1, 1)
    );
}

#[tokio::test]
async fn a_call_without_a_session_fails_the_second_check_only() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    stealth(&sipher, &key, "").await;
    sipher.assert_no_dead_id();
    let check = panic::AssertUnwindSafe(|| sipher.assert_every_call_had_a_session());
    assert!(
        panic_of(check)
            .unwrap()
            .contains("POST /v1/stealth/generate")
    );
}

/// A refused connection carries nothing, and a lost answer belongs to a call that was carried out.
#[tokio::test]
async fn only_calls_that_reached_the_server_fail_the_checks() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    for (what, reaches) in [
        (What::Refuse, false),
        (What::LoseRequest, false),
        (What::LoseAnswer, true),
    ] {
        for (id, fails) in [("nope", [true, true]), ("", [false, true])] {
            sipher.clear_log();
            sipher.fault(Fault::new(what.clone()));
            send(&sipher, stealth_request(&key, id)).await.unwrap_err();
            let handle = panic::AssertUnwindSafe(&sipher);
            let failed = [
                panic_of(|| handle.assert_no_dead_id()).is_some(),
                panic_of(|| handle.assert_every_call_had_a_session()).is_some(),
            ];
            assert_eq!(failed, fails.map(|it| it && reaches), "{what:?} {id}");
        }
    }
}

#[tokio::test]
async fn a_call_on_another_chain_fails_the_check_of_chains_and_so_does_no_call_at_all() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let check = || {
        panic_of(panic::AssertUnwindSafe(|| {
            sipher.assert_every_call_used(&Chain::Near);
        }))
    };
    let id = create(&sipher, &key, r#"{"chain":"near"}"#).await;
    assert!(check().unwrap().contains("no call used any chain"));
    stealth(&sipher, &key, &id).await;
    assert_eq!(check(), None);
    stealth(&sipher, &key, "nope").await;
    let message = check().unwrap();
    assert!(message.contains("another chain than near"), "{message}");
    assert!(message.contains("on solana"), "{message}");
    assert!(!message.contains("on near"), "{message}");
}

#[tokio::test]
async fn a_session_call_with_a_dead_session_header_fails_the_check() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let mut call = create_request(&key, "{}");
    call.headers_mut()
        .insert("x-session-id", HeaderValue::from_static("nope"));
    assert_eq!(send(&sipher, call).await.unwrap().0, 201);
    assert!(panic_of(panic::AssertUnwindSafe(|| sipher.assert_no_dead_id())).is_some());
}

#[tokio::test]
async fn dead_ids_are_refused_on_demand() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.refuse_dead_ids(true);
    let refused = send(&sipher, stealth_request(&key, "nope")).await;
    assert!(matches!(refused, Err(FakeError::DeadId(_))), "{refused:?}");
    assert_eq!(sipher.log()[0].status, 0);
}

#[tokio::test]
async fn debug_output_contains_no_secret() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let id = create(&sipher, &key, r#"{"defaultViewingKey":"0xabcd1234"}"#).await;
    on(&sipher, "GET", &key, &id, "").await;
    stealth(&sipher, &key, &id).await;
    stealth(&sipher, &key, &key).await;
    let shown = format!("{sipher:?} {:?}", sipher.log());
    for secret in [&*key, &*id, "abcd1234"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains(&id[..13]), "a fingerprint");
}
