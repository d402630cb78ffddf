//! Whole lives of a manager. A life is one simulated run, drawn from one number, its seed. There are many callers, a
//! bad network, a worse server, clocks that are set, and an owner who makes changes. A checker judges whether the crate
//! has kept its promises in all of this: see `checker/mod.rs`.
//!
//! ```text
//! cargo test --test simulation                          as many lives as are quick
//! SIM_SEEDS=10000 SIM_FROM=500 cargo test --test simulation -- --nocapture
//! SIM_PRODUCTION=1 cargo test --test simulation           one in four as in production, beside a few hundred others
//! SIM_SEED=42 cargo test --test simulation -- --nocapture     one, with its trace
//! ```
//!
//! The same seed gives the same life, to the last byte of its trace, in any process.

// This test reads virtual time, and a run that cannot be set up is a failure.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod caller;
mod carries;
mod checker;
mod forecast;
mod hard;
mod health;
mod inline;
mod owner;
mod production;
mod recorder;
mod script;
mod trace;
mod weather;
mod wire;
mod world;

use std::{
    collections::BTreeMap,
    env,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use production::PRODUCTION;
use script::Script;
use trace::Entry;

/// The number of lives to run, unless an environment variable sets another.
const SEEDS: u64 = 2_000;
/// The number of lives in production that are added if lives begin at 0.
const IN_PRODUCTION: u64 = 300;

/// The results of many lives.
#[derive(Default)]
struct Tally {
    time: Duration,
    counts: BTreeMap<&'static str, u64>,
    weather: BTreeMap<String, u64>,
    /// The failed lives, by seed, each with its failure and its trace.
    failed: BTreeMap<u64, (String, String)>,
}

impl Tally {
    fn add(&mut self, seed: u64) {
        let script = Script::of(seed);
        let run = world::run(&script);
        let failures = checker::check(&script, &run);
        if !failures.is_empty() {
            let told = (failures.join("\n    "), trace::text(&run.lines));
            self.failed.insert(seed, told);
        }
        for (name, times) in run.weather {
            *self.weather.entry(name).or_default() += times;
        }
        self.time += run
            .lines
            .last()
            .map_or(Duration::ZERO, |line| line.at.monotonic);
        for line in &run.lines {
            let what = match &line.what {
                Entry::Call { .. } => "requests",
                Entry::Sent(sent) if sent.n.is_none() => "session calls",
                Entry::Sent(sent) if sent.id.is_some() => "with a session",
                _ => continue,
            };
            *self.counts.entry(what).or_default() += 1;
        }
    }

    fn merge(&mut self, other: Self) {
        self.time += other.time;
        self.failed.extend(other.failed);
        for (name, times) in other.counts {
            *self.counts.entry(name).or_default() += times;
        }
        for (name, times) in other.weather {
            *self.weather.entry(name).or_default() += times;
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a whole number"))
}

#[test]
fn whatever_happens_the_invariants_hold() {
    if let Some(seed) = number("SIM_SEED") {
        return replay(seed);
    }
    let from = number("SIM_FROM").unwrap_or(0);
    let until = from + number("SIM_SEEDS").unwrap_or(SEEDS);
    let in_production = if from == 0 { IN_PRODUCTION } else { 0 };
    let end = until + in_production;
    let next = AtomicU64::new(from);
    let some = || {
        let mut tally = Tally::default();
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                seed if seed < until => tally.add(seed),
                seed if seed < end => tally.add(PRODUCTION + seed - until),
                _ => return tally,
            }
        }
    };
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    let mut all = Tally::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        for worker in workers {
            all.merge(worker.join().unwrap());
        }
    });
    let (lives, hours) = (end - from, all.time.as_secs() / 3_600);
    println!("{lives} lives from {from} on, {hours} virtual hours");
    println!("{:?}\n{:?}", all.counts, all.weather);
    let Some((seed, (_, trace))) = all.failed.first_key_value() else {
        return;
    };
    println!("{trace}\nthat was seed {seed}");
    let failed = all
        .failed
        .iter()
        .map(|(seed, (why, _))| format!("seed {seed}: {why}"));
    let failed: Vec<_> = failed.collect();
    panic!(
        "{} of {lives} lives failed; SIM_SEED=<seed> shows one:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

fn replay(seed: u64) {
    let script = Script::of(seed);
    let run = world::run(&script);
    println!("{script:#?}\n{}", trace::text(&run.lines));
    let failures = checker::check(&script, &run);
    assert!(failures.is_empty(), "seed {seed}:\n{}", failures.join("\n"));
}

/// The seeds whose traces are compared.
const REPLAYED: std::ops::Range<u64> = 0..100;

fn traces() -> String {
    let texts = REPLAYED.map(|seed| trace::text(&world::run(&Script::of(seed)).lines));
    texts.fold(String::new(), |all, text| all + &text)
}

#[test]
fn a_seed_gives_the_same_trace_each_time_and_in_another_process() {
    let other = Command::new(env::current_exe().unwrap())
        .args(["--exact", "print_the_traces", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let other = String::from_utf8(other.stdout).unwrap();
    let mut other = other.split(BORDER).skip(1);
    let (here, there) = (traces(), other.next().unwrap_or_default());
    let parted = here
        .lines()
        .zip(there.lines())
        .find(|(one, two)| one != two);
    assert_eq!(parted, None);
    assert_eq!(here, there);
    assert!(here.lines().count() > 10_000, "lives, and not a few lines");
}

const BORDER: &str = "\n=== traces ===\n";

#[test]
#[ignore = "for the other process of the test above"]
fn print_the_traces() {
    print!("{BORDER}{}{BORDER}", traces());
}
