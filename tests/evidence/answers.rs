use std::time::Duration;

use sipher_session::testing::{Fault, SessionUse, Target, What};

use crate::support::{Setup, pass};

fn wrong(setup: &Setup) -> usize {
    let uses = setup.uses();
    uses.iter()
        .filter(|it| {
            it.path.starts_with("/v1/stealth") && !matches!(it.session, SessionUse::Live { .. })
        })
        .count()
}

/// Health is answered by something else or a cache, hangs, or says too little. Then the session itself is asked for.
#[tokio::test(start_paused = true)]
async fn a_health_answer_that_cannot_be_believed_falls_back_to_one_session_call() {
    let answer = |status, headers: &[(&str, &str)], body: &str| What::Answer {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        body: body.into(),
    };
    let old = r#"{"data":{"status":"healthy","timestamp":"2026-11-23T17:00:00.000Z","uptime":1}}"#;
    let leaving =
        r#"{"data":{"status":"shutting_down","timestamp":"2026-11-23T18:00:00.000Z","uptime":90}}"#;
    for health in [
        What::Html(200),
        What::Status(404),
        What::Hang,
        What::Delay(Duration::from_secs(3)),
        answer(200, &[("age", "30")], old),
        answer(200, &[], leaving),
        answer(200, &[], r#"{"data":{"status":"healthy"}}"#),
        answer(408, &[], "{}"),
    ] {
        let setup = Setup::new();
        let sessions = setup.manager();
        setup.call(&sessions).await.unwrap();
        pass(2.0).await;
        setup
            .sipher
            .fault(Fault::new(health.clone()).on(Target::Health).always());
        setup
            .sipher
            .fault(Fault::new(What::LoseRequest).on(Target::Calls).times(1));
        setup.call(&sessions).await.unwrap_err();
        setup.sipher.restart();
        pass(0.1).await;
        setup.call(&sessions).await.unwrap();
        assert_eq!(wrong(&setup), 0, "{health:?}");
        assert!(setup.sipher.session_calls() <= 3, "{health:?}");
    }
}

/// Health hangs for hours, and requests are rare. At most one session call is made in five minutes.
#[tokio::test(start_paused = true)]
async fn where_health_hangs_no_more_than_one_session_is_asked_for_in_five_minutes() {
    let setup = Setup::new();
    let sessions = setup.manager();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Health).always());
    for _ in 0..30 {
        setup.call(&sessions).await.unwrap();
        pass(61.0).await;
    }
    let calls = setup.sipher.session_calls();
    assert!(calls <= 2 + 30 * 61 / 300, "{calls}");
}
