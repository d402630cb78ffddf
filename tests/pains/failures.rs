//! The cost of a server in trouble: no more calls than promised, and no final failure.

use std::{collections::HashMap, time::Duration};

use sipher_session::{
    CallBudget, Event, SessionManager,
    testing::{Exchange, Fault, Operation, Target, Tier, What},
};
use tokio::time::{Instant, timeout};

use crate::{
    call_as, failures,
    support::{SECOND, Setup, pass},
    told,
};

/// The shortest time between two session calls of one partition.
const FLOOR: Duration = Duration::from_millis(200);

fn session_calls(setup: &Setup) -> Vec<Exchange> {
    let log = setup.sipher.log().into_iter();
    log.filter(|exchange| exchange.operation != Operation::Other)
        .collect()
}

/// Asserts that no span of time has more calls than the published formula allows, and that calls of one key keep their distance.
fn assert_paced(setup: &Setup, name: &str) {
    let calls = session_calls(setup);
    let mut last: HashMap<Option<String>, Duration> = HashMap::new();
    for call in &calls {
        if let Some(before) = last.insert(call.key.clone(), call.at) {
            assert!(
                call.at - before >= FLOOR,
                "{name}: {:?} after {before:?}",
                call.at
            );
        }
    }
    let budget = CallBudget::default();
    for (i, start) in calls.iter().enumerate().step_by(5) {
        // Checks spans of a few minutes, and the whole time from the first call.
        let most = if i == 0 { calls.len() } else { 400 };
        for (j, end) in calls.iter().enumerate().skip(i).take(most) {
            let (count, span) = ((j - i + 1) as u64, end.at - start.at);
            assert!(count <= budget.bound(span), "{name}: {count} in {span:?}");
        }
    }
}

/// Pain 5: a create whose answer was lost left an unknown session on the server, and nothing reported it.
#[tokio::test(start_paused = true)]
async fn every_session_that_a_lost_answer_leaves_behind_is_counted_and_told_of() {
    for (what, certain) in [
        (What::LoseAnswer, true),
        (What::HangAnswer, true),
        (What::HalfBody, true),
        (What::DelayAnswer(3_600 * SECOND), true),
        (What::LoseRequest, false),
        (What::Malformed, false),
    ] {
        let name = format!("{what:?}");
        let setup = Setup::new();
        let manager = setup.manager();
        let mut events = manager.events();
        setup
            .sipher
            .fault(Fault::new(what).on(Target::Create).times(3));
        while setup.call(&manager).await.is_err() {
            pass(1.0).await;
        }
        let orphans = told(&mut events)
            .into_iter()
            .filter(|event| matches!(event, Event::PossibleOrphan { .. }));
        assert_eq!(orphans.count(), 3, "{name}");
        assert_eq!(manager.stats().possible_orphans, 3, "{name}");
        assert_eq!(setup.creates(), 4, "{name}: no try was made twice");
        assert_paced(&setup, &name);
        let report = manager.shutdown(5 * SECOND).await;
        assert_eq!((report.deleted, report.possible_orphans), (1, 3), "{name}");
        assert!(!report.is_clean(), "{name}");
        assert_eq!(
            setup.sipher.live_sessions(),
            if certain { 3 } else { 0 },
            "{name}"
        );
        pass(3_600.0).await;
        assert_eq!(setup.sipher.live_sessions(), 0, "{name}: for one TTL");
    }
}

/// Pain 5: a caller that gave up aborted the create half-way, and its outcome was lost.
#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_no_orphan() {
    for patience in (0..60).map(|tenths| Duration::from_millis(100) * tenths) {
        let setup = Setup::new();
        setup
            .sipher
            .fault(Fault::new(What::DelayAnswer(5 * SECOND)).on(Target::Create));
        let manager = setup.manager();
        drop(timeout(patience, setup.call(&manager)).await);
        pass(6.0).await;
        let report = manager.shutdown(5 * SECOND).await;
        assert_eq!(
            (report.deleted, report.possible_orphans),
            (1, 0),
            "{patience:?}"
        );
        assert_eq!(setup.sipher.live_sessions(), 0, "{patience:?}");
    }
}

/// Pain 7: one error that was mistaken for a final one ended renewal for the life of the process.
#[tokio::test(start_paused = true)]
async fn after_hours_of_any_failure_requests_go_out_again_by_themselves() {
    for what in failures() {
        for warm in [false, true] {
            let name = format!(
                "{what:?}, {}",
                if warm {
                    "at a renewal"
                } else {
                    "from the start"
                }
            );
            let setup = Setup::new();
            let manager = setup.builder().ttl(600 * SECOND).build().unwrap();
            if warm {
                setup.call(&manager).await.unwrap();
            }
            setup
                .sipher
                .fault(Fault::new(what.clone()).on(Target::Create).always());
            let start = Instant::now();
            while start.elapsed() < 3 * 3_600 * SECOND {
                drop(setup.call(&manager).await);
                pass(20.0).await;
            }
            assert!(setup.creates() > 10, "{name}: it was tried now and then");
            setup.sipher.clear_faults();
            let start = Instant::now();
            while setup.call(&manager).await.is_err() {
                assert!(start.elapsed() < 15 * 60 * SECOND, "{name}");
                pass(10.0).await;
            }
            setup.sipher.assert_every_call_had_a_session();
        }
    }
}

/// Pain 8: while the server failed, clients called as fast as they could. One made hundreds of calls a second. Others
/// got their address blocked.
#[tokio::test(start_paused = true)]
async fn a_hundred_tenants_under_any_failure_keep_the_published_bound_and_the_floor() {
    for what in failures() {
        let name = format!("{what:?}");
        let setup = Setup::new();
        setup
            .sipher
            .fault(Fault::new(what).on(Target::SessionCalls).always());
        hammer(&setup, &setup.manager(), 150, |_| None).await;
        assert_paced(&setup, &name);
        assert!(!session_calls(&setup).is_empty(), "{name}");
    }
}

