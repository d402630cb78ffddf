//! A fleet of real processes on a real Redis, which are killed on the spot.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    unreachable_pub,
    dead_code
)]

mod child;
mod fleet;
#[path = "../store/server.rs"]
mod server;

use std::{env, thread::sleep, time::Duration};

use fastrand::Rng;

use self::{
    fleet::{Fleet, PROCESSES},
    server::Server,
};

const MOMENT: Duration = Duration::from_millis(100);

/// Draws from a seed who is killed when. `PROCESSES_SEED` repeats it, as far as the machine goes along.
fn rng() -> Rng {
    let seed =
        env::var("PROCESSES_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("PROCESSES_SEED={seed}");
    Rng::with_seed(seed)
}

#[test]
fn killed_processes_leave_the_others_with_one_session_that_is_alive() {
    let Some(redis) = Server::start() else { return };
    let mut rng = rng();
    let mut fleet = Fleet::new(&redis);
    for number in 0..PROCESSES {
        fleet.start(number);
    }
    fleet.come_to_rest();
    // Sessions are ended all the time, so that many a killed process was just about to make one.
    for _ in 0..60 {
        sleep(MOMENT.mul_f64(rng.f64() * 2.0));
        fleet.tell(rng.usize(..PROCESSES), "invalidate");
        if rng.u8(..3) == 0 {
            let number = rng.usize(..PROCESSES);
            fleet.kill(number);
            fleet.start(number);
        }
    }
    let (creates, ended) = (fleet.creates(), fleet.invalidations() + fleet.kills());
    assert!(creates <= 1 + ended, "{creates} creates for {ended} ends");
    assert!(creates > 5, "{creates}: it has come to something");
    fleet.come_to_rest();
    assert_eq!(
        fleet.sessions_in_use().len(),
        1,
        "all of them bear the same one"
    );
    fleet.end();
}

#[test]
fn a_redis_that_is_killed_and_comes_back_empty_costs_no_session() {
    let Some(mut redis) = Server::start() else {
        return;
    };
    let mut fleet = Fleet::new(&redis);
    for number in 0..PROCESSES {
        fleet.start(number);
    }
    fleet.come_to_rest();
    let before = fleet.sessions_in_use();
    for _ in 0..2 {
        redis.kill();
        sleep(10 * MOMENT);
        redis.start_again();
        sleep(10 * MOMENT);
        redis.stop();
        sleep(20 * MOMENT);
        redis.go_on();
        sleep(5 * MOMENT);
        redis.ask::<()>(&["FLUSHALL"]);
        sleep(10 * MOMENT);
    }
    fleet.come_to_rest();
    assert_eq!(fleet.sessions_in_use(), before);
    assert_eq!(fleet.creates(), 1);
    // A process that starts now finds it.
    fleet.kill(0);
    fleet.start(0);
    fleet.come_to_rest();
    assert_eq!(fleet.creates(), 1);
    fleet.end();
}

/// Not a test, but one of the processes.
#[test]
#[ignore = "is started by the others"]
fn member() {
    child::run();
}
