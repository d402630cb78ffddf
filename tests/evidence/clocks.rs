use std::time::Duration;

use sipher_session::{
    SessionDefaults,
    testing::{Fault, SessionUse, Target, What},
};
use tower::ServiceExt;

use crate::support::{Setup, generate, pass};

fn wrong(setup: &Setup) -> usize {
    let uses = setup.uses();
    uses.iter()
        .filter(|it| {
            it.path.starts_with("/v1/stealth") && !matches!(it.session, SessionUse::Live { .. })
        })
        .count()
}

/// A process that stood still, by either clock, does not go on with what it knew.
#[tokio::test(start_paused = true)]
async fn a_restart_while_the_process_was_frozen_or_the_machine_slept_costs_no_request() {
    let freeze: [fn(&Setup); 2] = [
        |setup| setup.clock.suspend(Duration::from_secs(70)),
        |setup| setup.clock.set_back(Duration::from_secs(70)),
    ];
    for (number, freeze) in freeze.into_iter().enumerate() {
        let setup = Setup::new();
        let sessions = setup.manager();
        setup.call(&sessions).await.unwrap();
        setup.sipher.restart();
        freeze(&setup);
        // With the wall clock set back, it is the other one that goes on.
        pass(if number == 0 { 0.5 } else { 70.0 }).await;
        setup.call(&sessions).await.unwrap();
        assert_eq!(wrong(&setup), 0, "{number}");
    }
}

/// The server's clock steps, so that it takes sessions for expired, or a restart for older than they are.
#[tokio::test(start_paused = true)]
async fn a_server_whose_clock_steps_costs_no_more_than_a_few_requests() {
    let setup = Setup::new();
    let sessions = setup
        .builder()
        .ttl(Duration::from_secs(3600))
        .build()
        .unwrap();
    setup.call(&sessions).await.unwrap();
    setup.sipher.clock().suspend(Duration::from_secs(50 * 60));
    for _ in 0..3_000 {
        setup.call(&sessions).await.unwrap();
        pass(1.0).await;
    }
    assert!(wrong(&setup) <= 10, "forward: {}", wrong(&setup));

    let setup = Setup::new();
    let sessions = setup.manager();
    setup.call(&sessions).await.unwrap();
    pass(5.0).await;
    setup.sipher.clock().set_back(Duration::from_secs(50 * 60));
    setup.sipher.restart();
    for _ in 0..100 {
        setup.call(&sessions).await.unwrap();
        pass(1.0).await;
    }
    assert!(wrong(&setup) <= 2, "back: {}", wrong(&setup));
}

/// A session that was asked for after the server's clock had been set back is known by the clock as it is now. What it says is younger
/// than the session itself would hide a restart, where health says nothing before that.
#[tokio::test(start_paused = true)]
async fn a_restart_is_seen_on_a_clock_that_was_set_back_in_the_life_of_the_session() {
    let setup = Setup::new();
    let sessions = setup.manager();
    setup.silence_health();
    setup.call(&sessions).await.unwrap();
    setup.sipher.clock().set_back(Duration::from_secs(50 * 60));
    pass(5.0).await;
    // Its create says what time it is.
    let mut other = generate();
    other.extensions_mut().insert(SessionDefaults::new());
    setup.service(&sessions).oneshot(other).await.unwrap();
    pass(5.0).await;
    let sign = Fault::new(What::Status(502)).on(Target::Calls);
    setup.sipher.fault(sign);
    setup.call(&sessions).await.unwrap();
    setup.call(&sessions).await.unwrap();
    assert!(
        setup.gets() > 0 && setup.creates() == 2,
        "it is still there"
    );

    setup.sipher.clear_faults();
    setup.sipher.restart();
    pass(70.0).await;
    setup.call(&sessions).await.unwrap();
    assert_eq!((wrong(&setup), setup.creates()), (0, 3));
}

/// While its clocks leave it open whether the server is the one of before, a session goes on in doubt. That is no proof: once it is
/// found to be lost, all requests count that were given it since something last proved it.
#[tokio::test(start_paused = true)]
async fn requests_that_went_on_in_doubt_are_counted_when_their_session_is_found_to_be_lost() {
    let setup = Setup::new();
    let sessions = setup.manager();
    let mut events = sessions.events();
    setup.call(&sessions).await.unwrap();
    pass(10.0).await;
    let silent = Fault::new(What::NoUptime).on(Target::Health);
    setup.sipher.fault(silent.always());
    setup
        .sipher
        .fault(Fault::new(What::Refuse).on(Target::Calls));
    setup.call(&sessions).await.unwrap_err();
    // It is asked for by itself, and is there.
    setup.call(&sessions).await.unwrap();
    assert_eq!((setup.gets(), wrong(&setup)), (1, 0));
    setup.sipher.clear_faults();
    setup.sipher.restart();
    setup.sipher.clock().set_back(Duration::from_secs(3600));
    // Each time the windows of before have ended, and the server is asked.
    for _ in 0..2 {
        pass(61.0).await;
        for _ in 0..10 {
            setup.call(&sessions).await.unwrap();
            pass(1.0).await;
        }
    }
    let before = wrong(&setup);
    assert!(before > 0, "nothing to be counted");
    // Where it would have expired by now.
    setup
        .sipher
        .clock()
        .suspend(Duration::from_secs(2 * 3600 + 1800));
    pass(61.0).await;
    setup.call(&sessions).await.unwrap();
    let lost = std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
        sipher_session::Event::Lost { requests, .. } => Some(requests),
        _ => None,
    });
    assert!(lost >= Some(before as u64), "{lost:?} of {before}");
}
