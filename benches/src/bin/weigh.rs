//! Measures the bytes and tasks of many sessions in one manager.
//!
//! This is a program of its own, because its counting allocator would slow down the measurement of times.

use std::{env, time::Duration};

#[path = "shared/allocations.rs"]
mod allocations;

use allocation_counter::measure;
use sipher_session::{SessionLayer, testing::TestClock};
use sipher_session_benches::{
    cases,
    ours::{self, World},
    renewals::paused,
    request::{self, OURS, Sink, call_with_key},
    stub::StubSipher,
};
use tower::{Layer, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n: usize = env::args().nth(1).ok_or("weigh SESSIONS")?.parse()?;
    let short = cases::keys(n);
    let long: Vec<_> = short
        .iter()
        .map(|key| format!("{key}{}", "x".repeat(64)))
        .collect();
    let nothing = bytes_with(&[]).0;
    let (with_short, at_rest) = bytes_with(&short);
    let (with_long, _) = bytes_with(&long);
    let each = |bytes: i64| (bytes - nothing) as f64 / n as f64;
    // Longer keys cost more bytes: the difference says how many copies of the key are kept.
    let copies = (each(with_long) - each(with_short)) / 64.0;
    let key = copies * short[0].len() as f64;
    let (idle, peak) = tasks_over_a_life(&short);
    for case in ["hit", "hit-key", "hit-crowd", "hit-cloned", "not-ours"] {
        println!("allocations-{case} {:.2}", allocations::allocations(case));
    }
    println!("bytes {:.1}", each(with_short) - key);
    println!("key-bytes {key:.1}");
    println!("tasks-at-rest {}", at_rest.max(idle));
    println!("tasks-at-most {peak}");
    Ok(())
}

/// Returns the bytes that a manager with a session for each of these keys holds, and the number of tasks.
fn bytes_with(keys: &[String]) -> (i64, usize) {
    let mut world = None;
    let held = measure(|| world = Some(World::with_keys(keys))).bytes_current;
    let world = world.expect("it was made");
    assert_eq!(world.stub.creates(), 1 + keys.len() as u64);
    (held, world.runtime.metrics().num_alive_tasks())
}

/// Returns the largest number of live tasks while no request uses the sessions, and while requests renew them all.
fn tasks_over_a_life(keys: &[String]) -> (usize, usize) {
    let runtime = paused();
    let metrics = runtime.metrics();
    runtime.block_on(async {
        let stub = StubSipher::new(3_600);
        let settings = ours::builder(&stub)
            .ttl(Duration::from_secs(3_600))
            .clock(TestClock::new());
        let manager = settings.build().expect("good settings");
        let mut service = SessionLayer::new(manager).layer(Sink);
        for key in keys {
            assert!(service.call(call_with_key(OURS, key)).await.is_ok());
            request::take_back(drop);
        }
        let start = tokio::time::Instant::now();
        let mut idle = 0;
        let mut peak = 0;
        for minute in [47, 52] {
            tokio::time::sleep_until(start + Duration::from_secs(minute * 60)).await;
            idle = idle.max(metrics.num_alive_tasks());
            for key in keys {
                assert!(service.call(call_with_key(OURS, key)).await.is_ok());
                request::take_back(drop);
                peak = peak.max(metrics.num_alive_tasks());
                // This pause shares no factor with the pauses of background tasks, so virtual time does not move in
                // lockstep.
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
        assert!(
            stub.creates() >= 2 * keys.len() as u64,
            "{}",
            stub.creates()
        );
        (idle, peak)
    })
}
