//! Successors are created in time, in the background, and one at a time.

use std::time::Duration;

use sipher_session::{
    ErrorKind, Event,
    testing::{Fault, Target, What},
};

use crate::support::{SECOND, Setup, ours, pass};

#[tokio::test(start_paused = true)]
async fn a_day_of_steady_traffic_never_gets_the_servers_default_nor_waits() {
    let setup = Setup::new();
    setup.sipher.set_latency(Duration::from_millis(300));
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    manager.session().await.unwrap();
    for _ in 0..86_400 / 2 {
        let start = tokio::time::Instant::now();
        setup.call(&manager).await.unwrap();
        assert_eq!(
            start.elapsed().as_millis(),
            300,
            "no request waits for a create"
        );
        pass(1.7).await;
    }
    setup.sipher.assert_every_call_had_a_session();
    let creates = setup.creates();
    assert!(
        (1_800..=1_960).contains(&creates),
        "one each 45 to 48 s: {creates}"
    );
    assert_eq!(
        setup.deletes(),
        0,
        "predecessors have too little life left to be worth a call"
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_session_under_traffic_needs_few_calls() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    for _ in 0..1_500 {
        setup.call(&manager).await.unwrap();
        pass(0.1).await;
    }
    manager.shutdown(5 * SECOND).await;
    setup.sipher.assert_every_call_had_a_session();
    assert!(
        setup.sipher.session_calls() <= 8,
        "{}",
        setup.sipher.session_calls()
    );
    assert_eq!(setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_left_to_expire_and_made_anew_on_the_next_use() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    setup.call(&manager).await.unwrap();
    pass(3_600.0).await;
    assert_eq!(
        setup.sipher.session_calls(),
        1,
        "an idle session costs nothing"
    );
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 2);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn the_last_moment_at_which_an_id_is_sent_is_hard_before_its_end() {
    for (age, creates) in [(54.9, 1), (55.0, 2)] {
        let setup = Setup::new();
        setup.sipher.set_latency(SECOND);
        let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
        let session = manager.session().await.unwrap();
        pass(age - 1.0).await;
        setup.call(&manager).await.unwrap();
        let (used, first) = (setup.last_id().unwrap(), session.id().as_str().to_owned());
        assert_eq!(used == first, creates == 1, "at the age of {age} s");
        setup.sipher.assert_every_call_had_a_session();
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_machine_does_not_send_a_session_that_died_meanwhile() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(600 * SECOND).build().unwrap();
    setup.call(&manager).await.unwrap();
    let asleep = Duration::from_secs(3_600);
    setup.clock.suspend(asleep);
    setup.sipher.clock().suspend(asleep);
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 2);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_back_prolongs_nothing() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    setup.call(&manager).await.unwrap();
    setup.clock.set_back(Duration::from_secs(86_400));
    pass(58.0).await;
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 2);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_an_event_until_the_session_is_over_and_an_error_then() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    setup.call(&manager).await.unwrap();
    let mut events = manager.events();
    setup
        .sipher
        .fault(Fault::new(What::Status(403)).on(Target::Create).always());
    for _ in 0..54 {
        pass(1.0).await;
        setup.call(&manager).await.unwrap();
    }
    setup.sipher.assert_every_call_had_a_session();
    match events.try_recv() {
        Some(Event::RenewalFailed {
            error, usable_for, ..
        }) => {
            assert_eq!(error.kind(), ErrorKind::Credentials);
            assert!(usable_for > 5 * SECOND);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        setup.creates(),
        2,
        "and tried again no sooner than after 30 s"
    );
    pass(2.0).await;
    let sent = setup.uses().len();
    let error = setup.call(&manager).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Credentials);
    assert_eq!(setup.uses().len(), sent, "nothing is sent");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_once_is_tried_again_in_time() {
    let setup = Setup::new();
    let manager = setup
        .builder()
        .ttl(60 * SECOND)
        .create_timeout(SECOND)
        .build()
        .unwrap();
    setup.call(&manager).await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Status(500)).on(Target::Create).times(2));
    for _ in 0..120 {
        pass(0.5).await;
        setup.call(&manager).await.unwrap();
    }
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn processes_that_start_together_renew_apart() {
    let mut ages = Vec::new();
    for seed in 0..20 {
        let setup = Setup::new();
        let manager = setup.builder().seed(seed).build().unwrap();
        ages.push(manager.session().await.unwrap().renewal_in().as_secs());
    }
    ages.sort_unstable();
    let spread = ages.last().unwrap() - ages.first().unwrap();
    assert!(
        ages.iter().all(|age| (2_700..=2_880).contains(age)),
        "{ages:?}"
    );
    assert!(spread > 90, "{ages:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_renewal_a_session_says_when_the_next_one_begins() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(3_600 * SECOND).build().unwrap();
    let session = manager.session().await.unwrap();
    tokio::time::sleep(session.renewal_in()).await;
    setup
        .sipher
        .fault(Fault::new(What::Status(429)).on(Target::Create).always());
    setup.call(&manager).await.unwrap();
    pass(21.0).await; // the create fails, and holds the next one back for a minute
    let creates = setup.creates();
    let next_in = session.renewal_in();
    assert!((30 * SECOND..60 * SECOND).contains(&next_in), "{next_in:?}");
    tokio::time::sleep(next_in - SECOND).await;
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), creates, "not yet");
    pass(1.1).await;
    assert_eq!(session.renewal_in(), Duration::ZERO);
    setup.call(&manager).await.unwrap();
    pass(0.1).await;
    assert_eq!(setup.creates(), creates + 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_used_no_more_has_no_time_left_and_its_successor_is_due() {
    let setup = Setup::new();
    let manager = setup.manager();
    let session = manager.session().await.unwrap();
    assert!(!session.usable_for().is_zero() && !session.renewal_in().is_zero());
    manager.invalidate(session.generation());
    assert_eq!(session.usable_for(), Duration::ZERO);
    assert_eq!(session.renewal_in(), Duration::ZERO);
}
