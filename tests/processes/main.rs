//! A fleet of real processes on a real Redis. Processes are killed without warning.

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
    fleet::{Fleet, Size},
    server::Server,
};

const MOMENT: Duration = Duration::from_millis(100);
const SIZE: Size = Size {
    processes: 8,
    managers: 5,
    ttl: Duration::from_secs(3600),
    create_timeout: Duration::from_secs(4),
};

/// Draws from a seed which process is killed, and when. `PROCESSES_SEED` repeats a run, as far as the timing of the machine allows.
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
    let mut fleet = Fleet::new(&redis, SIZE);
    fleet.start_all();
    fleet.come_to_rest();
    // Sessions are invalidated all the time, so a killed process was often just about to create one.
    for _ in 0..60 {
        sleep(MOMENT.mul_f64(rng.f64() * 2.0));
        fleet.tell(rng.usize(..SIZE.processes), "invalidate");
        if rng.u8(..3) == 0 {
            let number = rng.usize(..SIZE.processes);
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
    let mut fleet = Fleet::new(&redis, SIZE);
    fleet.start_all();
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
    // A process that starts now finds the session.
    fleet.kill(0);
    fleet.start(0);
    fleet.come_to_rest();
    assert_eq!(fleet.creates(), 1);
    fleet.end();
}

/// Takes some minutes: `cargo test --release --test processes --features redis,testing -- --ignored thousand --nocapture`
#[test]
#[ignore = "takes four minutes"]
fn a_thousand_managers_make_one_session_for_each_period_of_renewal() {
    const TTL: Duration = Duration::from_secs(60);
    let Some(mut redis) = Server::start() else {
        return;
    };
    let mut rng = rng();
    let size = Size {
        processes: 20,
        managers: 50,
        ttl: TTL,
        create_timeout: Duration::from_secs(20),
    };
    let mut fleet = Fleet::new(&redis, size);
    fleet.start_all();
    fleet.come_to_rest();
    println!("once all have begun: {} sessions", fleet.creates());
    // A renewal is due after three quarters of a life at the earliest. This bounds the number of sessions in `lives` lives.
    let most = |lives: usize| 1 + lives * 4 / 3;
    sleep(2 * TTL);
    let creates = fleet.creates();
    fleet.print_session_calls();
    println!("in peace: {creates} sessions in {:?}", 2 * TTL);
    assert!((3..=most(2)).contains(&creates), "{creates}");
    // Each kill may hit the middle of a create.
    for _ in 0..TTL.as_secs() {
        sleep(10 * MOMENT);
        let number = rng.usize(..size.processes);
        fleet.kill(number);
        fleet.start(number);
    }
    let (creates, kills) = (fleet.creates() - creates, fleet.kills());
    println!("with {kills} processes killed: {creates} sessions in {TTL:?}");
    assert!(creates <= most(1) + kills, "{creates}");
    fleet.come_to_rest();
    let before = fleet.creates();
    for _ in 0..3 {
        redis.kill();
        sleep(20 * MOMENT);
        redis.start_again();
        sleep(20 * MOMENT);
        redis.stop();
        sleep(30 * MOMENT);
        redis.go_on();
        sleep(10 * MOMENT);
        redis.ask::<()>(&["FLUSHALL"]);
        sleep(10 * MOMENT);
    }
    let creates = fleet.creates() - before;
    println!("with Redis killed, stopped and flushed three times: {creates} sessions");
    // A manager that needs a session while Redis is down creates one of its own.
    assert!(creates <= size.processes * size.managers, "{creates}");
    fleet.come_to_rest();
    assert_eq!(fleet.sessions_in_use().len(), 1, "in the end");
    fleet.end();
}

/// Not a test, but the entry point of each process.
#[test]
#[ignore = "is started by the others"]
fn member() {
    child::run();
}
