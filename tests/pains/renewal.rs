//! When and how a session is replaced before it expires.

use std::{collections::HashSet, time::Duration};

use sipher_session::{
    ErrorKind, Event, Session, SessionManager,
    testing::{Fault, Operation, SessionUse, Target, What},
};
use tokio::{task::JoinSet, time::Instant};
use tower::ServiceExt;

use crate::{
    call_as, plain_failures, signs_of_trouble,
    support::{SECOND, Setup, generate, ours, pass},
    told,
};

const MILLI: Duration = Duration::from_millis(1);

/// Pain 1: a renewal stopped every request while it ran, although the current credential was still good. Users saw this
/// as a spike in their slowest answers.
#[tokio::test(start_paused = true)]
async fn thousands_of_requests_pass_through_a_slow_renewal_and_none_waits() {
    for (slow, sessions) in [(What::DelayAnswer(15 * SECOND), 2), (What::Hang, 1)] {
        let setup = Setup::new();
        let manager = setup.builder().ttl(600 * SECOND).build().unwrap();
        let first = manager.session().await.unwrap();
        tokio::time::sleep(first.renewal_in()).await;
        setup.sipher.fault(Fault::new(slow).on(Target::Create));
        let mut callers = JoinSet::new();
        for _ in 0..190 {
            for _ in 0..20 {
                let call = setup.service(&manager).oneshot(generate());
                callers.spawn(async move {
                    let start = Instant::now();
                    call.await.map(|_| start.elapsed())
                });
            }
            pass(0.1).await;
        }
        for waited in callers.join_all().await {
            assert_eq!(waited.unwrap(), Duration::ZERO);
        }
        assert_eq!(setup.creates(), 2, "the renewal was under way meanwhile");
        let ids = setup.uses().into_iter().map(|exchange| {
            let SessionUse::Live { id, .. } = exchange.session else {
                panic!("{exchange}")
            };
            id
        });
        assert_eq!(ids.collect::<HashSet<_>>().len(), sessions);
        assert_eq!(setup.uses().len(), 190 * 20);
    }
}

/// Pain 2: processes that started together renewed together. The burst brought the server down, and the deployment had to be rolled back.
#[tokio::test(start_paused = true)]
async fn a_fleet_that_started_at_one_instant_renews_spread_over_minutes() {
    let setup = Setup::new();
    let fleet: Vec<_> = (0..200)
        .map(|seed| setup.builder().seed(seed).build().unwrap())
        .collect();
    for manager in &fleet {
        manager.session().await.unwrap();
    }
    let born = setup.sipher.log()[0].at;
    setup.sipher.clear_log();
    pass(2_690.0).await;
    for _ in 2_690..2_885 {
        for manager in &fleet {
            setup.call(manager).await.unwrap();
        }
        pass(1.0).await;
    }
    let log = setup.sipher.log().into_iter();
    let creates = log.filter(|exchange| exchange.operation == Operation::Create);
    let ages: Vec<_> = creates.map(|create| (create.at - born).as_secs()).collect();
    assert_eq!(ages.len(), fleet.len());
    // All of them would renew at 2,880 s without jitter. Jitter only moves a renewal earlier.
    assert!(
        ages.iter().all(|age| (2_700..=2_880).contains(age)),
        "{ages:?}"
    );
    let busiest = ages
        .iter()
        .map(|age| ages.iter().filter(|other| *other == age).count());
    assert!(busiest.max() <= Some(8), "{ages:?}");
}

/// If renewals fail, for whatever reason, the current session serves all requests for as long as it was promised to be usable.
async fn serves_to_the_end(setup: &Setup, manager: &SessionManager, first: &Session, what: What) {
    let name = format!("{what:?}");
    tokio::time::sleep(first.renewal_in()).await;
    let fails = Fault::new(what).on(Target::Create).always();
    setup.sipher.fault(fails);
    // The promise was made before the failure, and must not change after it.
    let over = Instant::now() + first.usable_for();
    while Instant::now() < over {
        let answer = setup.call(manager).await;
        let left = over - Instant::now();
        assert!(answer.is_ok(), "{name}: {answer:?} with {left:?} left");
        let id = setup.last_id();
        assert_eq!(id.as_deref(), Some(first.id().as_str()), "{name}");
        pass(0.9).await;
    }
}

