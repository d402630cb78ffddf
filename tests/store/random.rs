//! Both stores, driven by the same script of steps, answer the same.

use std::{env, time::Duration};

use fastrand::Rng;
use sipher_session::store::{Claim, Found, Kept, Record};

use crate::subject::{MINUTE, Subject, member, record};

const SCRIPTS: u64 = 60;
const STEPS: usize = 80;

#[tokio::test]
async fn two_stores_answer_the_same_whatever_is_asked() {
    let seed =
        env::var("STORE_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("STORE_SEED={seed}");
    let Some(redis) = Subject::redis() else {
        return;
    };
    for script in 0..SCRIPTS {
        redis.forget_everything();
        let mut pair = Pair {
            memory: Subject::memory(),
            redis: &redis,
            granted: vec![(0, 0)],
            rng: Rng::with_seed(seed.wrapping_add(script)),
        };
        for step in 0..STEPS {
            let (step_is, answers) = pair.step().await;
            let [memory, redis] = answers;
            assert_eq!(
                memory, redis,
                "STORE_SEED={seed}, script {script}, step {step}: {step_is}"
            );
        }
    }
}

struct Pair<'a> {
    memory: Subject,
    redis: &'a Subject,
    /// What each has granted. Their clocks differ, and so do the numbers; what was granted together is the same.
    granted: Vec<(u64, u64)>,
    rng: Rng,
}

impl Pair<'_> {
    /// Takes one step in each, and tells what it was and what each answered.
    async fn step(&mut self) -> (String, [String; 2]) {
        let (one, two) = (&self.memory, self.redis);
        let by = member(self.rng.u8(1..4));
        // Mostly one of the latest.
        let known = self.granted.len();
        let which = known - 1 - self.rng.usize(0..known).min(self.rng.usize(0..known));
        let generation = self.granted[which];
        // Never ends when time is turned: that is by whole minutes.
        let time = *self.rng.choice(&[10, 30, 90]).unwrap() * MINUTE + MINUTE / 2;
        let left = *self.rng.choice(&[10, 30, 90]).unwrap() * MINUTE + MINUTE / 2;
        let choice = self.rng.u8(0..20);
        let said = format!("{choice} by {by} of the grant {which} for {time:?}, {left:?}");
        let made = |generation: u64| Record {
            left,
            ..record_like(generation, which)
        };
        let answers = match choice {
            0 | 1 => [
                self.found(&one.store.get(one.slot).await.unwrap(), 0),
                self.found(&two.store.get(two.slot).await.unwrap(), 1),
            ],
            2..=5 => {
                let left = one
                    .store
                    .claim(one.slot, by, generation.0, time)
                    .await
                    .unwrap();
                let right = two
                    .store
                    .claim(two.slot, by, generation.1, time)
                    .await
                    .unwrap();
                if let (
                    Claim::Granted { generation: a, .. },
                    Claim::Granted { generation: b, .. },
                ) = (&left, &right)
                {
                    self.granted.push((*a, *b));
                }
                [self.claim(&left, 0), self.claim(&right, 1)]
            }
            6..=9 => [
                format!(
                    "{:?}",
                    one.store
                        .publish(one.slot, by, made(generation.0), time)
                        .await
                        .unwrap()
                ),
                format!(
                    "{:?}",
                    two.store
                        .publish(two.slot, by, made(generation.1), time)
                        .await
                        .unwrap()
                ),
            ],
            10 => {
                let pause = if self.rng.bool() {
                    time
                } else {
                    Duration::ZERO
                };
                one.store
                    .release(one.slot, by, generation.0, pause)
                    .await
                    .unwrap();
                two.store
                    .release(two.slot, by, generation.1, pause)
                    .await
                    .unwrap();
                Default::default()
            }
            11..=13 => [
                self.kept(
                    &one.store
                        .keep(one.slot, by, made(generation.0), time)
                        .await
                        .unwrap(),
                    0,
                ),
                self.kept(
                    &two.store
                        .keep(two.slot, by, made(generation.1), time)
                        .await
                        .unwrap(),
                    1,
                ),
            ],
            14..=16 => [
                format!(
                    "{:?}",
                    one.store.leave(one.slot, by, generation.0).await.unwrap()
                ),
                format!(
                    "{:?}",
                    two.store.leave(two.slot, by, generation.1).await.unwrap()
                ),
            ],
            17 => {
                one.store.revoke(one.slot, generation.0).await.unwrap();
                two.store.revoke(two.slot, generation.1).await.unwrap();
                Default::default()
            }
            18 => {
                let passed = *self.rng.choice(&[7, 13, 29, 61]).unwrap() * MINUTE;
                one.pass(passed);
                two.pass(passed);
                Default::default()
            }
            _ => {
                if self.rng.u8(0..4) == 0 {
                    one.forget_everything();
                    two.forget_everything();
                    self.wait_for_higher_grants().await;
                }
                Default::default()
            }
        };
        (said, answers)
    }

    /// Until the time is above what was granted: only then is a grant above it that nobody remembers.
    async fn wait_for_higher_grants(&self) {
        let highest = self.granted.iter().map(|granted| granted.1).max().unwrap();
        while self
            .redis
            .store
            .get(self.redis.slot)
            .await
            .unwrap()
            .now
            .as_millis()
            <= u128::from(highest)
        {}
        let highest = self.granted.iter().map(|granted| granted.0).max().unwrap();
        while self
            .memory
            .store
            .get(self.memory.slot)
            .await
            .unwrap()
            .now
            .as_millis()
            <= u128::from(highest)
        {
            self.memory.pass(Duration::from_millis(1));
        }
    }

    /// Which grant it was, and what was sealed.
    fn found(&self, found: &Found, side: usize) -> String {
        let known = |generation: u64| {
            let is = |granted: &(u64, u64)| [granted.0, granted.1][side] == generation;
            self.granted.iter().position(is)
        };
        let record = found.record.as_ref();
        format!(
            "{:?}",
            record.map(|record| (known(record.generation), &record.sealed))
        )
    }

    fn claim(&self, claim: &Claim, side: usize) -> String {
        match claim {
            Claim::Granted { .. } => "granted".into(),
            Claim::Held { .. } => "held".into(),
            Claim::Published(found) => self.found(found, side),
        }
    }

    fn kept(&self, kept: &Kept, side: usize) -> String {
        match kept {
            Kept::Newer(found) => self.found(found, side),
            other => format!("{other:?}"),
        }
    }
}

/// What is sealed does not depend on the number, which differs.
fn record_like(generation: u64, which: usize) -> Record {
    Record {
        generation,
        sealed: record(which as u64).sealed,
        ..record(generation)
    }
}
