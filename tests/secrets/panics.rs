//! A panic while a request is being handled shows no secret.

use std::{
    collections::BTreeSet,
    fmt::Write,
    panic,
    sync::{Arc, Mutex},
};

use http::Response;
use http_body_util::Full;
use sipher_session::{
    BoxError, SessionDefaults, SessionLayer,
    api::{Bytes, Transport},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    support::{Call, SECOND, Setup, generate, pass},
    witness::{Witness, assert_no_secret},
};

const VIEWING_KEY: &str = "0x0ddba11c0de50ddba11c0de50ddba11c0de5";

/// Records the messages of all panics, including those of this crate.
fn overhear_panics() -> Arc<Mutex<String>> {
    let said = Arc::new(Mutex::new(String::new()));
    let (notes, before) = (said.clone(), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        writeln!(notes.lock().unwrap(), "{info}\n{info:?}").unwrap();
        // Other tests panic on purpose as well.
        if !info.to_string().contains("on purpose") {
            before(info);
        }
    }));
    said
}

#[tokio::test(start_paused = true)]
async fn a_panic_with_a_request_in_hand_shows_no_secret() {
    let said = overhear_panics();
    let witness = Witness::new();
    let setup = Setup::new();
    let defaults = SessionDefaults::new().default_viewing_key(VIEWING_KEY);
    for secret in [&setup.key, VIEWING_KEY] {
        witness.secret(secret);
    }
    let mut creates_in_vain = 0;
    for calls_before in 0..4 {
        // The transport panics from call number `calls_before` on.
        let (sipher, calls) = (setup.sipher.clone(), Arc::new(Mutex::new(0)));
        let transport = Transport::new(service_fn(move |call: Call| {
            let calls = {
                let mut calls = calls.lock().unwrap();
                *calls += 1;
                *calls
            };
            assert!(calls <= calls_before, "on purpose: {:?}", call.headers());
            sipher.clone().oneshot(call)
        }));
        let manager = setup.builder().defaults(defaults.clone());
        let manager = manager
            .transport(transport)
            .max_wait(2 * SECOND)
            .build()
            .unwrap();
        let mut events = manager.events();
        creates_in_vain += i32::from(witness.outcome(manager.session().await).is_none());
        manager.invalidate(1);
        pass(5.0).await;
        witness.outcome(manager.session().await);
        witness.note(&manager.shutdown(5 * SECOND).await);
        witness.events(&mut events);
    }
    assert_eq!(creates_in_vain, 1);

    // The wrapped client panics, and its caller's task panics with it.
    let manager = setup.manager();
    let client = service_fn(|call: Call| async move {
        assert!(
            call.uri().path().is_empty(),
            "on purpose: {:?}",
            call.headers()
        );
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
    });
    let service = SessionLayer::new(manager.clone()).layer(client);
    let panicked = tokio::spawn(service.oneshot(generate())).await.unwrap_err();
    witness.note_text(&panicked);
    witness.note(&panicked);
    witness.note(&manager.shutdown(5 * SECOND).await);

    witness.ids_of(&setup.sipher);
    witness.assert_saw_no_secret();
    let said = said.lock().unwrap().clone(); // taken out first: a failing assertion would call the panic hook
    assert!(said.matches("on purpose").count() > 5, "{said}");
    assert!(said.contains("x-session-id") && said.contains("Sensitive"));
    let mut secrets = BTreeSet::from([setup.key.clone(), VIEWING_KEY.to_owned()]);
    let log = setup.sipher.log();
    secrets.extend(
        log.iter()
            .flat_map(|exchange| crate::witness::ids(&exchange.path)),
    );
    secrets.extend(setup.last_id());
    assert!(secrets.len() >= 4);
    assert_no_secret(&said, &secrets);
}
