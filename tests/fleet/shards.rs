//! A store that is spread over several machines, one of which is down.

use std::time::Duration;

use sipher_session::{Chain, Event, SessionDefaults, SessionLayer, store::Slot, testing::Tier};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    support::{SECOND, generate, pass},
};

/// One process sends a request with another chain than the process's own.
async fn call_for(fleet: &Fleet, process: &Process, chain: Chain) -> Option<String> {
    let defaults = SessionDefaults::new().chain(chain);
    let layer = SessionLayer::new(process.manager.clone()).defaults(defaults);
    let service = layer.layer(fleet.setup.sipher.clone());
    service.oneshot(generate()).await.ok()?;
    fleet.setup.last_id()
}

/// Returns the slot of the session with the process's own chain.
fn first_slot(fleet: &Fleet) -> Slot {
    fleet.published.lock().unwrap()[0].0
}

/// Two kinds of trouble: the store fails at once, or it never answers.
fn troubles() -> [Trouble; 2] {
    let is_cut = Trouble {
        is_cut: true,
        ..Trouble::default()
    };
    let hangs = Trouble {
        delay: 100_000 * SECOND,
        ..Trouble::default()
    };
    [is_cut, hangs]
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_waits_for_one_shard_holds_up_no_create_on_the_others() {
    for trouble in troubles() {
        let mut fleet = Fleet::new();
        let process = fleet.start();
        fleet.setup.call(&process.manager).await.unwrap();
        process.store.set_at(first_slot(&fleet), trouble);
        let session = process.manager.session().await.unwrap();
        assert!(process.manager.invalidate(session.generation()));
        pass(20.0).await;
        let other = [fleet.start()];
        let start = Instant::now();
        let id = call_for(&fleet, &process, Chain::Sui).await;
        assert!(id.is_some() && start.elapsed() < SECOND);
        let of_other = call_for(&fleet, &other[0], Chain::Sui).await;
        assert_eq!(id, of_other, "it is the fleet's");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_over_on_the_healthy_shards_is_heard_of_while_another_is_down() {
    for trouble in troubles() {
        let mut fleet = Fleet::new();
        let (process, other) = (fleet.start(), fleet.start());
        process.store.set(Trouble {
            is_mute: true,
            ..Trouble::default()
        });
        // The shard that is down comes first in the order in which the slots were joined.
        fleet.setup.call(&process.manager).await.unwrap();
        let before = call_for(&fleet, &process, Chain::Sui).await;
        process.store.set_at(first_slot(&fleet), trouble);
        let service = SessionLayer::new(other.manager.clone())
            .defaults(SessionDefaults::new().chain(Chain::Sui))
            .layer(fleet.setup.sipher.clone());
        service.oneshot(generate()).await.unwrap();
        pass(30.0).await;
        // The other process knows of exactly one session.
        assert!(other.manager.invalidate(1));
        let (start, mut last) = (Instant::now(), Duration::ZERO);
        while start.elapsed() < 60 * SECOND {
            pass(1.0).await;
            if call_for(&fleet, &process, Chain::Sui).await == before {
                last = start.elapsed();
            }
        }
        assert!(last < 15 * SECOND, "used for {last:?} more");
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_counts_as_down_once_while_one_shard_is_down() {
    for which in 0..2 {
        let mut fleet = Fleet::new();
        let mut process = fleet.start();
        fleet.setup.call(&process.manager).await.unwrap();
        call_for(&fleet, &process, Chain::Sui).await.unwrap();
        let (slot, _) = fleet.published.lock().unwrap()[which];
        process.store.set_at(slot, troubles()[0]);
        pass(120.0).await;
        process.store.set_at(slot, Trouble::default());
        pass(20.0).await;
        let events = process.events();
        let said = |event: &&Event| matches!(event, Event::StoreDown { .. } | Event::StoreUp);
        let said: Vec<_> = events.iter().filter(said).collect();
        assert!(
            matches!(said[..], [Event::StoreDown { .. }, Event::StoreUp]),
            "{said:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_shuts_down_tells_the_healthy_shards_what_it_knows() {
    let mut fleet = Fleet::new();
    let (process, other) = (fleet.start(), fleet.start());
    fleet.setup.call(&process.manager).await.unwrap();
    call_for(&fleet, &process, Chain::Sui).await.unwrap();
    let before = call_for(&fleet, &other, Chain::Sui).await;
    let dead = first_slot(&fleet);
    process.store.set_at(dead, troubles()[1]);
    for generation in [1, 2] {
        assert!(process.manager.invalidate(generation));
    }
    process.shutdown().await;
    pass(0.1).await;
    let after = call_for(&fleet, &other, Chain::Sui).await;
    assert_ne!(after, before);
}

/// One process sends a request with another API key and the manager's defaults. Returns how long the request took.
async fn call_with_key(fleet: &Fleet, process: &Process, key: &str) -> Duration {
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", key.parse().unwrap());
    let start = Instant::now();
    let service = fleet.setup.service(&process.manager);
    service.oneshot(request).await.unwrap();
    start.elapsed()
}

/// Returns the slot of the group's defaults. A change of defaults publishes to that slot last.
async fn slot_of_defaults(fleet: &Fleet, process: &Process) -> Slot {
    let change = SessionDefaults::new().chain(Chain::Sui);
    process.manager.update_defaults(change).await.unwrap();
    fleet.published.lock().unwrap().last().unwrap().0
}

#[tokio::test(start_paused = true)]
async fn creates_for_other_keys_wait_once_for_a_shard_that_has_the_groups_defaults_and_hangs() {
    let mut fleet = Fleet::new();
    let changes = fleet.start();
    let slot = slot_of_defaults(&fleet, &changes).await;
    // The process never has a session for the manager's own key, so it has to read the group's defaults again and again.
    let process = fleet.start();
    process.store.set_at(slot, troubles()[1]);
    let mut waited = Vec::new();
    for _ in 0..40 {
        let key = fleet.setup.sipher.api_key(Tier::Pro);
        waited.push(call_with_key(&fleet, &process, &key).await);
        pass(2.0).await;
    }
    let held_up = waited.iter().filter(|waited| **waited > SECOND).count();
    assert_eq!(held_up, 1, "{waited:?}");

    // Once the shard answers, the process follows within two looks. It needs no other session, and no request waits.
    process.store.set_at(slot, Trouble::default());
    for _ in 0..20 {
        let key = fleet.setup.sipher.api_key(Tier::Pro);
        let waited = call_with_key(&fleet, &process, &key).await;
        assert!(waited < SECOND, "{waited:?}");
        pass(2.0).await;
    }
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_idle_for_a_day_after_a_shard_was_down_begins_with_the_groups_defaults()
{
    let mut fleet = Fleet::new();
    let changes = fleet.start();
    let slot = slot_of_defaults(&fleet, &changes).await;
    let process = fleet.start_with(|builder| builder.ttl(60 * SECOND));
    process.store.set_at(slot, troubles()[0]);
    let key = fleet.setup.sipher.api_key(Tier::Pro);
    call_with_key(&fleet, &process, &key).await;
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("near"));
    // The session ends, and the heartbeat ends with it.
    pass(120.0).await;
    process.store.set_at(slot, Trouble::default());
    let looks = process.store.gets();
    pass(86_400.0).await;
    let change = SessionDefaults::new().chain(Chain::Base);
    changes.manager.update_defaults(change).await.unwrap();
    assert_eq!(process.store.gets(), looks);
    call_with_key(&fleet, &process, &key).await;
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("base"));
}
