//! A request gets the session of its own key with its own defaults, and never one that was rejected.

use std::{collections::HashMap, time::Duration};

use sipher_session::{
    Chain, Event, RetireReason, SessionDefaults,
    testing::{Fault, Operation, SessionUse, Target, Tier, What},
};
use tokio::{
    task::{JoinSet, yield_now},
    time::Instant,
};
use tower::ServiceExt;

use crate::{
    as_tenant, call_as,
    support::{SECOND, Setup, generate, pass},
    told,
};

/// Pain 20: one slot held the credential of the last caller, and requests of other tenants used it.
#[tokio::test(start_paused = true)]
async fn tenants_and_defaults_that_take_turns_each_get_their_own_session() {
    let setup = Setup::new();
    let manager = setup.manager();
    let keys: Vec<_> = (0..6).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
    let chains = [Chain::Near, Chain::Sui, Chain::Base];
    let mut random = fastrand::Rng::with_seed(20);
    let mut ids = HashMap::new();
    for _ in 0..3_000 {
        let (key, chain) = (random.usize(..keys.len()), random.usize(..chains.len()));
        let mut request = if random.bool() {
            as_tenant(&keys[key])
        } else {
            let mut request = generate();
            let bearer = format!("Bearer {}", keys[key]);
            request
                .headers_mut()
                .insert("authorization", bearer.parse().unwrap());
            request
        };
        request
            .extensions_mut()
            .insert(SessionDefaults::new().chain(chains[chain].clone()));
        setup.service(&manager).oneshot(request).await.unwrap();
        assert_eq!(setup.last_chain(), Some(chains[chain].to_string()));
        // To the server, a session of another key is dead.
        let id = setup
            .last_id()
            .expect("a live session of the request's own key");
        assert_eq!(*ids.entry((key, chain)).or_insert_with(|| id.clone()), id);
        setup.sipher.clear_log();
        pass(0.2).await;
    }
    assert_eq!(ids.len(), 18);
    assert_eq!(manager.stats().created, 18);
}

/// Pain 20: one tenant's failure was remembered for all tenants.
#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_refused_or_hangs_is_nobody_elses_trouble() {
    for what in [
        What::Status(401),
        What::Status(400),
        What::Hang,
        What::EchoWrong,
    ] {
        let setup = Setup::new();
        let manager = setup.manager();
        setup.sipher.fault(Fault::new(what).on(Target::Create));
        let troubled = tokio::spawn(setup.service(&manager).oneshot(generate()));
        yield_now().await;
        for _ in 0..20 {
            let key = setup.sipher.api_key(Tier::Pro);
            let start = Instant::now();
            call_as(&setup, &manager, &key).await.unwrap();
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
        troubled.await.unwrap().unwrap_err();
        setup.sipher.assert_every_call_had_a_session();
    }
}

/// Pain 21: a cache of clients grew without bound. Another one emptied itself when it was full, and sent everyone to the server at once.
#[tokio::test(start_paused = true)]
async fn one_tenant_too_many_costs_one_session_and_not_all_of_them() {
    const PLACES: usize = 50;
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(PLACES as u64).build().unwrap();
    let keys: Vec<_> = (0..PLACES + 5)
        .map(|_| setup.sipher.api_key(Tier::Pro))
        .collect();
    for key in &keys[..PLACES] {
        call_as(&setup, &manager, key).await.unwrap();
        pass(2.0).await;
    }
    // The first ten sessions are the oldest, and in use.
    for key in &keys[..10] {
        call_as(&setup, &manager, key).await.unwrap();
    }
    let mut events = manager.events();
    for key in &keys[PLACES..] {
        call_as(&setup, &manager, key).await.unwrap();
        pass(2.0).await;
        assert_eq!(
            setup.sipher.live_sessions(),
            PLACES,
            "who has no place is deleted"
        );
    }
    let evicted = |event: &Event| {
        matches!(
            event,
            Event::Retired {
                reason: RetireReason::Evicted,
                ..
            }
        )
    };
    assert_eq!(told(&mut events).into_iter().filter(evicted).count(), 5);
    let creates = setup.creates();
    for key in keys[..10].iter().chain(&keys[15..]) {
        call_as(&setup, &manager, key).await.unwrap();
    }
    assert_eq!(setup.creates(), creates, "all others have kept theirs");
    setup.sipher.assert_every_call_had_a_session();
}

