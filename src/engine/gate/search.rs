//! Every order of inputs to the gate, up to a bound. What it promises holds in each state that can be reached.
//!
//! The own key, and one with two sets of defaults that the server has not accepted yet. Creates that wait, call, succeed, fail in four ways, pause, are fenced or
//! dropped. `SEARCH_DEPTH` says how many inputs deep; the bound on time is 12 steps of it.

use std::{
    collections::HashMap,
    env,
    fmt::{self, Write},
    hash::{DefaultHasher, Hasher},
};

use super::*;
use crate::{ErrorKind, api::SessionDefaults, model::partition::HashedDefaults, secret::ApiKey};

/// So deep in `cargo test`.
const DEPTH: usize = 6;
/// No create waits longer for its first call.
const PATIENCE: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Within the floor between two calls, past it, past a token, and past a refused key's first pause.
const STEPS: [u64; 4] = [100, 300, 5_000, 31_000];
const MOST_STEPS: usize = 12;

#[derive(Clone, Copy, Debug)]
enum Failure {
    /// Nobody can connect.
    Unreachable,
    RateLimited,
    Credentials,
    Rejected,
}

#[derive(Clone, Copy, Debug)]
enum Input {
    /// A request needs a session of this partition.
    Need(usize),
    /// A create asks whether it may call.
    Turn(u64),
    Succeeds(u64),
    /// It gives up, or goes on after a pause.
    Fails(u64, Failure, bool),
    /// Its runtime is gone.
    Dropped(u64),
    Fenced(usize),
    Passes(u64),
}

#[derive(Clone, Debug)]
enum Phase {
    Queued(Reading),
    Calling(Reading),
    Pausing,
}

#[derive(Clone)]
struct World {
    gate: Gate<()>,
    creates: BTreeMap<u64, (usize, Phase)>,
    next: u64,
    now: Duration,
    steps: usize,
    /// When calls went out, and for which partition.
    calls: Vec<(Duration, usize)>,
    /// How this state was first reached.
    trail: Vec<Input>,
}

struct Fixture {
    budget: CallBudget,
    partitions: Vec<Arc<Partition>>,
}

impl Fixture {
    fn new(burst: u32) -> Self {
        let partition = |key: &str, chain: &str| {
            let defaults = SessionDefaults::new().chain(chain.into());
            Partition::new(ApiKey::from(key), &HashedDefaults::new(defaults)).unwrap()
        };
        Self {
            budget: CallBudget::new(12, burst).unwrap(),
            partitions: vec![
                partition("own", "near"),
                partition("other", "sui"),
                partition("other", "near"),
            ],
        }
    }

    fn start(&self) -> World {
        let mut gate = Gate::new(self.budget, TIMEOUT);
        gate.known_keys.own(Some(self.partitions[0].key_id));
        World {
            gate,
            creates: BTreeMap::new(),
            next: 1,
            now: DAY,
            steps: 0,
            calls: Vec::new(),
            trail: Vec::new(),
        }
    }

    fn inputs(&self, world: &World) -> Vec<Input> {
        let mut inputs = Vec::new();
        for (index, partition) in self.partitions.iter().enumerate() {
            inputs.push(match world.gate.flight(partition.id) {
                None => Input::Need(index),
                Some(_) => Input::Fenced(index),
            });
        }
        for (create, (_, phase)) in &world.creates {
            match phase {
                Phase::Queued(_) | Phase::Pausing => inputs.push(Input::Turn(*create)),
                Phase::Calling(_) => {
                    inputs.push(Input::Succeeds(*create));
                    for failure in [
                        Failure::Unreachable,
                        Failure::RateLimited,
                        Failure::Credentials,
                        Failure::Rejected,
                    ] {
                        inputs.push(Input::Fails(*create, failure, false));
                    }
                    inputs.push(Input::Fails(*create, Failure::Unreachable, true));
                }
            }
            inputs.push(Input::Dropped(*create));
        }
        if world.steps < MOST_STEPS {
            inputs.extend(STEPS.map(Input::Passes));
        }
        inputs
    }

