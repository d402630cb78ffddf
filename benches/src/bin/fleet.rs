//! Simulates how many session calls a fleet makes in a day, alone and with a shared store.
//!
//! `fleet DIRECTORY` writes a table and a plot. Each process sends one request every five minutes, for 24 hours of
//! virtual time. Sessions live for an hour.

use std::{env, fmt::Write, fs, path::Path, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sipher_session::{
    BoxError, Chain, SessionDefaults, SessionLayer, SessionManager,
    api::Transport,
    store::MemoryStore,
    testing::{FakeSipher, TestClock, Tier},
};
use sipher_session_benches::report::svg;
use tokio::{task::JoinSet, time::sleep};
use tower::{Layer, ServiceExt};

const PROCESSES: [usize; 9] = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const EVERY: Duration = Duration::from_secs(5 * 60);
/// The session operations that a pro key has in a day.
const QUOTA: f64 = 2_000.0;

fn main() -> Result<(), BoxError> {
    let directory = env::args().nth(1).ok_or("fleet DIRECTORY")?;
    let mut measured = Vec::new();
    for processes in PROCESSES {
        let [alone, shared] = [false, true].map(|is_shared| day(processes, is_shared));
        let (alone, shared) = (alone?, shared?);
        eprintln!("{processes} processes: {alone} alone, {shared} shared");
        measured.push((processes, alone, shared));
        // Write after each size, because the last sizes take long.
        write(Path::new(&directory), &measured)?;
    }
    Ok(())
}

/// Returns the number of session calls of one day.
fn day(processes: usize, is_shared: bool) -> Result<usize, BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(async {
        let clock = TestClock::new();
        let store = MemoryStore::new(clock.clone());
        // Without a store, each process has a server of its own. Otherwise the shared quota would stop the processes,
        // and the count would be too low.
        let servers = if is_shared { 1 } else { processes };
        let servers: Vec<_> = (0..servers).map(|_| server()).collect();
        let mut fleet = JoinSet::new();
        for number in 0..processes {
            let (sipher, key) = &servers[number % servers.len()];
            let builder = SessionManager::builder()
                .api_key(key.as_str())
                .defaults(SessionDefaults::new().chain(Chain::Near))
                .transport(Transport::new(sipher.clone()))
                .clock(clock.clone())
                .seed(number as u64);
            let builder = if is_shared {
                builder.store(store.clone())
            } else {
                builder
            };
            let offset = EVERY.mul_f64(number as f64 / processes as f64);
            fleet.spawn(work(builder.build()?, sipher.clone(), offset));
        }
        let mut calls = 0;
        for _ in 0..24 * 12 {
            sleep(DAY / (24 * 12)).await;
            // Clear the log, which is kept in memory.
            for (sipher, _) in &servers {
                calls += sipher.session_calls();
                sipher.assert_no_dead_id();
                sipher.clear_log();
            }
        }
        while let Some(ended) = fleet.join_next().await {
            ended??;
        }
        let last = servers.iter().map(|(sipher, _)| sipher.session_calls());
        Ok(calls + last.sum::<usize>())
    })
}

fn server() -> (FakeSipher, String) {
    let sipher = FakeSipher::new();
    sipher.set_rate_limit(None);
    let key = sipher.api_key(Tier::Enterprise);
    (sipher, key)
}

async fn work(
    sessions: SessionManager,
    sipher: FakeSipher,
    offset: Duration,
) -> Result<(), BoxError> {
    let service = SessionLayer::new(sessions).layer(sipher);
    sleep(offset).await;
    for _ in 0..DAY.as_secs() / EVERY.as_secs() {
        let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from("{}"))?;
        service.clone().oneshot(request).await?;
        sleep(EVERY).await;
    }
    Ok(())
}

fn write(directory: &Path, measured: &[(usize, usize, usize)]) -> Result<(), BoxError> {
    let mut table = String::from("| processes | alone | shared |\n| --- | --- | --- |\n");
    for (processes, alone, shared) in measured {
        writeln!(table, "| {processes} | {alone} | {shared} |")?;
    }
    let points = |of: fn(&(usize, usize, usize)) -> usize| {
        let point = |row: &(usize, usize, usize)| (row.0 as f64, of(row) as f64);
        measured.iter().map(point).collect::<Vec<_>>()
    };
    let (alone, shared) = (points(|row| row.1), points(|row| row.2));
    let last = measured.last().map_or(1.0, |row| row.0 as f64);
    let ends = [1.0, last].map(|x| (x, QUOTA));
    let lines = svg::lines(
        "Session calls in a day",
        "processes on one API key",
        &[
            ("alone".to_owned(), &alone[..]),
            ("what a pro key may do".to_owned(), &ends[..]),
            ("with a shared store".to_owned(), &shared[..]),
        ],
    );
    fs::create_dir_all(directory)?;
    fs::write(directory.join("calls.md"), table)?;
    fs::write(directory.join("calls.svg"), lines)?;
    Ok(())
}
