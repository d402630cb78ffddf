//! A process with thousands of sessions, and a store that is slow or of which half hangs.

use std::time::Duration;

use sipher_session::{Event, RetireReason, SessionDefaults, SessionManagerBuilder, testing::Tier};
use tokio::{task::JoinSet, time::Instant};
use tower::ServiceExt;

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    support::{Call, SECOND, generate, pass},
};

/// The promised time if the store's announcement is lost.
const HEARD_WITHIN: Duration = Duration::from_secs(15);

fn with_own(n: usize) -> Call {
    let mut defaults = SessionDefaults::new();
    defaults.default_viewing_key = Some(format!("0x{n:08x}").as_str().into());
    let mut request = generate();
    request.extensions_mut().insert(defaults);
    request
}

fn ample(builder: SessionManagerBuilder) -> SessionManagerBuilder {
    builder
        .max_sessions(10_000)
        .call_budget(1_000_000, 10_000)
        .create_timeout(20 * SECOND)
}

fn new_fleet() -> Fleet {
    let mut fleet = Fleet::new();
    fleet.setup.key = fleet.setup.sipher.api_key(Tier::Enterprise);
    fleet
}

/// The process uses one session for each of `count` sets of defaults.
async fn use_all(fleet: &Fleet, process: &Process, count: usize) {
    let mut callers = JoinSet::new();
    for n in 0..count {
        let call = fleet.setup.service(&process.manager).oneshot(with_own(n));
        callers.spawn(async move { drop(call.await) });
        if callers.len() >= 15 {
            callers.join_next().await;
        }
    }
    while callers.join_next().await.is_some() {}
}

fn mute(half: Option<u8>, delay: Duration) -> Trouble {
    Trouble {
        is_mute: true,
        half,
        delay,
        ..Trouble::default()
    }
}

fn half_hangs() -> Trouble {
    Trouble {
        half: Some(0),
        delay: 100_000 * SECOND,
        ..Trouble::default()
    }
}

/// Returns how many revocations the process has learned of since the last call.
fn revoked(process: &mut Process) -> usize {
    let is_revoked = |event: &Event| matches!(event, Event::Retired { reason, .. } if *reason == RetireReason::Revoked);
    process
        .events()
        .iter()
        .filter(|event| is_revoked(event))
        .count()
}

/// Another process ends some of the sessions that both use. Returns when the first process learned of the last one that
/// it can learn of, and how many those were.
async fn heard_after(fleet: &Fleet, process: &mut Process, other: &Process) -> (Duration, usize) {
    for n in (0..1_000).step_by(32) {
        let service = fleet.setup.service(&other.manager);
        service.oneshot(with_own(n)).await.unwrap();
    }
    assert_eq!(other.manager.stats().adopted, 32);
    process.events();
    for generation in 0..100 {
        other.manager.invalidate(generation);
    }
    let (start, mut last, mut heard) = (Instant::now(), Duration::ZERO, 0);
    while start.elapsed() < 40 * SECOND {
        pass(1.0).await;
        let revoked = revoked(process);
        if revoked > 0 {
            (last, heard) = (start.elapsed(), heard + revoked);
        }
    }
    (last, heard)
}

#[tokio::test(start_paused = true)]
async fn a_revocation_is_heard_of_in_time_though_half_of_a_big_store_begins_to_hang() {
    let mut fleet = new_fleet();
    let (mut process, other) = (fleet.start_with(ample), fleet.start_with(ample));
    process.store.set(mute(None, Duration::ZERO));
    use_all(&fleet, &process, 2_000).await;
    process.store.set(mute(Some(0), 100_000 * SECOND));
    let (last, heard) = heard_after(&fleet, &mut process, &other).await;
    assert!(heard >= 8, "{heard}");
    assert!(last <= HEARD_WITHIN, "heard of after {last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_is_heard_of_in_time_where_each_look_at_many_slots_is_slow() {
    let mut fleet = new_fleet();
    let (mut process, other) = (fleet.start_with(ample), fleet.start_with(ample));
    process.store.set(mute(None, Duration::ZERO));
    use_all(&fleet, &process, 1_500).await;
    process.store.set(mute(None, SECOND * 3 / 10));
    pass(60.0).await;
    let (last, heard) = heard_after(&fleet, &mut process, &other).await;
    assert_eq!(heard, 32);
    assert!(last <= HEARD_WITHIN, "heard of after {last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_is_told_of_is_heard_of_at_once_though_half_of_a_big_store_hangs() {
    let mut fleet = new_fleet();
    let (mut process, other) = (fleet.start_with(ample), fleet.start_with(ample));
    use_all(&fleet, &process, 1_000).await;
    process.store.set(half_hangs());
    let (last, heard) = heard_after(&fleet, &mut process, &other).await;
    assert!(heard >= 8, "{heard}");
    assert!(last <= 2 * SECOND, "heard of after {last:?}");
}

#[tokio::test(start_paused = true)]
async fn sessions_that_cannot_be_left_hold_up_the_deletes_of_no_others() {
    let mut fleet = new_fleet();
    let process = fleet.start_with(ample);
    use_all(&fleet, &process, 200).await;
    process.store.set(half_hangs());
    for generation in 0..=200 {
        process.manager.invalidate(generation);
    }
    pass(20.0).await;
    let live = fleet.setup.sipher.live_sessions();
    assert!(
        (50..150).contains(&live),
        "{live}: those in the half that hangs"
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_says_what_it_knows_of_many_slots_though_half_of_the_store_hangs() {
    let mut fleet = new_fleet();
    let (process, mut other) = (fleet.start_with(ample), fleet.start_with(ample));
    use_all(&fleet, &process, 200).await;
    use_all(&fleet, &other, 200).await;
    process.store.set(half_hangs());
    other.events();
    for generation in 0..=200 {
        process.manager.invalidate(generation);
    }
    process.shutdown().await;
    pass(1.0).await;
    let heard = revoked(&mut other);
    assert!((50..150).contains(&heard), "{heard}");
}