/// Pain 6: a refresh that started early and failed took a credential out of use that was good for minutes.
#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_a_renewal_the_session_is_used_up_to_its_own_end() {
    for what in plain_failures() {
        let name = format!("{what:?}");
        let setup = Setup::new();
        let manager = setup.builder().ttl(600 * SECOND).build().unwrap();
        let first = manager.session().await.unwrap();
        let mut events = manager.events();
        serves_to_the_end(&setup, &manager, &first, what).await;
        let told = told(&mut events);
        let failed = |event: &Event| matches!(event, Event::RenewalFailed { .. });
        assert!(told.iter().any(failed), "{name}: it is told of");
        let sent = setup.uses().len();
        let error = setup.call(&manager).await.unwrap_err();
        assert_ne!(ours(&error).kind(), ErrorKind::Shutdown, "{name}");
        assert_eq!(
            setup.uses().len(),
            sent,
            "{name}: and not one moment longer"
        );
        setup.sipher.assert_every_call_had_a_session();
    }
}

/// Pain 6: the failure is a sign that the server may have lost its sessions as well. But the server answers the
/// question, and says that this session is alive.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_a_sign_of_trouble_costs_no_request_while_the_server_knows_the_session() {
    for what in signs_of_trouble() {
        let setup = Setup::new();
        let manager = setup.builder().ttl(600 * SECOND).build().unwrap();
        let first = manager.session().await.unwrap();
        serves_to_the_end(&setup, &manager, &first, what).await;
    }
}

/// Pain 18: clients went on renewing for tenants that had made no request in days.
#[tokio::test(start_paused = true)]
async fn of_fifty_tenants_only_the_one_that_is_used_is_renewed() {
    let setup = Setup::new();
    let manager = setup.manager();
    for _ in 0..50 {
        let key = setup.sipher.api_key(sipher_session::testing::Tier::Pro);
        call_as(&setup, &manager, &key).await.unwrap();
    }
    setup.call(&manager).await.unwrap();
    for _ in 0..24 * 60 {
        pass(60.0).await;
        setup.call(&manager).await.unwrap();
    }
    let of = |key: &str| {
        let log = setup.sipher.log().into_iter();
        log.filter(|exchange| {
            exchange.operation == Operation::Create && exchange.key.as_deref() == Some(key)
        })
        .count()
    };
    for tenant in 2..=51 {
        assert_eq!(
            of(&format!("pro {tenant}")),
            1,
            "an idle tenant costs its first create"
        );
    }
    let used = of("pro 1");
    assert!(
        (30..=32).contains(&used),
        "a day of 45 to 48 minutes each: {used}"
    );
    assert_eq!(setup.sipher.live_sessions(), 1);
}

/// Pain 28: users had to read the source to learn when exactly a credential is renewed. They set alarms on a window
/// that was wider than they believed.
#[tokio::test(start_paused = true)]
async fn a_renewal_starts_at_the_published_moment_and_an_id_ends_at_the_published_moment() {
    for (seed, ttl) in [60, 61, 75, 100, 600, 3_600, 86_400]
        .into_iter()
        .enumerate()
    {
        let setup = Setup::new();
        let manager = setup
            .builder()
            .ttl(ttl * SECOND)
            .seed(seed as u64)
            .build()
            .unwrap();
        let session = manager.session().await.unwrap();
        let total = Duration::from_secs(u64::from(ttl));
        // The formula of the crate's documentation.
        let soft = total.mul_f64(0.20).clamp(10 * SECOND, 900 * SECOND);
        let (latest, earliest) = (soft.min(total / 2), soft.mul_f64(1.25).min(total / 2));
        let hard = total.mul_f64(0.03).clamp(5 * SECOND, 60 * SECOND);
        let renewal_in = session.renewal_in();
        assert!(
            (total - earliest..=total - latest).contains(&renewal_in),
            "{ttl}: {renewal_in:?}"
        );
        assert_eq!(session.usable_for(), total - hard, "{ttl}");

        // The first value holds, however often one asks, because the jitter is drawn only once.
        tokio::time::sleep(renewal_in - MILLI).await;
        for _ in 0..100 {
            setup.call(&manager).await.unwrap();
        }
        // After this idle time, the manager asks for the session first. No renewal begins before the answer.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(session.renewal_in() <= MILLI, "{ttl}");
        assert_eq!(setup.creates(), 1, "{ttl}: not a moment before");
        setup
            .sipher
            .fault(Fault::new(What::Status(400)).on(Target::Create).always());
        tokio::time::sleep(2 * MILLI).await;
        setup.call(&manager).await.unwrap();
        // The manager has just asked for the session, because of the idle time. Two calls keep their distance.
        pass(0.25).await;
        assert_eq!(setup.creates(), 2, "{ttl}: nor after");

        tokio::time::sleep(session.usable_for() - MILLI).await;
        setup.call(&manager).await.unwrap();
        assert_eq!(setup.last_id().as_deref(), Some(session.id().as_str()));
        tokio::time::sleep(2 * MILLI).await;
        setup.call(&manager).await.unwrap_err();
        setup.sipher.assert_every_call_had_a_session();
    }
}
