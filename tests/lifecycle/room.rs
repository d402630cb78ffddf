//! More tenants than `max_sessions`.

use std::time::Duration;

use sipher_session::{
    ErrorKind, Event, Events, SessionManager, SessionManagerBuilder,
    testing::{Fault, Target, Tier, What},
};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::support::{SECOND, Setup, generate, ours, pass};

fn tenants(
    count: usize,
    with: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
) -> (Setup, SessionManager, Vec<String>) {
    let setup = Setup::new();
    let manager = with(setup.builder()).build().unwrap();
    let keys = (0..count).map(|_| setup.sipher.api_key(Tier::Pro));
    let keys = keys.collect();
    (setup, manager, keys)
}

async fn ask(setup: &Setup, manager: &SessionManager, key: &str) -> Result<(), ErrorKind> {
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", key.parse().unwrap());
    let answer = setup.service(manager).oneshot(request).await;
    answer.map(drop).map_err(|error| ours(&error).kind())
}

fn crowded(events: &mut Events) -> usize {
    let all = std::iter::from_fn(|| events.try_recv());
    all.filter(|event| {
        matches!(
            event,
            Event::Crowded {
                max_sessions: 8,
                ..
            }
        )
    })
    .count()
}

#[tokio::test(start_paused = true)]
async fn tenants_that_are_active_keep_their_sessions_however_many_they_are() {
    let (setup, manager, keys) = tenants(20, |builder| builder.max_sessions(8));
    let mut events = manager.events();
    for round in 0..12 {
        for key in &keys {
            let start = Instant::now();
            ask(&setup, &manager, key).await.unwrap();
            assert_eq!(start.elapsed(), Duration::ZERO);
            pass(if round % 4 == 0 { 2.5 } else { 0.1 }).await;
        }
    }
    assert_eq!((setup.creates(), setup.deletes()), (20, 0));
    let stats = manager.stats();
    assert_eq!((stats.live_sessions, stats.evicted), (20, 0));
    assert_eq!(crowded(&mut events), 1, "told once");
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn once_they_are_idle_there_are_no_more_than_the_setting_says_and_those_in_use_are_kept() {
    let (setup, manager, keys) = tenants(20, |builder| builder.max_sessions(8));
    for key in &keys {
        ask(&setup, &manager, key).await.unwrap();
    }
    // A tenant whose session was evicted gets another one like any tenant.
    for _ in 0..20 {
        for key in &keys[..4] {
            ask(&setup, &manager, key).await.unwrap();
        }
        pass(5.0).await;
    }
    assert_eq!(setup.sipher.live_sessions(), 8);
    assert_eq!(manager.stats().pending_deletes, 0);
    assert_eq!(setup.creates(), 20);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn there_are_never_more_than_ten_times_the_setting() {
    let (setup, manager, keys) = tenants(25, |builder| builder.max_sessions(2));
    for (number, key) in keys.iter().enumerate() {
        let expected = if number < 20 {
            Ok(())
        } else {
            Err(ErrorKind::Budget)
        };
        assert_eq!(ask(&setup, &manager, key).await, expected, "{number}");
    }
    assert_eq!(setup.creates(), 20, "who is refused costs no call");
    for key in &keys[..20] {
        ask(&setup, &manager, key).await.unwrap();
    }
    assert_eq!(setup.creates(), 20, "and nobody's session");
    pass(61.0).await;
    for key in &keys[20..] {
        ask(&setup, &manager, key).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn deletes_that_pile_up_are_counted_and_told_of() {
    let (setup, manager, keys) = tenants(150, |builder| builder.call_budget(600, 200));
    for key in &keys {
        ask(&setup, &manager, key).await.unwrap();
    }
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Delete).always());
    let mut events = manager.events();
    for generation in 1..=150 {
        manager.invalidate(generation);
    }
    assert_eq!(manager.stats().pending_deletes, 150);
    let told = std::iter::from_fn(|| events.try_recv());
    let told = told.filter_map(|event| match event {
        Event::DeletesPending { pending, .. } => Some(pending),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [100]);
    setup.sipher.clear_faults();
    pass(60.0).await;
    assert_eq!(manager.stats().pending_deletes, 0);
    let mut events = manager.events();
    manager.shutdown(SECOND).await;
    let told = std::iter::from_fn(|| events.try_recv());
    assert_eq!(
        told.filter(|event| matches!(event, Event::DeletesPending { .. }))
            .count(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_renewal_takes_no_place_beside_the_session_that_it_replaces() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(1).ttl(60 * SECOND).build();
    let manager = manager.unwrap();
    let keys: Vec<_> = (0..6).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
    for key in &keys {
        let key = key.as_str();
        manager.ready(key, manager.defaults()).await.unwrap();
    }
    pass(50.0).await;
    let slow = What::Delay(3 * SECOND);
    setup
        .sipher
        .fault(Fault::new(slow).on(Target::Create).always());
    for key in &keys {
        let key = key.as_str();
        manager.ready(key, manager.defaults()).await.unwrap();
    }
    manager.session().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sessions_that_are_being_made_take_their_places_before_they_are_there() {
    let (setup, manager, keys) = tenants(25, |builder| builder.max_sessions(2));
    setup.sipher.set_latency(SECOND);
    let all = keys.iter().map(|key| ask(&setup, &manager, key));
    let all = futures_util::future::join_all(all).await;
    let refused = all.iter().filter(|it| **it == Err(ErrorKind::Budget));
    assert_eq!(refused.count(), 5, "{all:?}");
    assert_eq!(setup.creates(), 20);
}

#[tokio::test(start_paused = true)]
async fn leases_that_are_never_given_back_keep_their_places_until_their_sessions_end() {
    let (setup, manager, keys) = tenants(30, |builder| builder.max_sessions(2).ttl(300 * SECOND));
    let mut held = Vec::new();
    for key in &keys[..20] {
        let mut request = http::HeaderMap::new();
        request.insert("x-api-key", key.parse().unwrap());
        let lease = manager.apply(&mut request).await.unwrap().unwrap();
        if held.len() < 10 {
            held.push(lease);
        } else {
            std::mem::forget(lease);
        }
    }
    assert_eq!(
        ask(&setup, &manager, &keys[20]).await,
        Err(ErrorKind::Budget)
    );
    pass(200.0).await;
    assert_eq!(
        ask(&setup, &manager, &keys[20]).await,
        Err(ErrorKind::Budget)
    );
    pass(101.0).await;
    for key in &keys[20..] {
        ask(&setup, &manager, key).await.unwrap();
    }
    pass(200.0).await;
    let stats = manager.stats();
    assert_eq!(stats.pending_deletes, 0, "{stats:?}");
    setup.sipher.assert_no_dead_id();
}
