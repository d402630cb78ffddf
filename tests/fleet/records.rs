//! Records in the store are verified before use.

use std::time::Duration;

use sipher_session::{
    Chain, Event, SessionDefaults, SessionLayer, SessionManagerBuilder,
    store::{Record, Slot},
    testing::{Fault, Operation, Target, TestClock, What},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    support::{SECOND, generate, pass},
};

fn refused(process: &mut Process) -> usize {
    let events = process.events();
    let refused = |event: &&Event| matches!(event, Event::RecordRefused { .. });
    events.iter().filter(refused).count()
}

fn published(fleet: &Fleet) -> Vec<(Slot, Record)> {
    fleet.published.lock().unwrap().clone()
}

/// A process reads records that somebody has changed, in a fleet that has a session. Returns how many it refused.
async fn meddled(meddler: impl Fn(Slot, Record) -> Record + Send + Sync + 'static) -> usize {
    let mut fleet = Fleet::new();
    let others = fleet.start_many(1);
    let ids = fleet.call(&others).await;
    let mut process = [fleet.start()];
    process[0].store.meddle(meddler);
    assert_ne!(fleet.call(&process).await, ids);
    fleet.setup.sipher.assert_every_call_had_a_session();
    refused(&mut process[0])
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_changed_is_refused_and_another_session_made() {
    for at in [0, 23, 24, 40, 100, 132] {
        let refused = meddled(move |_, record| {
            let mut sealed = record.sealed.to_vec();
            sealed[at] ^= 1;
            let sealed = sealed.into();
            Record { sealed, ..record }
        });
        assert!(refused.await > 0, "byte {at}");
    }
    for length in [0, 1, 24, 40, 100] {
        let refused = meddled(move |_, record| {
            let sealed = record.sealed.slice(..length);
            Record { sealed, ..record }
        });
        assert!(refused.await > 0, "{length} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_passes_for_another_generation_is_refused() {
    for more in [1, 1 << 52, u64::MAX / 2] {
        let refused = meddled(move |_, record| {
            let generation = record.generation + more;
            Record {
                generation,
                ..record
            }
        });
        assert!(refused.await > 0, "{more} more");
    }
}

fn sui(builder: SessionManagerBuilder) -> SessionManagerBuilder {
    builder.defaults(SessionDefaults::new().chain(Chain::Sui))
}

#[tokio::test(start_paused = true)]
async fn a_record_of_other_defaults_or_of_another_key_is_refused() {
    let mut fleet = Fleet::new();
    let near = fleet.start_many(1);
    fleet.call(&near).await;
    let others = vec![fleet.start_with(sui)];
    fleet.call(&others).await;
    let (of_near, foreign) = published(&fleet)[0].clone();
    let mut process = [fleet.start_with(sui)];
    process[0].store.meddle(move |slot, _| {
        assert_ne!(slot, of_near);
        foreign.clone()
    });
    fleet.call(&process).await;
    assert!(refused(&mut process[0]) > 0);
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));

    let key = fleet
        .setup
        .sipher
        .api_key(sipher_session::testing::Tier::Pro);
    let other_key = |builder: SessionManagerBuilder| builder.api_key(key.as_str());
    let other = vec![fleet.start_with(other_key)];
    fleet.call(&other).await;
    assert_eq!(
        fleet.setup.sipher.live_sessions_of(&key),
        1,
        "no slot is shared"
    );
}

#[tokio::test(start_paused = true)]
async fn an_older_record_is_not_taken_by_who_has_seen_a_newer_one() {
    let mut fleet = Fleet::new();
    let mut processes = [fleet.start(), fleet.start()];
    let old = fleet.call(&processes).await;
    let generation = processes[0].manager.session().await.unwrap().generation();
    assert!(processes[0].manager.invalidate(generation));
    fleet.call(&processes[..1]).await;
    pass(1.0).await;
    let new = fleet.call(&processes).await;
    assert_ne!(new, old);
    // The server still has the older session, so the record's number is the only reason to refuse it.
    let (_, older) = published(&fleet)[0].clone();
    for process in &processes {
        let older = older.clone();
        process.store.meddle(move |_, _| older.clone());
    }
    for _ in 0..120 {
        pass(60.0).await;
        assert_ne!(fleet.call(&processes).await, old);
    }
    assert!(refused(&mut processes[0]) + refused(&mut processes[1]) > 0);
}

#[tokio::test(start_paused = true)]
async fn an_older_record_that_the_server_has_forgotten_is_found_out_by_asking() {
    let mut fleet = Fleet::new();
    let others = fleet.start_many(1);
    fleet.call(&others).await;
    others[0].shutdown().await;
    let (_, deleted) = published(&fleet)[0].clone();
    let others = fleet.start_many(1);
    fleet.call(&others).await;
    let process = [fleet.start_with(SessionManagerBuilder::verify_adopted)];
    process[0].store.meddle(move |_, _| deleted.clone());
    fleet.call(&process).await;
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn the_clock_that_says_older_counts() {
    // The store says that more life is left than there is, like a store whose keys do not expire.
    let mut fleet = Fleet::new();
    let others = fleet.start_many(1);
    fleet.call(&others).await;
    pass(3000.0).await;
    let process = [fleet.start()];
    process[0].store.meddle(|_, record| {
        let left = Duration::from_secs(1_000_000);
        Record { left, ..record }
    });
    for _ in 0..20 {
        pass(60.0).await;
        fleet.call(&process).await;
    }
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_key_or_of_defaults_is_in_a_record_in_clear() {
    let mut fleet = Fleet::new();
    let mut defaults = SessionDefaults::new().chain(Chain::Near);
    defaults.default_viewing_key = Some("0xfeedfacefeedface".into());
    let process = vec![fleet.start_with(|builder| builder.defaults(defaults))];
    let ids = fleet.call(&process).await;
    let (slot, record) = published(&fleet)[0].clone();
    let text = format!("{slot}{}", String::from_utf8_lossy(&record.sealed));
    let key = fleet.setup.key.as_str();
    for secret in [key, &ids[0][5..], "near", "feedface", "chain"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_store_has_lost_since_it_was_read_is_neither_put_back_nor_taken_up() {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    fleet.call(&processes[..1]).await;
    // The process reads the record. Its report that it uses the session is on its way for 2 s.
    processes[1].store.set(Trouble {
        answers_claims_after: SECOND,
        ..Trouble::default()
    });
    let manager = processes[1].manager.clone();
    let call = tokio::spawn(async move { manager.session().await.map(drop).unwrap() });
    pass(0.5).await;
    processes[1].store.set(Trouble {
        delay: 2 * SECOND,
        ..Trouble::default()
    });
    pass(1.0).await;
    // In the meantime the only user deletes the session, and the store forgets all of this.
    assert_eq!(processes[0].shutdown().await.deleted, 1);
    fleet.store.clear();
    call.await.unwrap();
    fleet.call(&processes[1..]).await;
    fleet.setup.sipher.assert_every_call_had_a_session();
}

/// The store forgets everything. Its clock is set back, so it grants the same numbers again.
fn begin_again(fleet: &Fleet, store_clock: &TestClock, ago: Duration) {
    fleet.store.clear();
    store_clock.set_back(ago);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_number_another_one_has_got_since_it_was_read_is_not_taken_up() {
    let (mut fleet, store_clock) = Fleet::with_store_clock();
    let processes = [fleet.start(), fleet.start(), fleet.start()];
    let start = Instant::now();
    fleet.call(&processes[..1]).await;
    processes[1].store.set(Trouble {
        answers_claims_after: SECOND,
        ..Trouble::default()
    });
    let manager = processes[1].manager.clone();
    let call = tokio::spawn(async move { manager.session().await.map(drop).unwrap() });
    pass(0.5).await;
    // The report that the process uses the session it has read is on its way for 2 s.
    processes[1].store.set(Trouble {
        delay: 2 * SECOND,
        ..Trouble::default()
    });
    pass(1.0).await;
    assert_eq!(processes[0].shutdown().await.deleted, 1);
    begin_again(&fleet, &store_clock, start.elapsed());
    fleet.call(&processes[2..]).await;
    let [.., (slot, other)] = &published(&fleet)[..] else {
        panic!()
    };
    let of_both =
        |(at, record): &&(Slot, Record)| (at, record.generation) == (slot, other.generation);
    let published = published(&fleet);
    assert_eq!(published.iter().filter(of_both).count(), 2);
    call.await.unwrap();
    fleet.call(&processes[1..2]).await;
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn of_two_sessions_with_one_number_all_go_over_to_the_one_that_the_store_has() {
    let (mut fleet, store_clock) = Fleet::with_store_clock();
    let processes = [fleet.start(), fleet.start()];
    let start = Instant::now();
    let first = fleet.call(&processes[..1]).await;
    pass(5.0).await;
    begin_again(&fleet, &store_clock, start.elapsed());
    let second = fleet.call(&processes[1..]).await;
    assert_ne!(first, second);
    pass(20.0).await;
    assert_eq!(fleet.call(&processes).await, second);
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_session_from_before_a_sign_of_trouble_is_asked_about_by_whoever_takes_it_up_after_it() {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    fleet.call(&processes[..1]).await;
    pass(10.0).await;
    fleet.setup.sipher.restart();
    let sign = Fault::new(What::Status(503)).on(Target::Create);
    fleet.setup.sipher.fault(sign.times(1));
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let layer = SessionLayer::new(processes[1].manager.clone()).defaults(sui);
    let service = layer.layer(fleet.setup.sipher.clone());
    service.oneshot(generate()).await.unwrap();
    fleet.call(&processes[1..]).await;
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_session_from_before_a_sign_that_nobody_could_look_into_is_asked_about_as_well() {
    let mut fleet = Fleet::new();
    let processes = [fleet.start(), fleet.start()];
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let layer = SessionLayer::new(processes[1].manager.clone()).defaults(sui);
    let with_sui = || layer.layer(fleet.setup.sipher.clone()).oneshot(generate());
    with_sui().await.unwrap();
    // This process knows the server from before the other process's session was created.
    pass(10.0).await;
    fleet.call(&processes[..1]).await;
    pass(10.0).await;
    fleet.setup.silence_health();
    fleet.setup.sipher.restart();
    let sign = Fault::new(What::Status(503)).on(Target::Calls);
    fleet.setup.sipher.fault(sign.times(1));
    drop(with_sui().await);
    fleet.call(&processes[1..]).await;
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("near"));
}

#[tokio::test(start_paused = true)]
async fn who_verifies_asks_once_about_each_session_that_it_takes_up() {
    let mut fleet = Fleet::new();
    let others = fleet.start_many(1);
    let ids = fleet.call(&others).await;
    let process = [fleet.start_with(SessionManagerBuilder::verify_adopted)];
    for _ in 0..3 {
        assert_eq!(fleet.call(&process).await, ids);
        assert_eq!(fleet.setup.sipher.count(Operation::Get), 1);
    }
}
