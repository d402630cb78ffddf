//! How the cost grows with the number of calls, keys and waiting callers.

use std::time::Instant;

use crate::{
    cases::{self, crowd_of, keys},
    herd,
    lane::{BATCH, Calls, Lane, timed_section},
    ours::World,
    request::SESSION_ID,
    time::{self, median, nanos},
};

/// Pairs of an amount and its cost.
pub type Points = Vec<(f64, f64)>;

/// Returns the exponent `b` of the curve `a · x^b` that fits best, from `from` on.
pub fn exponent(points: &[(f64, f64)], from: f64) -> f64 {
    let logs: Vec<_> = points
        .iter()
        .filter(|(x, _)| *x >= from)
        .map(|(x, y)| (x.ln(), y.ln()))
        .collect();
    let n = logs.len() as f64;
    let (x, y) = (
        logs.iter().map(|p| p.0).sum::<f64>() / n,
        logs.iter().map(|p| p.1).sum::<f64>() / n,
    );
    let slope: f64 = logs.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    slope / logs.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}

fn decades(to: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1), |n| Some(n * 10)).take_while(move |n| *n <= to)
}

/// Returns the nanoseconds of a call after this many earlier calls.
pub fn calls() -> Points {
    let mut lane = (cases::named("hit").lane)();
    let mut made = 0;
    let mut points = Vec::new();
    for n in decades(1_000_000) {
        while made < n {
            timed_section(&mut *lane);
            lane.reset();
            made += BATCH;
        }
        points.push((n as f64, a_call(&mut *lane)));
    }
    points
}

/// Returns three costs for each number of keys in even use: the nanoseconds of a call, the same for a constant header,
/// and the seconds to create the sessions.
pub fn with_keys() -> [Points; 3] {
    let mut points = [Vec::new(), Vec::new(), Vec::new()];
    for n in decades(100_000) {
        let keys = keys(n);
        let start = Instant::now();
        let world = World::with_keys(&keys);
        let made_in = start.elapsed().as_secs_f64();
        let mut ours = Calls::new(world.service(), crowd_of(&keys), vec![SESSION_ID]);
        let mut constant = Calls::new(
            crate::anchors::set_request_header(),
            crowd_of(&keys),
            vec![SESSION_ID],
        );
        let x = n as f64;
        points[0].push((x, rounds_of(&mut ours, n)));
        points[1].push((x, rounds_of(&mut constant, n)));
        points[2].push((x, made_in));
    }
    points
}

/// Returns the seconds to serve this many waiting callers, from the answer to the create. Also returns the same for
/// tasks that a channel wakes.
pub fn waiting() -> [Points; 2] {
    let mut points = [Vec::new(), Vec::new()];
    for n in decades(10_000) {
        let mut took = [Vec::new(), Vec::new()];
        for _ in 0..7 {
            took[0].push(herd::released(n));
            took[1].push(herd::woken_at_once(n));
        }
        for (points, took) in points.iter_mut().zip(&mut took) {
            points.push((n as f64, median(took)));
        }
    }
    points
}

fn a_call(lane: &mut dyn Lane) -> f64 {
    rounds_of(lane, 1)
}

/// Runs rounds in which every key has its turn.
fn rounds_of(lane: &mut dyn Lane, keys: usize) -> f64 {
    let batches = (keys / BATCH + 1).max(400);
    let mut once = || {
        let start = Instant::now();
        timed_section(lane);
        let took = nanos(start.elapsed());
        lane.reset();
        took / BATCH as f64
    };
    for _ in 0..batches {
        once();
    }
    time::median(&mut (0..batches).map(|_| once()).collect::<Vec<_>>())
}
