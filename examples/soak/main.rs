//! A long run in real sockets: two clients on one manager, against a server that restarts, forgets, is away, is slow,
//! and breaks connections, for as long as you like. At the end it judges by what the server saw.
//!
//! Run it with `cargo run --example soak --features testing`, for a minute; `-- 10m` or `SOAK_SECONDS=600`
//! makes it ten. It draws everything it does from a seed, which it prints; `SOAK_SEED=<seed>` makes it do the same again,
//! as far as the network goes along.

mod judge;
mod record;
mod report;
mod settings;
mod traffic;
mod trouble;

use std::{mem, process::ExitCode, sync::Arc, time::Duration};

use fastrand::Rng;
use sipher_session::{
    BoxError, CallBudget, SessionManager,
    testing::{FakeSipher, Tier},
};
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{sleep, timeout},
};

use self::{
    record::Record, report::Report, settings::Settings, traffic::Traffic, trouble::Trouble,
};

/// The shortest that the server grants, so that a minute sees renewals.
const TTL: Duration = Duration::from_secs(60);
const VERIFY_EVERY: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
const CALLERS: usize = 12;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let settings = Settings::read()?;
    println!("soaking for {:?}, {settings}", settings.time);
    let tasks = Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    let mut report = soak(&settings).await?;

    // All of it has been dropped; whoever is told of that only at his next poll gets the time for it.
    for _ in 0..500 {
        if tasks.num_alive_tasks() <= before {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    report.leaked_tasks = tasks.num_alive_tasks().saturating_sub(before);
    println!("{report}");
    let failures = report.failures();
    for failure in &failures {
        eprintln!("FAILED, {settings}: {failure}");
    }
    Ok(ExitCode::from(u8::from(!failures.is_empty())))
}

async fn soak(settings: &Settings) -> Result<Report, BoxError> {
    let mut rng = Rng::with_seed(settings.seed);
    let sipher = FakeSipher::seeded(settings.seed);
    let mut server = sipher.serve().await?;
    let record = Arc::new(Record::new(sipher.clone()));
    let start = record.now();

    // The enterprise's day is long enough for an hour of this.
    let keys = [(); 3].map(|()| sipher.api_key(Tier::Enterprise));
    let sessions = SessionManager::builder()
        .api_key(keys[0].as_str())
        .base_url(server.base_url())
        .defaults(traffic::own_defaults(&mut rng))
        .ttl(TTL)
        .create_timeout(Duration::from_secs(5))
        .max_wait(Duration::from_secs(3))
        .linger(SECOND)
        .verify_every(VERIFY_EVERY)
        .seed(rng.u64(..))
        .build()?;
    let mut listener = tokio::spawn(record.clone().listen(sessions.events()));
    let traffic = Traffic::new(&sessions, &keys, record.clone())?;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(traffic.clone().call_until_shutdown(rng.fork()));
    }

    let mut trouble = Trouble::new(&mut server, &sipher, &record, rng.fork());
    tokio::select! {
        outcome = trouble.make(start + settings.time) => outcome?,
        () = traffic::own(&sessions, rng) => {}
    }

    // What the server forgets leaks no more: so there is something to delete, in peace, at the end.
    traffic::change_thrice(&sessions).await;
    sleep(2 * SECOND).await;

    // The callers go on until they are told that it is over.
    let shutdown = sessions.shutdown(Duration::from_secs(5)).await;
    while callers.join_next().await.transpose()?.is_some() {}
    let stats = sessions.stats();
    drop((sessions, traffic));
    // It ends with the manager, unless some task keeps that.
    if timeout(SECOND, &mut listener).await.is_err() {
        listener.abort();
    }
    server.stop().await;
    record.read_log();
    let seen = mem::take(&mut *record.seen());
    Ok(Report {
        bound: CallBudget::default().bound(record.now().saturating_sub(start)),
        leaked_sessions: report::leaked_sessions(&sipher, &shutdown, &seen),
        leaked_tasks: 0, // not known yet
        seen,
        stats,
        shutdown,
    })
}
