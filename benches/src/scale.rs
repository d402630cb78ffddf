//! The throughput of two threads, compared with that of one.

use std::{
    hint::black_box,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    cases::Case,
    lane::{BATCH, timed_section},
    time::median,
};

const WINDOW: Duration = Duration::from_millis(20);
/// If a thread had a smaller share of its core than this in a window, other programs disturbed it.
const UNDISTURBED: f64 = 0.97;

struct Worker {
    go: Sender<()>,
    done: Receiver<Window>,
}

#[derive(Clone, Copy)]
struct Window {
    calls_a_second: f64,
    share_of_core: f64,
}

/// Returns the throughput of two threads divided by that of one: the median over windows, and the number of undisturbed
/// windows.
pub fn two_threads(case: &Case, windows: usize) -> (f64, usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let workers: Vec<_> = (0..2)
        .map(|i| worker(case.lane, cores.get(i).copied()))
        .collect();
    let mut good = Vec::new();
    let mut all = Vec::new();
    for round in 0..=3 * windows {
        let alone: Vec<_> = workers
            .iter()
            .map(|worker| together(&[worker])[0])
            .collect();
        let both = together(&workers.iter().collect::<Vec<_>>());
        let sum = |windows: &[Window]| {
            windows
                .iter()
                .map(|window| window.calls_a_second)
                .sum::<f64>()
        };
        let ratio = 2.0 * sum(&both) / sum(&alone);
        let undisturbed = alone
            .iter()
            .chain(&both)
            .all(|window| window.share_of_core >= UNDISTURBED);
        if round > 0 {
            all.push(ratio);
            good.extend(undisturbed.then_some(ratio));
        }
        if good.len() == windows {
            break;
        }
    }
    let undisturbed = good.len();
    let mut samples = if undisturbed * 3 >= windows {
        good
    } else {
        all
    };
    (median(&mut samples), undisturbed)
}

fn together(workers: &[&Worker]) -> Vec<Window> {
    for worker in workers {
        worker.go.send(()).expect("the thread lives");
    }
    workers
        .iter()
        .map(|worker| worker.done.recv().expect("the thread lives"))
        .collect()
}

fn worker(lane: fn() -> Box<dyn crate::lane::Lane>, core: Option<core_affinity::CoreId>) -> Worker {
    let (go, start) = channel();
    let (finished, done) = channel();
    thread::spawn(move || {
        core.map(core_affinity::set_for_current);
        let mut lane = lane();
        while let Ok(()) = start.recv() {
            let (wall, cpu) = (Instant::now(), cpu_time());
            let mut calls = 0;
            while wall.elapsed() < WINDOW {
                for _ in 0..8 {
                    timed_section(black_box(&mut *lane));
                    lane.reset();
                }
                calls += 8 * BATCH;
            }
            let wall = wall.elapsed().as_secs_f64();
            let window = Window {
                calls_a_second: calls as f64 / wall,
                share_of_core: (cpu_time() - cpu) / wall,
            };
            if finished.send(window).is_err() {
                break;
            }
        }
    });
    Worker { go, done }
}

fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
