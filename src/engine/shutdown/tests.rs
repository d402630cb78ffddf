//! Tests of random shutdowns, each drawn from one seed: sessions of several keys, in use or not, shared or not, with
//! slow deletes.

use std::{collections::BTreeMap, sync::Arc};

use fastrand::Rng;

use super::*;
use crate::{
    api::SessionDefaults,
    model::{budget::CallBudget, partition::HashedDefaults},
    secret::ApiKey,
};

const SEEDS: u64 = 20_000;

#[derive(Clone, Debug)]
struct Session {
    number: usize,
    partition: Arc<Partition>,
    used_until: Duration,
    is_others_too: bool,
    ends: Duration,
}

impl Ending for Session {
    fn is(&self, other: &Self) -> bool {
        self.number == other.number
    }

    fn partition(&self) -> &Partition {
        &self.partition
    }

    fn is_others_too(&self) -> bool {
        self.is_others_too
    }

    fn is_drained(&self, now: Reading) -> bool {
        now.monotonic >= self.used_until
    }

    fn lingers_for(&self, now: Reading) -> Duration {
        self.used_until.saturating_sub(now.monotonic)
    }

    fn left(&self, now: Reading) -> Duration {
        self.ends.saturating_sub(now.monotonic)
    }
}

fn partition(key: &str, chain: &str) -> Arc<Partition> {
    let defaults = SessionDefaults::new().chain(chain.into());
    Partition::new(ApiKey::from(key), &HashedDefaults::new(defaults)).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Came {
    Deleted,
    LeftToOthers,
    Expires,
}

fn at(time: Duration) -> Reading {
    Reading {
        monotonic: time,
        wall: time,
    }
}

struct World {
    rng: Rng,
    now: Duration,
    deadline: Duration,
    budget: CallBudget,
    gate: Gate<()>,
    shutdown: Shutdown<Session>,
    /// When each delete or leave under way ends, and how.
    under_way: Vec<(Duration, Session, Option<Came>)>,
    /// The outcome for each session.
    came: BTreeMap<usize, Came>,
    deletes: Vec<Duration>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let now = Duration::from_secs(1_000);
        let deadline = Duration::from_millis(rng.u64(..30_000));
        let budget = CallBudget::new(60, rng.u32(1..40)).unwrap();
        Self {
            now,
            deadline,
            budget,
            gate: Gate::new(budget, Duration::from_secs(20)),
            shutdown: Shutdown::new(deadline, at(now)),
            under_way: Vec::new(),
            came: BTreeMap::new(),
            deletes: Vec::new(),
            rng,
        }
    }

    fn session(&mut self, number: usize) -> Session {
        let (key, chain) = (["one", "two"][self.rng.usize(..2)], ["near", "sui"][self.rng.usize(..2)]);
        let in_use = Duration::from_millis(self.rng.u64(..40_000));
        Session {
            number,
            partition: partition(key, chain),
            used_until: if self.rng.bool() { self.now } else { self.now + in_use },
            is_others_too: self.rng.u8(..4) == 0,
            ends: self.now + Duration::from_secs(self.rng.u64(1..3_600)),
        }
    }

    fn settle(&mut self, number: usize, came: Came) {
        let before = self.came.insert(number, came);
        assert_eq!(before, None, "I3: {number} has two ends");
    }

    fn begin(&mut self, mut session: Session, time: Duration, came: Came) {
        assert!(session.is_drained(at(self.now)), "I3: it is in use");
        let takes = Duration::from_millis(self.rng.u64(..12_000));
        // A shared session may turn out to be used by no other process any more.
        let is_own = came == Came::LeftToOthers && takes < time && self.rng.bool();
        session.is_others_too &= !is_own;
        let came = if takes < time { came } else { Came::Expires };
        let ended = self.now + takes.min(time);
        self.under_way.push((ended, session, (!is_own).then_some(came)));
        assert!(self.under_way.len() <= SIDE_BY_SIDE);
    }

    /// Waits until a delete or leave ends, or for `wait`.
    fn wait(&mut self, wait: Duration) {
        let first = self.under_way.iter().map(|(ended, ..)| *ended).min();
        let until = self.now + wait;
        let Some(first) = first.filter(|first| *first <= until) else {
            self.now = until;
            return;
        };
        self.now = first.max(self.now);
        let at = self.under_way.iter().position(|(ended, ..)| *ended == first);
        let (_, session, came) = self.under_way.remove(at.unwrap());
        if let Some(came) = came {
            self.settle(session.number, came);
        }
        self.shutdown.ended(session, came.is_none());
    }

    /// I8: the deletes stay within the call budget.
    fn check_budget(&self) {
        for (before, first) in self.deletes.iter().rev().enumerate() {
            let within = self.budget.bound(self.now.saturating_sub(*first));
            assert!((before as u64) < within, "{:?}", self.deletes);
        }
    }

    fn run(&mut self) -> usize {
        let sessions = self.rng.usize(..60);
        let mut late: Vec<_> = (0..sessions).map(|number| self.session(number)).collect();
        let begun = self.now;
        for step in 0.. {
            assert!(step < 10_000, "I9: it goes on for ever");
            // Some sessions are retired only during the shutdown.
            let first = if step == 0 { late.len() / 2 } else { late.len().min(1) };
            let retired: Vec<_> = late.drain(..first).collect();
            let now = at(self.now);
            self.shutdown.admit(retired.into_iter(), now);
            match self.shutdown.next(&mut self.gate, now) {
                Next::Leave(session, time) => {
                    assert!(session.is_others_too);
                    self.begin(session, time, Came::LeftToOthers);
                }
                Next::Delete(session, time) => {
                    assert!(!session.is_others_too, "I3: others use it");
                    self.deletes.push(self.now);
                    self.check_budget();
                    self.begin(session, time, Came::Deleted);
                }
                Next::LeaveToExpire(session) => {
                    let waits = self.now < begun + self.deadline / 2;
                    assert!(!waits, "there is time left for {session:?}");
                    self.settle(session.number, Came::Expires);
                }
                Next::Wait(wait) => {
                    assert!(!wait.is_zero(), "it spins");
                    self.wait(wait);
                }
                Next::Over if late.is_empty() => break,
                Next::Over => {}
            }
        }
        assert!(self.now <= begun + self.deadline, "I9: it is late");
        assert_eq!(self.came.len(), sessions, "I3: each session has an end");
        sessions
    }
}

