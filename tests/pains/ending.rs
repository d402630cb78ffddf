//! How sessions and tasks end.

use std::time::Duration;

use sipher_session::{
    Chain, Event, Fate, SessionDefaults,
    testing::{Fault, Operation, Target, Tier, What},
};
use tokio::{
    runtime::Handle,
    task::{JoinSet, yield_now},
    time::{Instant, timeout},
};
use tower::ServiceExt;

use crate::{
    as_tenant, call_as,
    support::{SECOND, Setup, generate, pass},
    told,
};

/// Pain 16: a close returned before its deletes were made, or hung forever in one of them, or left sessions behind without reporting it.
#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_by_its_deadline_and_says_what_became_of_every_session() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut gone = Vec::new();
    for tenant in 0..40 {
        let key = setup.sipher.api_key(Tier::Pro);
        call_as(&setup, &manager, &key).await.unwrap();
        if tenant % 8 == 0 {
            gone.push(setup.last_id().unwrap());
        }
    }
    pass(60.0).await;
    for id in gone {
        setup.sipher.evict(&id);
    }
    for (what, times) in [(What::Hang, 6), (What::Status(500), 7)] {
        setup
            .sipher
            .fault(Fault::new(what).on(Target::Delete).times(times));
    }
    let start = Instant::now();
    let report = manager.shutdown(4 * SECOND).await;
    assert!(start.elapsed() <= 4 * SECOND, "{:?}", start.elapsed());
    let still_there = setup.sipher.live_sessions();
    pass(600.0).await;
    assert_eq!(
        setup.sipher.live_sessions(),
        still_there,
        "what it says at its return is all"
    );
    assert!(!report.is_clean());
    assert_eq!(report.sessions.len(), 40);
    assert_eq!(
        report.deleted + report.already_gone + report.left_to_expire + report.failed,
        40,
        "{report}"
    );
    assert!(
        report.left_to_expire + report.failed >= still_there,
        "{report}"
    );
    assert!(report.deleted >= 20 && still_there >= 1, "{report}");
    let failed = report.sessions.iter().filter_map(|end| match &end.fate {
        Fate::Failed { error, .. } => error.status(),
        _ => None,
    });
    assert!(failed.clone().count() > 0 && failed.into_iter().all(|status| status == 500));
}

/// Pain 16: a client that is dropped without a shutdown leaves its sessions on the server. The manager reports how many.
#[tokio::test(start_paused = true)]
async fn a_manager_that_is_dropped_says_how_many_sessions_it_leaves() {
    let setup = Setup::new();
    let manager = setup.manager();
    for _ in 0..7 {
        let key = setup.sipher.api_key(Tier::Pro);
        call_as(&setup, &manager, &key).await.unwrap();
    }
    let mut events = manager.events();
    drop(manager);
    let abandoned = told(&mut events).into_iter().find_map(|event| match event {
        Event::Abandoned {
            left_to_expire,
            possible_orphans,
            ..
        } => Some((left_to_expire, possible_orphans)),
        _ => None,
    });
    assert_eq!(abandoned, Some((7, 0)));
    pass(3_601.0).await;
    assert_eq!((setup.deletes(), setup.sipher.live_sessions()), (0, 0));
}

/// Pain 17: every client that was dropped left a task behind, which went on renewing.
#[tokio::test(start_paused = true)]
async fn a_thousand_managers_dropped_at_any_moment_leave_no_task_and_make_no_call() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let mut random = fastrand::Rng::with_seed(17);
    for moment in 0..1_000 {
        let setup = Setup::new();
        setup
            .sipher
            .set_latency(Duration::from_millis(random.u64(0..2_000)));
        let manager = setup
            .builder()
            .ttl(60 * SECOND)
            .verify_every(10 * SECOND)
            .build()
            .unwrap();
        // By then, a create, a renewal, a check or a delete may be in flight.
        for _ in 0..random.u8(0..4) {
            drop(
                timeout(
                    Duration::from_millis(random.u64(0..3_000)),
                    setup.call(&manager),
                )
                .await,
            );
            if random.bool() {
                manager.invalidate(random.u64(1..4));
            }
            tokio::time::sleep(Duration::from_secs(random.u64(0..50))).await;
        }
        drop(
            timeout(
                Duration::from_millis(random.u64(0..1_000)),
                setup.call(&manager),
            )
            .await,
        );
        drop(manager);
        let calls = setup.sipher.session_calls();
        // The tasks end at once, and not when their next timer fires.
        let before = Instant::now();
        yield_now().await;
        yield_now().await;
        assert_eq!(
            (tasks(), before.elapsed()),
            (0, Duration::ZERO),
            "moment {moment}"
        );
        pass(3_600.0).await;
        assert_eq!(setup.sipher.session_calls(), calls, "moment {moment}");
    }
}

