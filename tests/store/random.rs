//! Both stores give the same answers to the same script of steps.

use std::{env, time::Duration};

use fastrand::Rng;
use sipher_session::store::{Claim, Found, Kept, Member, Record};

use crate::subject::{MINUTE, Subject, member, record};

const SCRIPTS: u64 = 60;
const STEPS: usize = 80;

#[tokio::test]
async fn two_stores_answer_the_same_whatever_is_asked() {
    let seed = env::var("STORE_SEED");
    let seed = seed.map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("STORE_SEED={seed}");
    let Some(redis) = Subject::redis() else {
        return;
    };
    for script in 0..SCRIPTS {
        redis.forget_everything();
        let mut rng = Rng::with_seed(seed.wrapping_add(script));
        let memory = Subject::memory();
        let mut sides = [Side::of(&memory), Side::of(&redis)];
        for number in 0..STEPS {
            let step = Step::draw(&mut rng, sides[0].granted.len());
            let [one, other] = &mut sides;
            let (one, other) = (one.take(&step).await, other.take(&step).await);
            assert_eq!(
                one, other,
                "STORE_SEED={seed}, script {script}, step {number}: {step:?}"
            );
        }
    }
}

#[derive(Debug)]
struct Step {
    what: What,
    by: Member,
    /// The index of the grant that the step is about.
    grant: usize,
    lease: Duration,
    left: Duration,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Get,
    Claim,
    Publish,
    Release,
    Pause,
    Keep,
    Leave,
    Revoke,
    Pass(u32),
    Forget,
}

impl Step {
    fn draw(rng: &mut Rng, grants: usize) -> Self {
        use What::{Claim, Forget, Get, Keep, Leave, Pass, Pause, Publish, Release, Revoke};
        let passed = *rng.choice(&[7, 13, 29, 61]).unwrap();
        let what = [
            Get,
            Claim,
            Claim,
            Claim,
            Publish,
            Publish,
            Publish,
            Keep,
            Keep,
            Keep,
            Leave,
            Leave,
            Leave,
            Release,
            Pause,
            Revoke,
            Pass(passed),
            Pass(passed),
            Forget,
        ];
        let mut what = *rng.choice(&what).unwrap();
        if matches!(what, Forget) && rng.bool() {
            what = Get;
        }
        // The clock is set by whole minutes, so no lease ends exactly at such a moment.
        let mut time = || *rng.choice(&[10, 30, 90]).unwrap() * MINUTE + MINUTE / 2;
        let (lease, left) = (time(), time());
        Self {
            what,
            by: member(rng.u8(1..4)),
            // Mostly one of the latest grants.
            grant: grants - 1 - rng.usize(0..grants).min(rng.usize(0..grants)),
            lease,
            left,
        }
    }
}

/// A store, and the grants that it gave. Clocks and numbers differ between two stores, but the order of the grants is the same.
struct Side<'a> {
    it: &'a Subject,
    granted: Vec<u64>,
}

impl<'a> Side<'a> {
    fn of(it: &'a Subject) -> Self {
        Self {
            it,
            granted: vec![0],
        }
    }

    async fn take(&mut self, step: &Step) -> String {
        let (it, by, lease) = (self.it, step.by, step.lease);
        let (store, slot, generation) = (&it.store, it.slot, self.granted[step.grant]);
        // The encrypted part of the record does not depend on the number.
        let made = Record {
            generation,
            left: step.left,
            ..record(step.grant as u64)
        };
        match step.what {
            What::Get => self.found(&store.get(slot).await.unwrap()),
            What::Claim => match store.claim(slot, by, generation, lease).await.unwrap() {
                Claim::Granted { generation, .. } => {
                    self.granted.push(generation);
                    "granted".into()
                }
                Claim::Held { .. } => "held".into(),
                Claim::Published(found) => self.found(&found),
            },
            What::Publish => {
                let accepted = store.publish(slot, by, made, lease).await;
                format!("{}", accepted.unwrap())
            }
            What::Keep => match store.keep(slot, by, made, lease).await.unwrap() {
                Kept::Newer(found) => self.found(&found),
                other => format!("{other:?}"),
            },
            What::Leave => format!("{:?}", store.leave(slot, by, generation).await.unwrap()),
            What::Release => done(store.release(slot, by, generation, Duration::ZERO).await),
            What::Pause => done(store.release(slot, by, generation, lease).await),
            What::Revoke => done(store.revoke(slot, generation).await),
            What::Pass(minutes) => {
                it.pass(minutes * MINUTE);
                self.wait_for_higher_grants().await;
                String::new()
            }
            What::Forget => {
                it.forget_everything();
                self.wait_for_higher_grants().await;
                String::new()
            }
        }
    }

    /// Waits until the time is above all granted numbers. Only then is a new grant above a number that the store has
    /// forgotten. On Redis, `pass` only shortens expiry times, and does not move the server's time.
    async fn wait_for_higher_grants(&self) {
        let highest = u128::from(*self.granted.iter().max().unwrap());
        while self
            .it
            .store
            .get(self.it.slot)
            .await
            .unwrap()
            .now
            .as_millis()
            <= highest
        {
            self.it.pass(Duration::from_millis(1));
        }
    }

    /// Returns which grant a found record belongs to, and its encrypted part.
    fn found(&self, found: &Found) -> String {
        let record = found.record.as_ref();
        let grant = |record: &Record| self.granted.iter().position(|it| *it == record.generation);
        format!("{:?}", record.map(|record| (grant(record), &record.sealed)))
    }
}

fn done<E: std::fmt::Debug>(done: Result<(), E>) -> String {
    done.unwrap();
    String::new()
}