    fn apply(&self, world: &mut World, input: Input) {
        let now = world.now();
        world.trail.push(input);
        match input {
            Input::Need(index) => self.need(world, index),
            Input::Turn(create) => self.turn(world, create),
            Input::Succeeds(create) => {
                let (index, Phase::Calling(sent)) = world.creates[&create].clone() else {
                    unreachable!()
                };
                world.gate.succeeded(&self.partitions[index], sent);
                world.gate.reached();
                self.end(world, create);
            }
            Input::Fails(create, failure, goes_on) => {
                let partition = &self.partitions[world.creates[&create].0];
                let error = match failure {
                    Failure::Unreachable => {
                        let error = Error::new(ErrorKind::Unavailable, "");
                        world
                            .gate
                            .unreachable(partition, Purpose::Create, error, now)
                    }
                    Failure::RateLimited => {
                        let error = Error::new(ErrorKind::RateLimited, "")
                            .with_retry_after(Duration::from_secs(2));
                        world.gate.failed(partition, Purpose::Create, error, now)
                    }
                    Failure::Credentials | Failure::Rejected => {
                        let kind = match failure {
                            Failure::Credentials => ErrorKind::Credentials,
                            _ => ErrorKind::Rejected,
                        };
                        world
                            .gate
                            .failed(partition, Purpose::Create, Error::new(kind, ""), now)
                    }
                };
                assert!(
                    error.next_attempt_in().is_some(),
                    "whoever failed knows when to try again: {error:?}"
                );
                if goes_on {
                    world.gate.begin_pause(create, now);
                    world.creates.get_mut(&create).unwrap().1 = Phase::Pausing;
                } else {
                    self.end(world, create);
                }
            }
            Input::Dropped(create) => self.end(world, create),
            Input::Fenced(index) => drop(world.gate.fence(self.partitions[index].id)),
            Input::Passes(millis) => {
                world.now += Duration::from_millis(millis);
                world.steps += 1;
            }
        }
    }

    fn need(&self, world: &mut World, index: usize) {
        let (partition, now) = (&self.partitions[index], world.now());
        if let Err(error) = world.gate.check(partition, Purpose::Create, PATIENCE, now) {
            assert!(
                error.retry_after().is_some_and(|after| !after.is_zero()),
                "{error:?}"
            );
            return;
        }
        let place = if world.gate.comes_behind(partition, Purpose::Create, now) {
            Place::Behind
        } else {
            Place::Queue
        };
        let create = world.next;
        world.next += 1;
        world.gate.begin(partition.id, create, (), place, now);
        world.creates.insert(create, (index, Phase::Queued(now)));
    }

    fn turn(&self, world: &mut World, create: u64) {
        let now = world.now();
        let index = world.creates[&create].0;
        let partition = &self.partitions[index];
        if !world.gate.is_flying(partition.id, create) {
            return self.end(world, create);
        }
        match world
            .gate
            .clear(partition, Purpose::Create, Some(create), now)
        {
            Clearance::Granted => {
                if let Phase::Pausing = world.creates[&create].1 {
                    world.gate.end_pause(create);
                } else {
                    world.gate.leave_queue(partition.id, create, now);
                }
                world.calls.push((world.now, index));
                world.creates.get_mut(&create).unwrap().1 = Phase::Calling(now);
            }
            Clearance::Wait(wait, _) => assert!(!wait.is_zero()),
            Clearance::Soon => {}
        }
    }

    fn end(&self, world: &mut World, create: u64) {
        let (index, _) = world.creates.remove(&create).unwrap();
        world.gate.end(self.partitions[index].id, create);
    }

