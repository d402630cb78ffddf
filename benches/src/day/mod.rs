//! A day in the life of an agent's sessions: an agent that works by day and rests by night, and a server that restarts.

mod agent;
mod draw;
mod incidents;
pub mod picture;
mod watch;

use std::time::Duration;

use sipher_session::{
    BoxError, Chain, SessionDefaults, SessionLayer,
    clock::Clock,
    testing::{FakeSipher, Operation, SessionUse, TestClock},
};
use tower::Layer;

use agent::Agent;
use draw::Draw;
pub use incidents::{Incident, Mark};
pub use watch::{Bar, End};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after its start a test clock shows midnight, when the day begins. The clock starts at 18:00 UTC.
const TO_MIDNIGHT: Duration = Duration::from_secs(6 * 60 * 60);

/// What happened. Times are seconds since midnight.
pub struct Day {
    pub sessions: Vec<Bar>,
    pub requests: Vec<Request>,
    pub calls: Vec<(f64, Operation)>,
    pub questions: Vec<f64>,
    pub marks: Vec<Mark>,
    pub totals: Totals,
}

/// A request of the agent's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    pub at: f64,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered under the session's defaults.
    Right,
    /// Answered under the server's own defaults: the request's session was dead.
    Wrong,
    /// Not answered.
    Failed,
}

#[derive(Debug)]
pub struct Totals {
    pub requests: usize,
    pub wrong: usize,
    pub failed: usize,
    pub sessions: usize,
    pub session_calls: usize,
    pub questions: usize,
}

/// Simulates the day of this seed.
///
/// # Errors
///
/// If something cannot be built.
pub fn live(seed: u64) -> Result<Day, BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(day(seed))
}

async fn day(seed: u64) -> Result<Day, BoxError> {
    let (sipher, clock) = (FakeSipher::seeded(seed), TestClock::new());
    for clock in [&clock, &sipher.clock()] {
        clock.suspend(TO_MIDNIGHT);
    }
    let midnight = clock.now().wall;
    let sessions = sipher
        .manager()
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .clock(clock.clone())
        .seed(seed)
        .build()?;
    let mut draw = Draw::new(seed);
    let script = incidents::script(&mut draw);
    let watch = tokio::spawn(watch::watch(sessions.events(), clock.clone(), midnight));
    let now = {
        let clock = clock.clone();
        move || (clock.now().wall - midnight).as_secs_f64()
    };
    let happen = incidents::happen(script, sipher.clone(), sessions.clone(), now);
    let happen = tokio::spawn(happen);
    let http = SessionLayer::new(sessions.clone()).layer(sipher.clone());
    let agent = Agent::new(http, draw, clock, midnight);
    let failed = agent.work().await?;
    let marks = happen.await??;
    sessions.shutdown(Duration::from_secs(5)).await;
    drop(sessions);
    let watched = watch.await?;
    Ok(told(&sipher, midnight, failed, watched, marks))
}

/// Builds the day from the server's log, the requests that failed, and the manager's events.
fn told(
    sipher: &FakeSipher,
    midnight: Duration,
    failed: Vec<f64>,
    watched: watch::Watched,
    mut marks: Vec<Mark>,
) -> Day {
    let (mut requests, mut calls, mut questions) = (Vec::new(), Vec::new(), Vec::new());
    for exchange in sipher.log() {
        let at = exchange.at.saturating_sub(midnight).as_secs_f64();
        match exchange.operation {
            Operation::Other if exchange.path == "/v1/health" => questions.push(at),
            // Calls with another status are in `failed` already.
            Operation::Other if exchange.status == 200 => {
                let is_live = matches!(exchange.session, SessionUse::Live { .. });
                let outcome = if is_live {
                    Outcome::Right
                } else {
                    Outcome::Wrong
                };
                requests.push(Request { at, outcome });
            }
            Operation::Other => {}
            operation => calls.push((at, operation)),
        }
    }
    let outcome = Outcome::Failed;
    requests.extend(failed.into_iter().map(|at| Request { at, outcome }));
    for i in 0..marks.len() {
        let end = marks.get(i + 1).map_or(f64::MAX, |next| next.at);
        marks[i].see(end, &requests, &watched.lost);
    }
    let count = |outcome| requests.iter().filter(|it| it.outcome == outcome).count();
    let totals = Totals {
        requests: requests.len(),
        wrong: count(Outcome::Wrong),
        failed: count(Outcome::Failed),
        sessions: watched.sessions.len(),
        session_calls: calls.len(),
        questions: questions.len(),
    };
    Day {
        sessions: watched.sessions,
        requests,
        calls,
        questions,
        marks,
        totals,
    }
}
