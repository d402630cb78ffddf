//! All measurements, in the order in which they run.

use std::{collections::HashMap, io::Result, thread, time::Duration};

use super::goals::Spread;
use crate::{
    cases::{self, Case},
    count,
    e2e::{How, Load, Server},
    growth::{self, Points},
    herd,
    renewals::{self, Waits},
    scale, time,
};

const RUNS: usize = 3;
const SCALED: [&str; 7] = [
    "bare",
    "by-hand",
    "by-hand-own",
    "set-header",
    "hit",
    "hit-cloned",
    "hit-crowd",
];

/// The name of what grows, its points, and the value from which its curve is fitted.
pub type Growth<'a> = (&'static str, &'a [(f64, f64)], f64);

pub struct Measured {
    pub cases: Vec<Case>,
    /// Nanoseconds per call, for each run.
    nanos: HashMap<&'static str, Vec<f64>>,
    pub instructions: HashMap<&'static str, f64>,
    pub scale: HashMap<&'static str, Spread>,
    pub loopback: Loopback,
    pub waits: Waits,
    pub herd: Spread,
    pub weights: HashMap<String, f64>,
    pub calls: Points,
    pub with_keys: [Points; 3],
    pub waiting: [Points; 2],
}

/// The layer's cost divided by that of a header that is inserted by hand.
pub struct Loopback {
    pub instructions: Spread,
    pub throughput: Spread,
}

impl Measured {
    pub fn new(weights: &str) -> Result<Self> {
        let weight = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        let cases = cases::all();
        let mut nanos: HashMap<_, Vec<_>> = HashMap::new();
        for run in 0..RUNS {
            eprintln!("times, run {}", run + 1);
            for (case, time) in cases.iter().zip(time::run(&cases, 60)) {
                nanos.entry(case.name).or_default().push(time);
            }
        }
        eprintln!("instructions");
        let mut instructions = HashMap::new();
        for case in &cases {
            instructions.insert(case.name, count::instructions(case.name)?);
        }
        eprintln!("two threads");
        let scaled = |name| {
            (
                name,
                Spread::of((0..RUNS).map(|_| scale::two_threads(&cases::named(name), 15).0)),
            )
        };
        let scale = SCALED.into_iter().map(scaled).collect();
        eprintln!("loopback");
        // Runs on a thread of its own, because it is bound to a core.
        let loopback = thread::spawn(loopback).join().expect("no panic")?;
        eprintln!("renewals, herd");
        let waits = renewals::waits();
        let herd = Spread::of((0..RUNS).map(|_| {
            let ratio = || herd::cold(10_000) / herd::woken(10_000);
            time::median(&mut (0..9).map(|_| ratio()).collect::<Vec<_>>())
        }));
        eprintln!("growth");
        Ok(Self {
            nanos,
            instructions,
            scale,
            loopback,
            waits,
            herd,
            weights: weights.lines().filter_map(weight).collect(),
            calls: growth::calls(),
            with_keys: growth::with_keys(),
            waiting: growth::waiting(),
            cases,
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.nanos.contains_key(name)
    }

    pub fn nanos(&self, name: &str) -> Spread {
        Spread::of(self.nanos[name].iter().copied())
    }

    /// Returns the time divided by that of an anchor in the same run.
    pub fn times(&self, name: &str, anchor: &str) -> Spread {
        Spread::of(
            self.nanos[name]
                .iter()
                .zip(&self.nanos[anchor])
                .map(|(a, b)| a / b),
        )
    }

    pub fn counts(&self, name: &str, anchor: &str) -> f64 {
        self.instructions[name] / self.instructions[anchor]
    }

    /// Returns the difference in instructions and in nanoseconds.
    pub fn difference(&self, more: &str, less: &str) -> (f64, f64) {
        let instructions = self.instructions[more] - self.instructions[less];
        (
            instructions,
            self.nanos(more).median - self.nanos(less).median,
        )
    }

    /// Each curve is fitted from a minimum on. Below it, fixed costs outweigh the costs that grow.
    pub fn growth(&self) -> [Growth<'_>; 6] {
        let [keys, constant, made] = &self.with_keys;
        let [served, woken] = &self.waiting;
        [
            ("a call, once so many have been made", &self.calls, 1.0),
            ("a call, with so many keys used evenly", keys, 1.0),
            ("a constant header, with as many keys", constant, 1.0),
            ("all sessions of so many keys made", made, 100.0),
            (
                "all callers served that waited for one create",
                served,
                100.0,
            ),
            (
                "as many tasks woken by a channel, and a call each",
                woken,
                100.0,
            ),
        ]
    }
}

fn loopback() -> Result<Loopback> {
    let server = Server::start()?;
    let mut instructions = Vec::new();
    for _ in 0..RUNS {
        let per_request = |how: &str| -> Result<f64> {
            let count = |n| count::callgrind(&["requests", &server.url, how], n, &[]);
            Ok(count(6_000)? - count(3_000)?)
        };
        instructions.push(per_request("ours")? / per_request("by-hand")?);
    }
    let load = Load::new(&server.url);
    let pair = |i: usize| {
        // The two clients take turns in going first.
        let window = |how| load.for_a_while(how, Duration::from_millis(60));
        if i.is_multiple_of(2) {
            let ours = window(How::Ours);
            ours / window(How::ByHand)
        } else {
            let by_hand = window(How::ByHand);
            window(How::Ours) / by_hand
        }
    };
    let throughput = (0..RUNS).map(|_| time::median(&mut (0..60).map(pair).collect::<Vec<_>>()));
    Ok(Loopback {
        instructions: Spread::of(instructions),
        throughput: Spread::of(throughput),
    })
}
