//! Whole lives of a manager, drawn from one number each: many callers, a bad network, a worse server, clocks that are
//! turned and an owner who changes his mind; and a checker that knows what must hold through all of it.
//!
//! ```text
//! cargo test --test simulation                          as many lives as are quick
//! SIM_SEEDS=10000 SIM_FROM=500 cargo test --test simulation -- --nocapture
//! SIM_SEED=42 cargo test --test simulation -- --nocapture     one, with its trace
//! ```

// Virtual time is read here, and a run that cannot be set up is a failure.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod checker;
mod script;
mod trace;
mod wire;
mod world;

use std::{collections::BTreeMap, env, time::Duration};

use script::Script;
use trace::Entry;

/// So many lives are run when nobody says otherwise.
const SEEDS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a whole number"))
}

#[test]
fn whatever_happens_the_invariants_hold() {
    if let Some(seed) = number("SIM_SEED") {
        let script = Script::of(seed);
        let run = world::run(&script);
        println!("{script:#?}\n{}", trace::text(&run.lines));
        let failures = checker::check(&script, &run);
        assert!(failures.is_empty(), "seed {seed}:\n{}", failures.join("\n"));
        return;
    }
    let from = number("SIM_FROM").unwrap_or(0);
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let mut faults = BTreeMap::<String, u64>::new();
    let mut counts = BTreeMap::<&str, u64>::new();
    let mut time = Duration::ZERO;
    let mut failed = Vec::new();
    for seed in from..from + seeds {
        let script = Script::of(seed);
        let run = world::run(&script);
        let failures = checker::check(&script, &run);
        if !failures.is_empty() {
            if failed.is_empty() {
                println!("{}", trace::text(&run.lines));
            }
            failed.push(format!("seed {seed}: {}", failures.join("\n    ")));
        }
        for (name, times) in run.faults {
            *faults.entry(name).or_default() += times;
        }
        time += run
            .lines
            .last()
            .map_or(Duration::ZERO, |line| line.at.monotonic);
        for line in &run.lines {
            let what = match &line.what {
                Entry::Call { .. } => "requests",
                Entry::Sent(sent) if sent.n.is_some() && sent.id.is_some() => "with a session",
                Entry::Sent(sent) if sent.n.is_none() => "session calls",
                _ => continue,
            };
            *counts.entry(what).or_default() += 1;
        }
    }
    println!(
        "{seeds} lives from {from} on, {} virtual hours",
        time.as_secs() / 3_600
    );
    println!("{counts:?}\n{faults:?}");
    assert!(
        failed.is_empty(),
        "{} of {seeds} lives failed; SIM_SEED=<seed> shows one:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn a_seed_gives_the_same_trace_each_time() {
    for seed in 0..20 {
        let script = Script::of(seed).one_by_one();
        let [one, two] = [0; 2].map(|_| trace::text(&world::run(&script).lines));
        let parted = one.lines().zip(two.lines()).find(|(one, two)| one != two);
        assert_eq!(parted, None, "seed {seed}");
        assert_eq!(one, two, "seed {seed}");
    }
}