/// Prints the seed of a run that failed.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

#[test]
fn each_session_has_one_end_in_time_and_none_is_deleted_under_requests_or_others() {
    let (mut sessions, mut came) = (0, BTreeMap::new());
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let replay = Replay(seed);
        sessions += world.run();
        drop(replay);
        for end in world.came.values() {
            *came.entry(format!("{end:?}")).or_insert(0) += 1;
        }
    }
    assert!(sessions > 0);
    assert_eq!(came.len(), 3, "each end happens: {came:?}");
}

#[test]
fn a_key_whose_deletes_hang_leaves_half_of_the_places_to_others() {
    let mut world = World::new(1);
    world.gate = Gate::new(CallBudget::new(60, 60).unwrap(), Duration::from_secs(20));
    world.shutdown = Shutdown::new(Duration::from_secs(30), at(world.now));
    let now = at(world.now);
    let session = |number: usize, key: &str, chain: &str, ends: u64| {
        Session {
            number,
            partition: partition(key, chain),
            used_until: Duration::ZERO,
            is_others_too: false,
            ends: now.monotonic + Duration::from_secs(ends),
        }
    };
    // Each session has defaults of its own: two calls of one partition would have to keep a minimum distance.
    let hangs = (0..40).map(|number| session(number, "hangs", &format!("near-{number}"), 3_600));
    let is_well = (40..60).map(|number| session(number, "is well", &format!("sui-{number}"), 60));
    world.shutdown.admit(hangs.chain(is_well), now);
    let mut begun = Vec::new();
    while let Next::Delete(session, time) = world.shutdown.next(&mut world.gate, now) {
        let all = Duration::from_secs(30);
        assert_eq!(time, if begun.len() < 44 { all / 2 } else { all });
        begun.push(session.number);
    }
    let of_well = begun.iter().filter(|number| **number >= 40).count();
    assert_eq!((begun.len(), of_well), (SIDE_BY_SIDE, SIDE_BY_SIDE / 2));
}

#[test]
fn the_longest_life_is_ended_first() {
    let mut world = World::new(1);
    world.shutdown = Shutdown::new(Duration::from_secs(30), at(world.now));
    let now = at(world.now);
    let lives = [60, 3_600, 600].into_iter().enumerate();
    let sessions = lives.map(|(number, life)| Session {
        partition: partition("one", &format!("near-{number}")),
        number,
        used_until: Duration::ZERO,
        is_others_too: true,
        ends: now.monotonic + Duration::from_secs(life),
    });
    world.shutdown.admit(sessions, now);
    let mut left = Vec::new();
    while let Next::Leave(session, _) = world.shutdown.next(&mut world.gate, now) {
        left.push(session.number);
    }
    assert_eq!(left, [1, 2, 0]);
}

#[test]
fn a_create_is_waited_for_until_there_is_no_time_left_and_may_then_be_an_orphan() {
    let mut world = World::new(1);
    world.shutdown = Shutdown::new(Duration::from_secs(30), at(world.now));
    let (begun, partition) = (at(world.now), partition("one", "near"));
    let place = crate::engine::gate::Place::Queue;
    let flight = world.gate.begin(partition.id, 1, (), place, begun);
    flight.status.calling.store(true, std::sync::atomic::Ordering::Release);
    let waits = world.shutdown.next(&mut world.gate, begun);
    assert!(matches!(waits, Next::Wait(_)), "{waits:?}");
    assert_eq!(world.shutdown.take_orphans(), 0);
    let late = at(world.now + Duration::from_secs(30));
    let over = world.shutdown.next(&mut world.gate, late);
    assert!(matches!(over, Next::Over), "{over:?}");
    assert_eq!(world.shutdown.take_orphans(), 1);
}