/// Pain 17: a manager that lives on keeps no task for finished work either.
#[tokio::test(start_paused = true)]
async fn a_manager_at_rest_has_no_task() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    for _ in 0..20 {
        let key = setup.sipher.api_key(Tier::Pro);
        call_as(&setup, &manager, &key).await.unwrap();
    }
    for generation in 1..=10 {
        manager.invalidate(generation);
    }
    pass(120.0).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    assert_eq!(setup.deletes(), 10);
}

/// Pain 23: the old credential was ended as soon as the new one existed, while requests in flight still used it. Sipher
/// would answer such requests under its own defaults.
#[tokio::test(start_paused = true)]
async fn a_predecessor_lives_until_the_last_request_that_bears_it_has_its_answer() {
    for change in ["renewal", "defaults", "key", "invalidation", "deletion"] {
        let setup = Setup::new();
        let manager = setup.manager();
        let first = manager.session().await.unwrap();
        let id = first.id().as_str();
        tokio::time::sleep(first.renewal_in().saturating_sub(SECOND)).await;
        // The server looks up a session only when the whole body has arrived, here after up to 40 s.
        let mut slow = JoinSet::new();
        for seconds in 1..=40 {
            setup
                .sipher
                .fault(Fault::new(What::Delay(seconds * SECOND)).on(Target::Calls));
            slow.spawn(setup.service(&manager).oneshot(generate()));
            yield_now().await;
        }
        match change {
            "renewal" => {
                pass(1.0).await;
                setup.call(&manager).await.unwrap();
            }
            "defaults" => manager
                .update_defaults(SessionDefaults::new().chain(Chain::Sui))
                .await
                .unwrap(),
            "key" => {
                let key = setup.sipher.api_key(Tier::Pro);
                manager.set_api_key(key.as_str()).await.unwrap();
            }
            "invalidation" => assert!(manager.invalidate(1)),
            _ => {
                let other = SessionDefaults::new().chain(Chain::Base);
                let by_layer = manager.session().await.unwrap();
                assert_eq!(by_layer.generation(), 1);
                let mut request = as_tenant(&setup.key);
                request.extensions_mut().insert(other);
                setup.service(&manager).oneshot(request).await.unwrap();
                manager.invalidate(1);
            }
        }
        pass(0.5).await;
        setup.call(&manager).await.unwrap();
        assert_ne!(
            setup.last_id().as_deref(),
            Some(id),
            "{change}: the successor is in use"
        );
        for answered in 1..40 {
            slow.join_next().await.unwrap().unwrap().unwrap();
            yield_now().await;
            assert!(
                setup.sipher.is_live(id),
                "{change}: {answered} of 40 are answered"
            );
        }
        slow.join_next().await.unwrap().unwrap().unwrap();
        setup.sipher.assert_every_call_had_a_session();
        pass(1.0).await;
        assert!(!setup.sipher.is_live(id), "{change}: and no longer");
        assert_eq!(setup.sipher.count(Operation::Delete), 1, "{change}");
    }
}

/// Pain 23: if a caller gives up, the server may still be reading the request.
#[tokio::test(start_paused = true)]
async fn requests_that_were_given_up_still_keep_the_predecessor_for_a_while() {
    let setup = Setup::new();
    let manager = setup.manager();
    let first = manager.session().await.unwrap();
    setup.sipher.fault(
        Fault::new(What::Delay(60 * SECOND))
            .on(Target::Calls)
            .times(20),
    );
    let given_up = (1..=20).map(|tenths| {
        timeout(
            Duration::from_millis(100) * tenths,
            setup.service(&manager).oneshot(generate()),
        )
    });
    let mut calls: JoinSet<_> = given_up.collect();
    yield_now().await;
    manager.invalidate(1);
    while let Some(call) = calls.join_next().await {
        assert!(call.unwrap().is_err());
    }
    pass(9.5).await;
    assert!(
        setup.sipher.is_live(first.id().as_str()),
        "10 s after the last of them"
    );
    pass(1.0).await;
    assert!(!setup.sipher.is_live(first.id().as_str()));
}
