//! Sessions that died without a notice.

use std::time::Duration;

use sipher_session::{
    Chain, Event, OnNoSession, SessionDefaults, SessionId, SessionsApi,
    api::Transport,
    testing::{FakeSipher, Fault, Operation, Target, Tier, What},
};

use crate::{
    call_as, failures,
    support::{SECOND, Setup, pass},
    told,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Pain 12: a laptop slept, and its monotonic clock stopped. After waking, it sent the dead credential as if no time
/// had passed.
#[tokio::test(start_paused = true)]
async fn however_long_a_machine_sleeps_at_whatever_age_no_dead_id_is_sent() {
    for age in (0..=60).step_by(4) {
        for asleep in (0..=120).step_by(5).chain([3_600, 86_400]) {
            let setup = Setup::new();
            let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
            setup.call(&manager).await.unwrap();
            pass(f64::from(age)).await;
            setup.clock.suspend(asleep * SECOND);
            setup.sipher.clock().suspend(asleep * SECOND);
            for _ in 0..3 {
                setup.call(&manager).await.unwrap();
                pass(1.0).await;
            }
            setup.sipher.assert_every_call_had_a_session();
            let needed = age + asleep >= 55;
            assert!(!needed || setup.creates() >= 2, "{age} {asleep}");
        }
    }
}

/// Pain 12: work that was in flight while the machine slept counted as fresh when it woke.
#[tokio::test(start_paused = true)]
async fn a_session_that_aged_on_its_way_through_the_sleep_is_not_used() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::DelayAnswer(2 * SECOND)).on(Target::Create));
    let manager = setup.manager();
    let (answer, ()) = tokio::join!(setup.call(&manager), async {
        pass(1.0).await;
        setup.clock.suspend(3_600 * SECOND);
        setup.sipher.clock().suspend(3_600 * SECOND);
    });
    answer.unwrap();
    assert_eq!(setup.creates(), 2);
    setup.sipher.assert_every_call_had_a_session();
}

/// Pain 12: a wait that had begun before the sleep started again after it.
#[tokio::test(start_paused = true)]
async fn a_back_off_goes_by_while_the_machine_sleeps() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::Status(400)).on(Target::Create));
    let manager = setup.manager();
    setup.call(&manager).await.unwrap_err();
    setup.clock.suspend(59 * SECOND);
    setup.call(&manager).await.unwrap_err();
    assert_eq!(setup.creates(), 1);
    setup.clock.suspend(2 * SECOND);
    setup.call(&manager).await.unwrap();
}

/// Pain 13: a clock was wrong by more than the life of a token. Tokens looked expired at birth and were fetched in a
/// loop, or looked valid forever and were sent long after they had died.
#[tokio::test(start_paused = true)]
async fn clocks_that_are_days_apart_either_way_cost_no_call_and_send_no_dead_id() {
    let mut creates = Vec::new();
    for (server, client) in [
        (0, 0),
        (3, 0),
        (-3, 0),
        (0, 3),
        (0, -3),
        (400, -400),
        (-400, 400),
    ] {
        let setup = Setup::new();
        for (clock, days) in [
            (setup.sipher.clock(), server),
            (setup.clock.clone(), client),
        ] {
            let by = DAY * i32::unsigned_abs(days);
            if days < 0 {
                clock.set_back(by);
            } else {
                clock.suspend(by);
            }
        }
        let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
        for _ in 0..3_600 {
            setup.call(&manager).await.unwrap();
            pass(1.0).await;
        }
        setup.sipher.assert_every_call_had_a_session();
        creates.push(setup.creates());
    }
    assert!(
        creates.iter().all(|count| *count == creates[0]),
        "{creates:?}"
    );
    assert!((75..=80).contains(&creates[0]), "{creates:?}");
}

/// Pain 13: if a wall clock is corrected in the middle of a life, that prolongs nothing, whichever way the clock was
/// wrong.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_in_the_middle_of_a_life_sends_no_dead_id() {
    for turn in [-400, -3, -1, 1, 3, 400] {
        let setup = Setup::new();
        let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
        for second in 0..600 {
            if second % 37 == 20 {
                let by = DAY * i32::unsigned_abs(turn);
                if turn < 0 {
                    setup.clock.set_back(by);
                } else {
                    setup.clock.suspend(by);
                }
            }
            setup.call(&manager).await.unwrap();
            pass(1.0).await;
        }
        setup.sipher.assert_every_call_had_a_session();
        // At most one more create for each of the sixteen steps of the clock.
        assert!(setup.creates() <= 14 + 16, "{turn}: {}", setup.creates());
    }
}

/// Pain 14: a restarted server had forgotten every session. Clients went on with the dead ids for the rest of their
/// lives.
#[tokio::test(start_paused = true)]
async fn of_thirty_restarts_that_a_request_met_none_costs_a_later_request_its_defaults() {
    let setup = Setup::new();
    let manager = setup.manager();
    let keys: Vec<_> = (0..5).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
    let signs = [
        What::Refuse,
        What::Status(502),
        What::Status(503),
        What::Html(504),
        What::Status(410),
    ];
    for key in &keys {
        call_as(&setup, &manager, key).await.unwrap();
    }
    let mut events = manager.events();
    for restart in 0..30 {
        // The time is so short that no request waits for a health call before the restart.
        pass(30.0).await;
        let sign = signs[restart % signs.len()].clone();
        setup.sipher.fault(Fault::new(sign).on(Target::Calls));
        setup.sipher.restart();
        pass(2.0).await;
        // The restart may affect only the first request after it.
        drop(call_as(&setup, &manager, &keys[restart % keys.len()]).await);
        setup.sipher.clear_log();
        for key in &keys {
            call_as(&setup, &manager, key).await.unwrap();
            assert_eq!(setup.last_chain().as_deref(), Some("near"));
        }
        setup.sipher.assert_every_call_had_a_session();
        let calls =
            [Operation::Get, Operation::Create].map(|operation| setup.sipher.count(operation));
        assert_eq!(
            calls,
            [0, 5],
            "one free question, and each is made anew once"
        );
        assert!((1..=3).contains(&setup.questions()), "and those of hints");
        let lost = told(&mut events)
            .into_iter()
            .filter(|event| matches!(event, Event::Lost { .. }));
        assert_eq!(lost.count(), 5);
    }
}

