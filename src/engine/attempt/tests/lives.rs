//! Long random runs of attempts and the gate. One seed determines each run.
//!
//! `ENGINE_SEEDS` sets the number of runs and `ENGINE_FROM` the first seed. `ENGINE_SEED` runs a single one.

use std::env;

use fastrand::Rng;

use super::{
    came::Came,
    world::{Happening, Setting, World},
};

/// Number of runs in `cargo test`.
const SEEDS: u64 = 20_000;
/// Number of events in each run.
const HAPPENINGS: usize = 60;

pub(super) fn settings() -> [Setting; 16] {
    let is = |index: usize, bit: usize| index >> bit & 1 == 1;
    std::array::from_fn(|index| {
        let burst = if is(index, 0) { 1 } else { 3 };
        Setting::new(burst, is(index, 1), is(index, 2), is(index, 3))
    })
}

pub(super) fn live(world: &mut World<'_>, seed: u64, next: &mut Vec<Happening>) {
    let mut rng = Rng::with_seed(seed);
    // Some runs have few dropped tasks, shutdowns and fences, others have many.
    let (patience, is_calm) = (rng.u8(1..20), rng.bool());
    for _ in 0..HAPPENINGS {
        world.happenings(next);
        let mut happening = next[rng.usize(..next.len())];
        let is_rare = matches!(
            happening,
            Happening::Dropped(_) | Happening::Comes(_, Came::Closed) | Happening::Fenced(_)
        );
        if is_rare && (is_calm || rng.u8(..20) > patience) {
            happening = next[rng.usize(..next.len())];
        }
        world.apply(happening);
    }
}

#[test]
fn whatever_happens_in_thousands_of_lives_attempts_keep_their_promises() {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (one, from) = (number("ENGINE_SEED"), number("ENGINE_FROM").unwrap_or(0));
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => from..from + number("ENGINE_SEEDS").unwrap_or(SEEDS),
    };
    let (settings, mut next, mut calls) = (settings(), Vec::new(), 0);
    for seed in seeds {
        let replay = Replay(seed);
        let setting = usize::try_from(seed % 16).unwrap();
        let mut world = World::new(&settings[setting], seed);
        live(&mut world, seed, &mut next);
        calls += world.calls.len();
        drop(replay);
    }
    assert!(calls > 0);
}

/// Prints the seed of a run that failed.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("ENGINE_SEED={} replays it", self.0);
        }
    }
}
