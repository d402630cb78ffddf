//! How sessions end while the manager lives on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use sipher_session::{
    Event, RetireReason, SessionDefaults,
    clock::{Clock, Reading},
    testing::{Fault, Target, TestClock, Tier, What},
};
use tower::ServiceExt;

use crate::support::{SECOND, Setup, generate, pass};

#[tokio::test(start_paused = true)]
async fn an_invalidated_session_is_not_used_again_and_deleted() {
    let setup = Setup::new();
    let manager = setup.manager();
    let first = manager.session().await.unwrap();
    assert!(manager.invalidate(first.generation()));
    assert_eq!(first.usable_for(), Duration::ZERO);
    setup.call(&manager).await.unwrap();
    assert_ne!(setup.last_id().unwrap(), first.id().as_str());
    pass(1.0).await;
    assert!(!setup.sipher.is_live(first.id().as_str()));
    assert!(!manager.invalidate(first.generation()), "that one is gone");
    assert_eq!(
        manager.session().await.unwrap().generation(),
        2,
        "and a newer one stays"
    );
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_create_that_began_before_an_invalidation_is_not_used_after_it() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    let first = manager.session().await.unwrap();
    pass(50.0).await;
    setup
        .sipher
        .fault(Fault::new(What::DelayAnswer(2 * SECOND)).on(Target::Create));
    setup.call(&manager).await.unwrap(); // starts the renewal, generation 2
    pass(1.0).await;
    manager.invalidate(first.generation());
    setup.call(&manager).await.unwrap();
    assert_eq!(manager.session().await.unwrap().generation(), 3);
    pass(10.0).await; // the first session has expired as well
    assert_eq!(setup.creates(), 3);
    assert_eq!(manager.session().await.unwrap().generation(), 3, "still");
    assert_eq!(setup.sipher.live_sessions(), 1, "the fenced one is deleted");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_deleted_while_a_request_that_bears_it_is_in_flight() {
    // The first request is looked up, and the fourth is remembered.
    for before in [0, 3] {
        let setup = Setup::new();
        let manager = setup.manager();
        let first = manager.session().await.unwrap();
        let service = setup.service(&manager);
        for _ in 0..before {
            service.clone().oneshot(generate()).await.unwrap();
        }
        // The server looks up the session only after these 30 s.
        setup
            .sipher
            .fault(Fault::new(What::Delay(30 * SECOND)).on(Target::Calls));
        let slow = tokio::spawn(service.oneshot(generate()));
        pass(1.0).await;
        manager.invalidate(first.generation());
        pass(28.0).await;
        assert!(setup.sipher.is_live(first.id().as_str()));
        slow.await.unwrap().unwrap();
        assert_eq!(setup.last_chain().as_deref(), Some("near"));
        pass(1.0).await;
        assert!(
            !setup.sipher.is_live(first.id().as_str()),
            "it goes right after"
        );
        setup.sipher.assert_every_call_had_a_session();
    }
}

/// A user's clock that panics once.
#[derive(Clone, Debug)]
struct FailsOnce {
    clock: TestClock,
    fails: Arc<AtomicBool>,
}

impl Clock for FailsOnce {
    fn now(&self) -> Reading {
        assert!(
            !self.fails.swap(false, Ordering::SeqCst),
            "no time to be had"
        );
        self.clock.now()
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_an_answer_is_looked_at_leaves_nothing_in_flight() {
    for before in [0, 3] {
        let setup = Setup::new();
        let clock = FailsOnce {
            clock: setup.clock.clone(),
            fails: Arc::default(),
        };
        let builder = setup.builder().clock(clock.clone());
        let manager = builder.linger(7 * SECOND).build().unwrap();
        let first = manager.session().await.unwrap();
        let service = setup.service(&manager);
        for _ in 0..before {
            service.clone().oneshot(generate()).await.unwrap();
        }
        setup
            .sipher
            .fault(Fault::new(What::DelayAnswer(2 * SECOND)).on(Target::Calls));
        let call = tokio::spawn(service.oneshot(generate()));
        pass(1.0).await;
        assert_eq!(manager.stats().in_flight, 1);
        clock.fails.store(true, Ordering::SeqCst);
        assert!(call.await.unwrap_err().is_panic());
        assert_eq!(manager.stats().in_flight, 0);
        manager.invalidate(first.generation());
        pass(6.5).await;
        assert!(setup.sipher.is_live(first.id().as_str()), "it lingers");
        pass(1.0).await;
        assert!(!setup.sipher.is_live(first.id().as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_its_caller_dropped_counts_for_linger() {
    let setup = Setup::new();
    let manager = setup.builder().linger(7 * SECOND).build().unwrap();
    let first = manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Delay(30 * SECOND)).on(Target::Calls));
    let call = setup.service(&manager).oneshot(generate());
    drop(tokio::time::timeout(SECOND, call).await);
    manager.invalidate(first.generation());
    pass(6.5).await;
    assert!(setup.sipher.is_live(first.id().as_str()));
    pass(1.0).await;
    assert!(!setup.sipher.is_live(first.id().as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_merely_kept_holds_no_session() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut service = setup.service(&manager);
    tower::Service::call(&mut service, generate())
        .await
        .unwrap();
    let generation = manager.session().await.unwrap().generation();
    manager.invalidate(generation);
    pass(1.0).await;
    assert_eq!(setup.sipher.live_sessions(), 0);
    drop(service);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_room_is_deleted_the_longest_unused_first() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(2).build().unwrap();
    let keys: Vec<_> = (0..3).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
    let call = async |key: &str| {
        let mut request = generate();
        request
            .headers_mut()
            .insert("x-api-key", key.parse().unwrap());
        setup.service(&manager).oneshot(request).await.unwrap();
    };
    let mut events = manager.events();
    call(&keys[0]).await;
    call(&keys[1]).await;
    call(&keys[0]).await;
    call(&keys[2]).await;
    pass(55.0).await;
    let live = keys.iter().map(|key| setup.sipher.live_sessions_of(key));
    assert_eq!(live.collect::<Vec<_>>(), [1, 1, 1], "not within a minute");
    pass(10.0).await;
    let live = keys.iter().map(|key| setup.sipher.live_sessions_of(key));
    assert_eq!(live.collect::<Vec<_>>(), [1, 0, 1]);
    let evicted = std::iter::from_fn(|| events.try_recv()).filter(|event| {
        matches!(
            event,
            Event::Retired {
                reason: RetireReason::Evicted,
                ..
            }
        )
    });
    assert_eq!(evicted.count(), 1);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_session_in_use_is_not_evicted_under_its_requests() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(1).build().unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Delay(20 * SECOND)).on(Target::Calls));
    let slow = tokio::spawn(setup.service(&manager).oneshot(generate()));
    pass(1.0).await;
    let mut request = generate();
    request.extensions_mut().insert(SessionDefaults::new());
    setup.service(&manager).oneshot(request).await.unwrap();
    pass(5.0).await;
    assert_eq!(
        setup.sipher.live_sessions(),
        2,
        "one too many, for as long as it is in use"
    );
    setup.call(&manager).await.unwrap();
    assert_eq!(
        setup.creates(),
        2,
        "and whoever asks for it meanwhile gets it"
    );
    slow.await.unwrap().unwrap();
    pass(65.0).await;
    assert_eq!(setup.sipher.live_sessions(), 1);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_evicted_under_a_request_that_was_given_it_from_memory() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(1).build().unwrap();
    let service = setup.service(&manager);
    for _ in 0..3 {
        service.clone().oneshot(generate()).await.unwrap();
    }
    setup
        .sipher
        .fault(Fault::new(What::Delay(80 * SECOND)).on(Target::Calls));
    let slow = tokio::spawn(service.oneshot(generate()));
    pass(65.0).await; // the last noted use is too long ago to count
    let mut request = generate();
    request.extensions_mut().insert(SessionDefaults::new());
    setup.service(&manager).oneshot(request).await.unwrap();
    pass(5.0).await;
    assert_eq!(manager.stats().evicted, 0);
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.creates(), 2, "whoever asks for it meanwhile gets it");
    slow.await.unwrap().unwrap();
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_by_hand_is_not_used_again() {
    let setup = Setup::new();
    let manager = setup.manager();
    let first = manager.session().await.unwrap();
    manager.api().delete_session(first.id()).await.unwrap();
    setup.call(&manager).await.unwrap();
    pass(60.0).await;
    assert_eq!(setup.deletes(), 1, "once is enough");
    let second = manager.session().await.unwrap();
    let other = SessionDefaults::new().chain(sipher_session::Chain::Base);
    manager
        .api()
        .update_session(second.id(), &other)
        .await
        .unwrap();
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    pass(60.0).await;
    assert!(
        !setup.sipher.is_live(second.id().as_str()),
        "it is deleted when its update is over"
    );
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn what_holds_up_the_deletes_of_one_key_does_not_hold_up_those_of_another() {
    // The deletes are held up by the pause between two calls, or because the key is refused.
    for is_refused in [false, true] {
        let setup = Setup::new();
        let manager = setup.builder().linger(5 * SECOND).build().unwrap();
        let other = setup.sipher.api_key(Tier::Pro);
        let mut leases = Vec::new();
        for (key, generation) in [&setup.key, &setup.key, &other].into_iter().zip(1..) {
            let mut headers = HeaderMap::new();
            headers.insert("x-api-key", key.parse().unwrap());
            leases.push(manager.apply(&mut headers).await.unwrap().unwrap());
            assert!(manager.invalidate(generation));
        }
        if is_refused {
            setup
                .sipher
                .fault(Fault::new(What::Status(401)).on(Target::Delete));
        }
        // All three deletes are due at the same moment, and nothing wakes the reaper after the first.
        drop(leases);
        pass(4.9).await;
        assert_eq!(setup.deletes(), 0);
        pass(0.2).await;
        assert_eq!(setup.sipher.live_sessions_of(&other), 0);
        assert_eq!(setup.deletes(), 2, "one of each key");
        pass(10.0).await;
        let asked_again = usize::from(!is_refused);
        assert_eq!(setup.deletes(), 2 + asked_again);
        assert_eq!(manager.session().await.is_err(), is_refused);
        manager.invalidate(4);
        pass(60.0).await;
        assert_eq!(setup.sipher.live_sessions(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_fails_is_tried_again_and_then_left() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    let first = manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Status(500)).on(Target::Delete).always());
    manager.invalidate(first.generation());
    pass(60.0).await;
    assert_eq!(setup.deletes(), 3);
    let left = std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
        Event::LeftToExpire { session, error, .. } => Some((session, error.unwrap())),
        _ => None,
    });
    let (session, error) = left.unwrap();
    assert_eq!(session.generation, first.generation());
    assert_eq!(error.status().unwrap(), 500);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_all_tasks_and_says_what_is_left_behind() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Create));
    let waiting = tokio::spawn({
        let service = setup.service(&manager);
        let mut request = generate();
        request.extensions_mut().insert(SessionDefaults::new());
        service.oneshot(request)
    });
    pass(1.0).await;
    waiting.abort();
    let _ = waiting.await;
    drop(manager);
    let abandoned = std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
        Event::Abandoned {
            left_to_expire,
            possible_orphans,
            ..
        } => Some((left_to_expire, possible_orphans)),
        _ => None,
    });
    assert_eq!(abandoned, Some((1, 1)));
    pass(0.1).await;
    assert_eq!(
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
        0
    );
}