/// Pain 14: a session that the server had evicted left no trace. Only asking finds the loss.
#[tokio::test(start_paused = true)]
async fn a_session_that_the_server_dropped_silently_is_found_by_asking() {
    let setup = Setup::new();
    let manager = setup.builder().verify_every(30 * SECOND).build().unwrap();
    let mut events = manager.events();
    let first = manager.session().await.unwrap();
    pass(10.0).await;
    setup.sipher.evict(first.id().as_str());
    let mut downgraded = 0;
    for _ in 0..60 {
        setup.call(&manager).await.unwrap();
        downgraded += u64::from(setup.last_id().is_none());
        pass(1.0).await;
    }
    assert!((15..=25).contains(&downgraded), "{downgraded}");
    let told = told(&mut events).into_iter().find_map(|event| match event {
        Event::Lost {
            session,
            requests,
            unknown_for,
            ..
        } => Some((session.generation, requests, unknown_for)),
        _ => None,
    });
    let (generation, requests, unknown_for) = told.expect("it is told of");
    assert_eq!(generation, first.generation());
    assert!(
        requests >= downgraded,
        "all that may have gone without are in the count: {requests}"
    );
    assert!(unknown_for <= 31 * SECOND);
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
}

/// Pain 15: servers and clients recovered from an unknown session by giving the request another meaning, and nobody
/// noticed. Here, nothing is sent without a session unless the owner chose that.
#[tokio::test(start_paused = true)]
async fn without_a_session_nothing_is_sent_whatever_the_reason() {
    for what in failures() {
        let name = format!("{what:?}");
        let setup = Setup::new();
        setup
            .sipher
            .fault(Fault::new(what.clone()).on(Target::Create).always());
        let manager = setup.manager();
        for _ in 0..30 {
            setup.call(&manager).await.unwrap_err();
            pass(7.0).await;
        }
        assert!(setup.uses().is_empty(), "{name}");
        assert_eq!(manager.stats().sent_without, 0, "{name}");

        let setup = Setup::new();
        setup
            .sipher
            .fault(Fault::new(what).on(Target::Create).always());
        let manager = setup
            .builder()
            .on_no_session(OnNoSession::SendWithout)
            .build()
            .unwrap();
        let mut events = manager.events();
        for _ in 0..5 {
            setup.call(&manager).await.unwrap();
        }
        assert_eq!(
            manager.stats().sent_without,
            5,
            "{name}: by choice, and counted"
        );
        let without = told(&mut events)
            .into_iter()
            .filter(|event| matches!(event, Event::SendingWithout { .. }));
        assert_eq!(without.count(), 1, "{name}");
    }
}

/// Pain 15: a server ignores values that it does not know, and answers 200. The crate checks the answer.
#[tokio::test(start_paused = true)]
async fn a_session_that_means_something_else_than_was_asked_for_is_never_used() {
    for what in [What::EchoWrong, What::DropDefault("chain".into())] {
        let setup = Setup::new();
        setup
            .sipher
            .fault(Fault::new(what).on(Target::Create).times(3));
        let manager = setup.manager();
        for _ in 0..200 {
            drop(setup.call(&manager).await);
            pass(1.0).await;
        }
        assert_eq!(setup.creates(), 4);
        let uses = setup.uses();
        assert!(
            !uses.is_empty()
                && uses
                    .iter()
                    .all(|exchange| exchange.chain.as_deref() == Some("near"))
        );
        assert_eq!(
            setup.sipher.live_sessions(),
            1,
            "the wrong ones are deleted"
        );
    }
}

/// Pain 15: defaults that another client changed on the server give the request another meaning as well.
#[tokio::test(start_paused = true)]
async fn a_session_whose_defaults_were_changed_elsewhere_is_told_of_and_replaced() {
    let setup = Setup::new();
    let manager = setup.builder().verify_every(30 * SECOND).build().unwrap();
    setup.call(&manager).await.unwrap();
    let id = SessionId::parse(&setup.last_id().unwrap()).unwrap();
    let mut events = manager.events();
    let stranger = SessionsApi::new(
        Transport::new(setup.sipher.clone()),
        FakeSipher::base_url(),
        setup.key.as_str(),
    );
    let base = SessionDefaults::new().chain(Chain::Base);
    stranger.unwrap().update_session(&id, &base).await.unwrap();
    pass(31.0).await;
    for chain in ["base", "near"] {
        setup.call(&manager).await.unwrap();
        assert_eq!(setup.last_chain().as_deref(), Some(chain));
        pass(1.0).await;
    }
    // The request before the change is counted too, because nobody knows when the change was made.
    let lost = |event: &Event| matches!(event, Event::Lost { requests: 2, .. });
    assert!(told(&mut events).iter().any(lost));
    assert!(!setup.sipher.is_live(id.as_str()));
}
