//! A session may be lost, and the server does not say whether it is.

use std::time::Duration;

use sipher_session::testing::{Fault, Target, What};
use tokio::time::Instant;

use crate::support::{SECOND, Setup, pass};

#[tokio::test(start_paused = true)]
async fn where_health_never_tells_no_request_waits_for_the_next_question() {
    let setup = Setup::new();
    setup.silence_health();
    let manager = setup.manager();
    for call in 0..900 {
        let start = Instant::now();
        setup.call(&manager).await.unwrap();
        let took = start.elapsed();
        assert!(took <= Duration::from_millis(200), "{call}: {took:?}");
        pass(1.0).await;
    }
    assert!(setup.questions() > 10 && setup.gets() <= 4);
    assert_eq!(setup.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_the_question_fails_for_a_moment_no_successor_is_made_in_that_moment() {
    let setup = Setup::new();
    let manager = setup
        .builder()
        .max_wait(SECOND)
        .create_timeout(SECOND)
        .build()
        .unwrap();
    setup.call(&manager).await.unwrap();
    setup.silence_health();
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    drop(setup.call(&manager).await);
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Get).always());
    for _ in 0..4 {
        assert!(setup.call(&manager).await.is_err());
    }
    setup.sipher.clear_faults();
    pass(40.0).await;
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_the_question_is_not_answered_a_successor_that_failed_is_tried_again() {
    let setup = Setup::new();
    let manager = setup
        .builder()
        .max_wait(SECOND)
        .create_timeout(SECOND)
        .build()
        .unwrap();
    setup.call(&manager).await.unwrap();
    setup.silence_health();
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    drop(setup.call(&manager).await);
    let unanswered = || {
        let fault = Fault::new(What::Status(400)).on(Target::Get);
        setup.sipher.fault(fault.always());
    };
    unanswered();
    let fails = Fault::new(What::Status(503)).on(Target::Create);
    setup.sipher.fault(fails.always());
    assert!(setup.call(&manager).await.is_err());
    setup.sipher.clear_faults();
    setup.silence_health();
    unanswered();
    // The manager does not ask again for a minute. Creates are held back for less time.
    pass(10.0).await;
    setup.call(&manager).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_a_failed_renewal_made_suspect_is_asked_about_before_the_next_request() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    pass(3_000.0).await;
    let fails = Fault::new(What::Status(503)).on(Target::Create);
    setup.sipher.fault(fails);
    setup.call(&manager).await.unwrap();
    let asked = setup.questions();
    pass(5.0).await;
    let asked = setup.questions() - asked;
    assert_eq!((setup.creates(), asked, setup.gets()), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn where_the_question_is_not_answered_a_successor_is_made() {
    for answer in [What::Status(400), What::Html(405), What::Status(410)] {
        let name = format!("{answer:?}");
        let setup = Setup::new();
        let manager = setup.manager();
        setup.call(&manager).await.unwrap();
        setup.silence_health();
        setup
            .sipher
            .fault(Fault::new(answer).on(Target::Get).always());
        for restarts in 1..4 {
            setup
                .sipher
                .fault(Fault::new(What::Status(503)).on(Target::Calls));
            setup.call(&manager).await.unwrap();
            setup.call(&manager).await.unwrap();
            assert_eq!(setup.creates(), 1 + restarts, "{name}");
            pass(20.0).await;
        }
        setup.sipher.assert_no_dead_id();
    }
}
