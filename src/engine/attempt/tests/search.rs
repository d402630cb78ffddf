//! Searches every order of events, up to a bound. There are two keys with three sets of defaults, a fleet, and a server
//! that may answer anything. Attempts create, renew and check sessions. The promises must hold in every state that can
//! be reached.
//!
//! `SEARCH_DEPTH` sets how many events deep the search goes.

use std::{
    collections::HashMap,
    env,
    fmt::{self, Write},
    hash::{DefaultHasher, Hasher},
};

use super::{
    came::Came,
    world::{DAY, Flying, Happening, Setting, TIMEOUT, World},
    *,
};
use crate::engine::flight::overdue_after;

/// How many events deep `cargo test` searches.
const DEPTH: usize = 5;
/// The most inputs an attempt may take until it ends, whatever they are.
const MOST_WAITS: usize = 400;
/// In one of so many states, a test drives all attempts to their end.
const ENDS_AT: u64 = 7;
/// Three ways in which a server and its fleet go on failing for ever.
const FAILURES: [&[Came]; 3] = [
    &[
        Came::Due,
        Came::Create,
        Came::Unreachable,
        Came::Unclear,
        Came::Refused,
    ],
    &[
        Came::Due,
        Came::Create,
        Came::Gateway,
        Came::UnclearInPlace,
        Came::NothingKnown,
    ],
    &[
        Came::Due,
        Came::AskAbout,
        Came::Made,
        Came::Refused,
        Came::Unanswered,
    ],
];

#[derive(Default)]
struct Fingerprint(DefaultHasher);

impl Write for Fingerprint {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// Hashes everything that the future of a state depends on.
fn fingerprint(world: &World<'_>) -> u128 {
    let mut text = Fingerprint::default();
    let (gate, flying) = (&world.gate, &world.flying);
    let (current, over, now) = (world.current, &world.over, world.now);
    let (answered, is_outage) = (world.answered, world.is_outage);
    write!(text, "{gate:?} {flying:?} {current:?} {over:?}").unwrap();
    let in_vain = world.in_vain;
    write!(text, "{now:?} {answered:?} {is_outage} {in_vain:?}").unwrap();
    let first = text.0.finish();
    text.0.write_u8(1);
    u128::from(first) << 64 | u128::from(text.0.finish())
}

/// Checks what must hold in every state.
fn check(world: &World<'_>) {
    let trail = &world.trail;
    assert_eq!(
        world.gate.under_way(),
        world.flying.len() as u64,
        "who is under way is known: {trail:?}"
    );
    // I2: each partition has one attempt at most, not counting attempts whose place was taken.
    for (index, partition) in world.setting.partitions.iter().enumerate() {
        let is_its = |(generation, flying): &(&u64, &Flying)| {
            flying.partition == index && world.gate.is_flying(partition.id, **generation)
        };
        assert!(world.flying.iter().filter(is_its).count() <= 1, "{trail:?}");
    }
    check_places(world.clone());
    check_anew(world.clone());
}

/// Checks that each attempt that waits for its first call has a place in the queue, and that no other attempt keeps
/// one.
fn check_places(mut world: World<'_>) {
    let (mut least, mut most, now) = (0, 0, world.reading());
    for (generation, flying) in &world.flying {
        let id = world.setting.partitions[flying.partition].id;
        if world.gate.is_flying(id, *generation) {
            let step = flying.attempt.step();
            // An attempt whose runtime has stalled for long does not count in the queue any more.
            let is_recent = now.since(flying.attempt.begun) < overdue_after(TIMEOUT);
            // An attempt that has had its turn takes no second place when it goes on to check the session itself.
            let is_inside = flying.attempt.place == Queueing::Inside;
            let waits = matches!(step, Step::Queued(_) | Step::Pausing(_));
            least += usize::from(waits && is_inside && is_recent);
            // Attempts for keys that the server has not accepted yet stay in the queue between two calls.
            most += usize::from(is_inside || waits);
        }
    }
    let places = world.gate.queued(now);
    let trail = &world.trail;
    assert!(
        (least..=most).contains(&places),
        "{places} places for {least} to {most}: {trail:?}"
    );
}

/// I9: checks that each attempt ends, however often it fails in the same way.
fn check_ends(mut world: World<'_>, always: &[Came]) {
    for generation in world.flying.keys().copied().collect::<Vec<_>>() {
        for waits in 0.. {
            let Some(flying) = world.flying.get(&generation) else {
                break;
            };
            assert!(waits < MOST_WAITS, "it goes on for ever: {:?}", world.trail);
            let may_come: Vec<_> = world.may_come(flying).collect();
            let came = always.iter().find(|came| may_come.contains(came));
            let came = came.or(may_come.last().copied()).unwrap();
            world.apply(Happening::Comes(generation, *came));
        }
    }
}

/// I9: checks that nothing is held back for ever, and that a dropped attempt gives up its places in the queues.
fn check_anew(mut world: World<'_>) {
    for generation in world.flying.keys().copied().collect::<Vec<_>>() {
        world.apply(Happening::Dropped(generation));
    }
    assert_eq!(world.gate.places(world.reading()), 0, "{:?}", world.trail);
    world.now += DAY;
    let now = world.reading();
    for partition in &world.setting.partitions {
        let may = world
            .gate
            .check(partition, Purpose::Create, Duration::ZERO, now);
        assert!(may.is_ok(), "{may:?}: {:?}", world.trail);
    }
}

/// Returns how many states were found, and how many events led to them.
fn search(setting: &Setting, depth: usize) -> (usize, u64) {
    let start = World::new(setting, 0);
    let mut seen = HashMap::from([(fingerprint(&start), 0)]);
    let (mut stack, mut steps, mut next) = (vec![(start, 0)], 0, Vec::new());
    while let Some((world, reached_in)) = stack.pop() {
        if reached_in == depth {
            continue;
        }
        world.happenings(&mut next);
        for happening in &next {
            let mut after = world.clone();
            after.apply(*happening);
            steps += 1;
            let before = seen.entry(fingerprint(&after)).or_insert(usize::MAX);
            if *before == usize::MAX {
                check(&after);
                if steps % ENDS_AT == 0 {
                    for always in FAILURES {
                        check_ends(after.clone(), always);
                    }
                }
            }
            // A state that is reached in fewer events has more events left before the bound, so it is searched again.
            if *before > reached_in + 1 {
                *before = reached_in + 1;
                stack.push((after, reached_in + 1));
            }
        }
    }
    (seen.len(), steps)
}

#[test]
fn whatever_happens_in_whatever_order_attempts_keep_their_promises() {
    let depth = env::var("SEARCH_DEPTH").map_or(DEPTH, |depth| depth.parse().unwrap());
    for (burst, is_told, may_go_on, shares) in [(1, true, false, false), (2, false, true, true)] {
        let setting = Setting::new(burst, is_told, may_go_on, shares);
        let (states, steps) = search(&setting, depth);
        println!("burst {burst}: {states} states, {depth} deep, by {steps} happenings");
        assert!(states > 1_000);
    }
}
