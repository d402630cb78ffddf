//! Times of many cases in one run, measured in turns.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use crate::{
    cases::{Case, MANY},
    lane::{BATCH, Lane, timed_section},
};

/// How many batches of one case run in a row, so that its code and data are cached as in real use. With many keys, each
/// key is used several times.
fn in_a_row(case: &Case) -> usize {
    if case.name.ends_with("-crowd") {
        3 * MANY / BATCH
    } else {
        40
    }
}

/// Returns the nanoseconds per call: for each case, the median over rounds. In each round, every case has its turn.
pub fn run(cases: &[Case], rounds: usize) -> Vec<f64> {
    #[cfg(feature = "peers")]
    let _runtime = crate::peers::enter();
    let mut lanes: Vec<_> = cases.iter().map(|case| (case.lane)()).collect();
    let mut samples = vec![Vec::with_capacity(rounds); cases.len()];
    let empty = median(&mut (0..1_000).map(|_| timed(&mut Nothing)).collect::<Vec<_>>());
    for round in 0..=rounds {
        for step in 0..cases.len() {
            // The neighbours of a case differ from round to round. The first round is a warm-up.
            let i = (step * (1 + round % 5) + round) % cases.len();
            let mut batches: Vec<f64> = (0..in_a_row(&cases[i]))
                .map(|_| timed(&mut *lanes[i]))
                .collect();
            if round > 0 {
                samples[i].push((median(&mut batches) - empty) / BATCH as f64);
            }
        }
    }
    samples.iter_mut().map(|samples| median(samples)).collect()
}

fn timed(lane: &mut dyn Lane) -> f64 {
    let start = Instant::now();
    timed_section(black_box(lane));
    let took = nanos(start.elapsed());
    lane.reset();
    took
}

struct Nothing;

impl Lane for Nothing {
    fn run(&mut self) {}
    fn reset(&mut self) {}
}

pub fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
