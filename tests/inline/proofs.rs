//! What a proof says about the body.

use std::time::Duration;

use sipher_session::{Event, InlineDefaults, Inlined, NotInlined, OnNoSession, Proof};

use super::{manager, post, proof, send, support::Setup};

#[tokio::test(start_paused = true)]
async fn a_covered_body_leaves_no_doubt() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    setup.sipher.restart();
    for body in ["{}", r#"{"chain":"sui"}"#] {
        let answer = send(&setup, &manager, post(body)).await.unwrap();
        match proof(&answer) {
            Proof::Session { doubt, inlined, .. } => {
                assert_eq!(doubt, None);
                assert!(inlined.is_covered());
            }
            other => assert!(matches!(other, Proof::Inline { .. })),
        }
    }
    // Nothing can be merged into an array, so this answer depends on the session alone.
    let array = send(&setup, &manager, post("[]")).await.unwrap();
    let became = Inlined::from(NotInlined::NotAnObject);
    assert_eq!(proof(&array).inlined(), became);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_could_not_be_merged_leaves_the_doubt_of_its_session() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    setup.sipher.restart();
    let mut call = post("{}");
    let latin = "application/json; charset=latin1".parse().unwrap();
    call.headers_mut().insert("content-type", latin);
    let answer = send(&setup, &manager, call).await.unwrap();
    match proof(&answer) {
        Proof::Session { doubt, inlined, .. } => {
            assert!(doubt.is_some(), "the server has restarted");
            assert_eq!(inlined, Inlined::from(NotInlined::Charset));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_goes_out_with_neither_says_why() {
    let setup = Setup::new();
    setup.sipher.burn(&setup.key, 2_000);
    let builder = setup.builder().inline_defaults(InlineDefaults::Always);
    let manager = builder
        .on_no_session(OnNoSession::SendWithout)
        .build()
        .unwrap();
    let mut call = post("{}");
    let gzip = "gzip".parse().unwrap();
    call.headers_mut().insert("content-encoding", gzip);
    let answer = send(&setup, &manager, call).await.unwrap();
    match proof(&answer) {
        Proof::Neither { reason, .. } => assert_eq!(reason, NotInlined::Encoded),
        other => panic!("{other:?}"),
    }
    assert_eq!(manager.stats().sent_without, 1);
}

#[tokio::test(start_paused = true)]
async fn each_reason_is_told_once_and_counted_each_time() {
    let setup = Setup::new();
    let manager = manager(&setup, InlineDefaults::Always);
    manager.session().await.unwrap();
    let mut events = manager.events();
    for _ in 0..3 {
        for (name, value) in [
            ("content-encoding", "gzip"),
            ("content-type", "application/json; charset=x"),
        ] {
            let mut call = post("{}");
            call.headers_mut().insert(name, value.parse().unwrap());
            send(&setup, &manager, call).await.unwrap();
        }
        send(&setup, &manager, post("[]")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut told = Vec::new();
    while let Some(event) = events.try_recv() {
        if let Event::NotInlined { reason, .. } = event {
            told.push(reason);
        }
    }
    assert_eq!(told, [NotInlined::Encoded, NotInlined::Charset]);
    let stats = manager.stats().not_inlined;
    assert_eq!(
        (stats.encoded, stats.charset, stats.not_an_object),
        (3, 3, 3)
    );
}

/// The request asked for the server's own defaults, whatever its body is.
#[tokio::test(start_paused = true)]
async fn a_request_that_opts_out_says_no_more_than_that() {
    for mode in super::MODES {
        let setup = Setup::new();
        let manager = manager(&setup, mode);
        let mut call = post("{}");
        call.extensions_mut().insert(sipher_session::NoSession);
        let answer = send(&setup, &manager, call).await.unwrap();
        assert_eq!(proof(&answer), Proof::Without);
    }
}
