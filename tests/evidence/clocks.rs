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

/// A process that stood still, by either clock, does not trust its older evidence.
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
        // If the wall clock was set back, the monotonic clock still shows the pause.
        pass(if number == 0 { 0.5 } else { 70.0 }).await;
        setup.call(&sessions).await.unwrap();
        assert_eq!(wrong(&setup), 0, "{number}");
    }
}

/// The server's clock steps. So the server takes sessions for expired, or a restart seems older than it is.
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

/// The server's clock was set back, and then the server knew a session when it was asked for. From then on, the
/// session's age follows the new clock. An answer that is younger than the session by the old clock would hide a
/// restart, if health says nothing before.
#[tokio::test(start_paused = true)]
async fn a_restart_is_seen_on_a_clock_that_was_set_back_in_the_life_of_the_session() {
    let setup = Setup::new();
    let sessions = setup.manager();
    setup.silence_health();
    setup.call(&sessions).await.unwrap();
    setup.sipher.clock().set_back(Duration::from_secs(50 * 60));
    pass(5.0).await;
    // The answer to this create shows the server's new time.
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

/// The server's clocks do not show whether a restart happened. So requests still use the session, and nothing proves
/// that it is alive. When it turns out to be lost, `Event::Lost` counts all requests since the last proof.
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
    // The session itself is asked for, and the server has it.
    setup.call(&sessions).await.unwrap();
    assert_eq!((setup.gets(), wrong(&setup)), (1, 0));
    setup.sipher.clear_faults();
    setup.sipher.restart();
    setup.sipher.clock().set_back(Duration::from_secs(3600));
    // Each time, the older windows have ended, so the server is asked.
    for _ in 0..2 {
        pass(61.0).await;
        for _ in 0..10 {
            setup.call(&sessions).await.unwrap();
            pass(1.0).await;
        }
    }
    let before = wrong(&setup);
    assert!(before > 0, "nothing to be counted");
    // By this time, the session would have expired.
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
