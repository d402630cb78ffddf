//! Twenty processes with one API key share one session through Redis. The example shows what happens to the session
//! when one of them is killed.
//!
//! `cargo run --example fleet_redis --features redis,testing` starts a `redis-server` of its own, or uses the one that
//! `REDIS_URL` names. Sipher is a fake server on loopback, which counts its calls.

mod member;
mod processes;
mod server;

use std::{env, time::Duration};

use sipher_session::testing::{FakeSipher, Operation, SessionUse, Tier};

use self::{processes::Process, server::Redis};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const PROCESSES: usize = 20;
/// The shortest lease that is allowed. A process goes on with the session for this long while it cannot reach Redis.
const MEMBER_LEASE: Duration = Duration::from_secs(30);

/// Prints a statement, and fails if it does not hold.
macro_rules! check {
    ($holds:expr, $($text:tt)+) => {{
        let text = format!($($text)+);
        println!("   {text}");
        $holds.then_some(()).ok_or_else(|| format!("not as it should be: {text}"))?;
    }};
}

#[tokio::main]
async fn main() -> Result {
    if env::args().nth(1).as_deref() == Some(member::ARGUMENT) {
        return member::run().await;
    }
    let redis = Redis::find()?;
    let sipher = FakeSipher::new();
    let served = sipher.serve().await?;
    let key = sipher.api_key(Tier::Pro);
    let start = || Process::start(redis.url(), &served.base_url(), &key);
    println!(
        "Redis is at {}, Sipher at {}",
        redis.address(),
        served.base_url()
    );

    println!("\n{PROCESSES} processes start, and each sends a request at once");
    let mut fleet = (0..PROCESSES)
        .map(|_| start())
        .collect::<Result<Vec<_>>>()?;
    call(&mut fleet)?;
    check!(
        sipher.count(Operation::Create) == 1,
        "one of them made a session, by one call"
    );
    check!(ids(&sipher).len() == 1, "all {PROCESSES} requests bore it");

    println!("\nOne is killed on the spot, and the others go on");
    fleet.remove(0).kill()?;
    call(&mut fleet)?;
    check!(
        sipher.count(Operation::Create) == 1,
        "nobody needed another session"
    );

    println!("\nA process is started in its place");
    fleet.push(start()?);
    call(&mut fleet)?;
    check!(
        sipher.count(Operation::Create) == 1,
        "it found the session of the others"
    );
    check!(
        ids(&sipher).len() == 1,
        "all requests so far bore one and the same"
    );

    println!("\nThey are shut down one by one");
    let mut last = fleet.remove(0);
    for process in fleet {
        process.shut_down()?;
    }
    last.call()?;
    check!(
        sipher.live_sessions() == 1,
        "the last one still uses the session"
    );
    let report = last.shut_down()?;
    check!(
        sipher.live_sessions() == 1,
        "the killed one never left, so nobody deletes what it may use: the session expires"
    );
    println!("   {report}");

    println!("\nIn all");
    let (creates, calls) = (sipher.count(Operation::Create), sipher.session_calls());
    check!(
        creates == 1,
        "{calls} session calls of {} processes, {creates} of them a create",
        PROCESSES + 1
    );
    sipher.assert_every_call_had_a_session();
    println!("   and no request without a live session");
    Ok(())
}

/// Lets all processes send a request at the same time.
fn call(fleet: &mut [Process]) -> Result {
    fleet.iter_mut().try_for_each(Process::begin_call)?;
    fleet.iter_mut().try_for_each(Process::end_call)
}

/// Returns the ids of the sessions that requests have carried.
fn ids(sipher: &FakeSipher) -> Vec<String> {
    let log = sipher.log().into_iter();
    let mut ids: Vec<_> = log
        .filter_map(|exchange| match exchange.session {
            SessionUse::Live { id, .. } if exchange.operation == Operation::Other => Some(id),
            _ => None,
        })
        .collect();
    ids.sort();
    ids.dedup();
    ids
}
