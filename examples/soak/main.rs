//! A long run over real sockets: two clients use one manager. The server restarts, forgets its sessions, is
//! unreachable, is slow, and breaks connections. At the end, the run is judged by what the server saw.
//!
//! `cargo run --example soak --features testing` runs for a minute. With `-- 10m` or `SOAK_SECONDS=600` it runs for
//! ten. All random choices come from a seed, which is printed. `SOAK_SEED=<seed>` repeats them, as far as the network
//! behaves in the same way.

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

/// The shortest TTL that the server grants, so that sessions are renewed within a minute.
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

    // Everything has been dropped. Some tasks notice that only at their next poll, so give them time.
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

    // The daily quota of the enterprise tier is enough for a run of an hour.
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

    // A session that the server has forgotten cannot leak. So create some sessions that the shutdown has to delete.
    traffic::change_thrice(&sessions).await;
    sleep(2 * SECOND).await;

    // The callers go on until they get the shutdown error.
    let shutdown = sessions.shutdown(Duration::from_secs(5)).await;
    while callers.join_next().await.transpose()?.is_some() {}
    let stats = sessions.stats();
    drop((sessions, traffic));
    // The listener ends when the manager is dropped, unless a task still holds the manager.
    if timeout(SECOND, &mut listener).await.is_err() {
        listener.abort();
    }
    server.stop().await;
    record.read_log();
    let seen = mem::take(&mut *record.seen());
    Ok(Report {
        bound: CallBudget::default().bound(record.now().saturating_sub(start)),
        leaked_sessions: report::leaked_sessions(&sipher, &shutdown, &seen),
        leaked_tasks: 0, // counted later
        seen,
        stats,
        shutdown,
    })
}