    /// I8: the budget, and the floor between two calls of a partition.
    fn check_calls(&self, world: &World) {
        let Some((last, of)) = world.calls.last() else {
            return;
        };
        for (position, (first, index)) in world.calls.iter().rev().enumerate() {
            let apart = last.saturating_sub(*first);
            let within = self.budget.bound(apart);
            assert!((position as u64) < within, "{:?}", world.trail);
            let is_apart = position == 0 || index != of || apart >= FLOOR;
            assert!(is_apart, "{:?}", world.trail);
        }
    }

    /// What holds in every state.
    fn check(&self, world: &World) {
        let mut gate = world.gate.clone();
        let now = world.now();
        assert_eq!(
            gate.under_way.len(),
            world.creates.len(),
            "who is under way is known: {:?}",
            world.trail
        );
        // One whose runtime stood still for long counts no more, until it asks again.
        let is_recent = |since: Reading| now.since(since) < overdue_after(TIMEOUT);
        let (mut least, mut most) = (0, 0);
        for (create, (index, phase)) in &world.creates {
            if gate.is_flying(self.partitions[*index].id, *create) {
                least += usize::from(matches!(phase, Phase::Queued(since) if is_recent(*since)));
                most += usize::from(!matches!(phase, Phase::Calling(_)));
            }
        }
        let places = gate.queue.len(now) + gate.behind.len(now);
        assert!(
            (least..=most).contains(&places),
            "{places} places for {least} to {most}: {:?}",
            world.trail
        );
        self.check_calls(world);
        // I9: nothing holds anybody back for ever.
        for (create, (index, _)) in &world.creates {
            gate.end(self.partitions[*index].id, *create);
        }
        let later = World {
            now: world.now + DAY,
            ..world.clone()
        }
        .now();
        for partition in &self.partitions {
            let may = gate.check(partition, Purpose::Create, PATIENCE, later);
            assert!(may.is_ok(), "{may:?}: {:?}", world.trail);
        }
    }
}

impl World {
    fn now(&self) -> Reading {
        Reading {
            monotonic: self.now,
            wall: self.now,
        }
    }

    /// All that its future depends on, and how many calls it took to come here.
    fn fingerprint(&self) -> u128 {
        let mut text = Fingerprint::default();
        write!(
            text,
            "{:?} {:?} {:?} {} {}",
            self.gate,
            self.creates,
            self.now,
            self.steps,
            self.calls.len()
        )
        .unwrap();
        text.finish()
    }
}

#[derive(Default)]
struct Fingerprint(DefaultHasher);

impl Write for Fingerprint {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Fingerprint {
    fn finish(mut self) -> u128 {
        let first = self.0.finish();
        self.0.write_u8(1);
        u128::from(first) << 64 | u128::from(self.0.finish())
    }
}

/// Returns how many states there are, and how many inputs led to them.
fn search(fixture: &Fixture, depth: usize) -> (usize, u64) {
    let start = fixture.start();
    let mut seen = HashMap::from([(start.fingerprint(), 0)]);
    let (mut stack, mut inputs) = (vec![(start, 0)], 0);
    while let Some((world, reached_in)) = stack.pop() {
        if reached_in == depth {
            continue;
        }
        for input in fixture.inputs(&world) {
            let mut next = world.clone();
            fixture.apply(&mut next, input);
            inputs += 1;
            let before = seen.entry(next.fingerprint()).or_insert(usize::MAX);
            if *before == usize::MAX {
                fixture.check(&next);
            }
            // What is reached sooner leads further.
            if *before > reached_in + 1 {
                *before = reached_in + 1;
                stack.push((next, reached_in + 1));
            }
        }
    }
    (seen.len(), inputs)
}

#[test]
fn whatever_comes_in_whatever_order_the_gate_keeps_its_promises() {
    let depth = env::var("SEARCH_DEPTH").map_or(DEPTH, |depth| depth.parse().unwrap());
    for burst in [1, 2] {
        let (states, inputs) = search(&Fixture::new(burst), depth);
        println!("burst {burst}: {states} states, {depth} deep, by {inputs} inputs");
        assert!(states > 1_000);
    }
}