/// Pain 8: failures come and go over hours, with successes between them, and sessions are thrown away.
#[tokio::test(start_paused = true)]
async fn hours_of_changing_failures_keep_the_published_bound_and_the_floor() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    let kinds = failures();
    hammer(&setup, &manager, 2 * 3_600, |random| {
        (random.u8(..) < 40).then(|| {
            let what = kinds[random.usize(..kinds.len())].clone();
            Fault::new(what)
                .on(Target::SessionCalls)
                .times(random.usize(1..20))
        })
    })
    .await;
    assert!(session_calls(&setup).len() > 2_500, "it was busy");
    assert_paced(&setup, "hours");
    setup.sipher.assert_no_dead_id();
}

/// Sends ten requests a second from a hundred tenants. No request waits for the end of the one before.
async fn hammer(
    setup: &Setup,
    manager: &SessionManager,
    seconds: u32,
    trouble: impl Fn(&mut fastrand::Rng) -> Option<Fault>,
) {
    let mut random = fastrand::Rng::with_seed(8);
    let keys: Vec<_> = (0..100).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
    let start = Instant::now();
    let mut made = 0;
    while start.elapsed() < seconds * SECOND {
        for _ in 0..5 {
            let key = random.choice(&keys).unwrap();
            drop(timeout(Duration::from_millis(10), call_as(setup, manager, key)).await);
        }
        if let Some(fault) = trouble(&mut random) {
            setup.sipher.clear_faults();
            setup.sipher.fault(fault);
        }
        if random.u8(..) < 50 {
            let created = manager.stats().created;
            manager.invalidate(random.u64(made..=created + 1));
            made = created;
        }
        pass(0.45).await;
    }
}

/// Pain 8: a lease that was shorter than its renewal margin was renewed without a pause.
#[tokio::test(start_paused = true)]
async fn short_lives_are_not_renewed_in_a_loop() {
    // A life of 30 s is renewed after 17.5 s at the earliest. A shorter life counts as a wrong answer, which holds for a minute.
    for (life, most) in [
        (30, 7_200 * 10 / 175 + 1),
        (29, 7_200 / 60 + 1),
        (0, 7_200 / 60 + 1),
    ] {
        let setup = Setup::new();
        let granted = What::ShortLife(Duration::from_secs(life));
        setup
            .sipher
            .fault(Fault::new(granted).on(Target::Create).always());
        let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
        for _ in 0..2 * 7_200 {
            drop(setup.call(&manager).await);
            pass(0.5).await;
        }
        assert!(
            (100..=most).contains(&setup.creates()),
            "{life} s: {}",
            setup.creates()
        );
        assert_paced(&setup, "short");
        setup.sipher.assert_no_dead_id();
    }
}

/// Pain 9: retries went on during a ban and prolonged it. Clients did not read when the server allowed the next call.
#[tokio::test(start_paused = true)]
async fn no_session_call_of_anybodys_comes_before_the_server_said() {
    let limited = |retry_after| What::RateLimited {
        retry_after,
        in_body: false,
    };
    let in_body =
        r#"{"error":{"code":"RATE_LIMIT_EXCEEDED","message":"m","details":{"retryAfter":85}}}"#;
    let in_body = What::Answer {
        status: 429,
        headers: Vec::new(),
        body: in_body.into(),
    };
    for (limited, seconds) in [(limited(Some(40)), 40), (limited(None), 60), (in_body, 85)] {
        let setup = Setup::new();
        let manager = setup.manager();
        let first = manager.session().await.unwrap();
        let keys: Vec<_> = (0..10).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
        setup
            .sipher
            .fault(Fault::new(limited).on(Target::SessionCalls));
        drop(timeout(SECOND, call_as(&setup, &manager, &keys[0])).await);
        // A delete is due as well. It must not prolong the ban.
        manager.invalidate(first.generation());
        setup.sipher.clear_log();
        let banned = Instant::now();
        while banned.elapsed() < (seconds - 2) * SECOND {
            for key in &keys {
                drop(timeout(Duration::from_millis(10), call_as(&setup, &manager, key)).await);
            }
            assert_eq!(
                setup.sipher.session_calls(),
                0,
                "{:?} of {seconds} s",
                banned.elapsed()
            );
            pass(0.5).await;
        }
        pass(4.0).await;
        for key in &keys {
            call_as(&setup, &manager, key).await.unwrap();
        }
        pass(2.0).await;
        assert!(
            !setup.sipher.is_live(first.id().as_str()),
            "the delete was not forgotten"
        );
    }
}

/// Pain 9: the hint was in the body, and no client read it. Also, the empty quota of one key must not affect another key.
#[tokio::test(start_paused = true)]
async fn a_used_up_quota_is_probed_rarely_and_holds_back_its_own_key_alone() {
    let setup = Setup::new();
    let manager = setup.manager();
    let other = setup.sipher.api_key(Tier::Pro);
    setup.sipher.burn(&setup.key, 2_000);
    for _ in 0..3_600 {
        drop(setup.call(&manager).await);
        call_as(&setup, &manager, &other).await.unwrap();
        pass(1.0).await;
    }
    let own = session_calls(&setup)
        .into_iter()
        .filter(|call| call.key.as_deref() == Some("pro 1"));
    assert_eq!(own.count(), 4, "every quarter of an hour");
    setup.sipher.assert_every_call_had_a_session();
}