/// Pain 22: a caller that joined a fetch in flight got the very token that it had just rejected, or one that was
/// requested before the rejection. A second rejection threw the good successor away.
#[tokio::test(start_paused = true)]
async fn a_herd_that_rejects_one_session_gets_one_successor_that_was_begun_after_it() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(600 * SECOND).build().unwrap();
    let first = manager.session().await.unwrap();
    tokio::time::sleep(first.renewal_in()).await;
    setup.sipher.fault(
        Fault::new(What::DelayAnswer(2 * SECOND))
            .on(Target::Create)
            .times(2),
    );
    setup.call(&manager).await.unwrap();
    pass(1.0).await;
    assert_eq!(setup.creates(), 2, "the renewal is on its way");
    let mut herd = JoinSet::new();
    for _ in 0..200 {
        let manager = manager.clone();
        herd.spawn(async move {
            let rejected = manager.invalidate(1);
            (rejected, manager.session().await.unwrap().generation())
        });
    }
    let outcomes = herd.join_all().await;
    // One session was invalidated, and its renewal, which was in flight, is not used either.
    assert!(outcomes.iter().all(|(_, generation)| *generation == 4));
    assert_eq!(
        outcomes.iter().filter(|(rejected, _)| *rejected).count(),
        1,
        "once is enough"
    );
    assert_eq!(setup.creates(), 3);

    // The older renewal, whenever it answers, does not replace the new session.
    pass(60.0).await;
    assert!(!manager.invalidate(1) && !manager.invalidate(2));
    assert_eq!(manager.session().await.unwrap().generation(), 4);
    assert_eq!(setup.sipher.live_sessions(), 1);
    setup.sipher.assert_every_call_had_a_session();
}

/// Pain 22: a caller that had waited for a fetch got its token, although the token had been rejected by the time the caller looked.
#[tokio::test(start_paused = true)]
async fn a_joiner_is_not_handed_what_was_rejected_before_it_looked() {
    let setup = Setup::new();
    setup
        .sipher
        .fault(Fault::new(What::DelayAnswer(2 * SECOND)).on(Target::Create));
    let manager = setup.manager();
    let mut joiners = JoinSet::new();
    for _ in 0..20 {
        joiners.spawn(setup.service(&manager).oneshot(generate()));
    }
    // Tasks run in the order in which they are woken, so this task runs right before the joiners.
    let rejection = tokio::spawn({
        let (manager, mut events) = (manager.clone(), manager.events());
        async move {
            let created = events.recv().await.unwrap();
            assert!(matches!(created, Event::Created { .. }));
            manager.invalidate(1)
        }
    });
    for answer in joiners.join_all().await {
        answer.unwrap();
    }
    assert!(rejection.await.unwrap());
    let second = manager.session().await.unwrap();
    assert_eq!(second.generation(), 2);
    for exchange in setup.uses() {
        let SessionUse::Live { id, .. } = &exchange.session else {
            panic!("{exchange}")
        };
        assert_eq!(id, second.id().as_str());
    }
}

/// Pain 29: processes that shared one stored credential renewed it while others used it. Here each process has a
/// session of its own, and none touches a session that another one created.
#[tokio::test(start_paused = true)]
async fn processes_with_one_key_do_not_end_each_others_sessions() {
    let setup = Setup::new();
    let processes: Vec<_> = (0..5)
        .map(|seed| setup.builder().seed(seed).build().unwrap())
        .collect();
    for process in &processes {
        setup.call(process).await.unwrap();
    }
    assert_eq!(setup.sipher.live_sessions(), 5);
    let id = processes[0]
        .session()
        .await
        .unwrap()
        .id()
        .as_str()
        .to_owned();
    // All managers of this test run in one process, so one accepts the live id of another.
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-session-id", id.parse().unwrap());
    setup.service(&processes[1]).oneshot(request).await.unwrap();
    assert_eq!(setup.last_id(), Some(id.clone()));
    processes[1].invalidate(1);
    pass(1.0).await;
    for process in &processes[1..] {
        process.shutdown(5 * SECOND).await;
    }
    assert!(setup.sipher.is_live(&id));
    assert_eq!(setup.sipher.live_sessions(), 1);
    setup.call(&processes[0]).await.unwrap();
    assert_eq!(setup.sipher.count(Operation::Create), 5);
    setup.sipher.assert_every_call_had_a_session();
}
