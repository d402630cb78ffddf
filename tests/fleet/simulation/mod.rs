//! Whole lives of a fleet. A life is one simulated run, drawn from one number, its seed. Processes start, end and are
//! killed. Connections to the store are cut, slow or lose answers. The store forgets, the server is in trouble, and
//! clocks differ. A checker judges whether the crate has kept its promises in all of this.
//! `tests/simulation/checker/mod.rs` lists the promises, `I1` to `I13`.
//!
//! ```text
//! cargo test --test fleet                     as many as are quick, and all else
//! FLEET_SEEDS=10000 FLEET_FROM=500 cargo test --test fleet whatever_happens -- --nocapture
//! FLEET_SEED=42 cargo test --test fleet whatever_happens -- --nocapture     one, with its trace
//! ```

mod checker;
mod hard;
mod process;
mod script;
mod trace;
mod wire;
mod world;

use std::{
    collections::BTreeMap,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use script::Script;

/// The number of lives to run, unless an environment variable sets another.
const SEEDS: u64 = 120;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a whole number"))
}

#[test]
fn whatever_happens_to_a_fleet_no_dead_id_is_sent_and_all_find_together() {
    if let Some(seed) = number("FLEET_SEED") {
        return replay(seed);
    }
    let from = number("FLEET_FROM").unwrap_or(0);
    let until = from + number("FLEET_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(from);
    let some = || {
        let mut failed = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= until {
                return failed;
            }
            let failures = catch_unwind(AssertUnwindSafe(|| {
                let script = Script::of(seed);
                checker::check(&script, &world::run(&script))
            }));
            let failures = failures.unwrap_or_else(|_| vec!["it panicked".to_owned()]);
            if !failures.is_empty() {
                failed.insert(seed, failures);
            }
        }
    };
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    let mut failed = BTreeMap::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        for worker in workers {
            failed.extend(worker.join().unwrap());
        }
    });
    let told = failed
        .iter()
        .map(|(seed, why)| format!("seed {seed}: {}", why.join("\n    ")));
    let told: Vec<_> = told.collect();
    assert!(
        failed.is_empty(),
        "{} of {} fleets failed; FLEET_SEED=<seed> shows one:\n{}",
        failed.len(),
        until - from,
        told.join("\n")
    );
}

fn replay(seed: u64) {
    let script = Script::of(seed);
    let run = world::run(&script);
    println!("{script:#?}");
    for line in &run.lines {
        println!("{line}");
    }
    let failures = checker::check(&script, &run);
    assert!(failures.is_empty(), "seed {seed}:\n{}", failures.join("\n"));
}
