//! Doubt is short: while one server answers at one address, nearly all answers are proven.

use std::time::Duration;

use sipher_session::{
    Proof, SessionLayer, SessionService,
    testing::{FakeSipher, Fault, Target, What},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use crate::support::{SECOND, Setup, generate, pass};

const NONE: [f64; 1] = [0.0];

fn proving(setup: &Setup) -> SessionService<FakeSipher> {
    setup.sipher.set_rate_limit(Some(1_000));
    let layer = SessionLayer::new(setup.manager()).with_proof();
    layer.layer(setup.sipher.clone())
}

/// Sends a request every `every` seconds. Each takes as long as one of `latencies`. Returns the share of answers whose
/// proof has a `Doubt`.
async fn doubted(
    setup: &Setup,
    service: &SessionService<FakeSipher>,
    seconds: u32,
    (every, latencies): (f64, &[f64]),
) -> f64 {
    let (start, mut calls, mut doubted) = (Instant::now(), 0, 0);
    for latency in latencies.iter().cycle() {
        if start.elapsed() >= seconds * SECOND {
            break;
        }
        pass(every).await;
        let slow = What::DelayAnswer(Duration::from_secs_f64(*latency));
        setup.sipher.fault(Fault::new(slow).on(Target::Calls));
        let answer = service.clone().oneshot(generate()).await.unwrap();
        let proof = answer.extensions().get().copied();
        let Some(Proof::Session { doubt, .. }) = proof else {
            panic!("{proof:?}");
        };
        calls += 1;
        doubted += u32::from(doubt.is_some());
    }
    f64::from(doubted) / f64::from(calls)
}

#[tokio::test(start_paused = true)]
async fn a_false_alarm_at_the_end_of_a_window_leaves_later_windows_in_doubt_for_a_few_minutes_at_most()
 {
    let setup = Setup::new();
    let service = proving(&setup);
    let before = doubted(&setup, &service, 600, (1.0, &NONE)).await;
    assert!(before < 0.05, "{before}");
    loop {
        pass(1.0).await;
        let answer = service.clone().oneshot(generate()).await.unwrap();
        if answer.headers()["ratelimit-reset"] == "3" {
            break;
        }
    }
    pass(1.0).await;
    let gateways = Fault::new(What::Html(502)).on(Target::Calls);
    setup.sipher.fault(gateways);
    let answer = service.clone().oneshot(generate()).await.unwrap();
    assert_eq!(answer.status(), 502);
    let after = doubted(&setup, &service, 3_600, (1.0, &NONE)).await;
    assert!(after < 0.05, "{after}");
}

#[tokio::test(start_paused = true)]
async fn answers_that_take_a_moment_over_the_end_of_their_window_begin_no_other() {
    let setup = Setup::new();
    let service = proving(&setup);
    let latencies = [0.0, 0.28, 0.16, 0.04, 0.32, 0.2, 0.08, 0.36, 0.24, 0.12];
    doubted(&setup, &service, 600, (0.7, &latencies)).await;
    let after = doubted(&setup, &service, 3_600, (0.7, &latencies)).await;
    assert!(after < 0.1, "{after}");
}
