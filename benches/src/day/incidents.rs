//! What happens to the server in a day, and how the requests after it were answered.

use std::time::Duration;

use sipher_session::{
    BoxError, Chain, SessionDefaults, SessionManager,
    testing::{FakeSipher, Fault, Operation, What},
};
use tokio::time::sleep;

use super::{Outcome, Request, draw::Draw};

/// How many seconds a restart takes. Meanwhile nobody can connect.
const RESTART: f64 = 20.0;
const OUTAGE: f64 = 3.0 * 60.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The server restarts between two calls, so no call fails.
    RestartUnseen,
    /// The server restarts, and nobody can connect meanwhile.
    RestartSeen,
    /// Nobody can connect for a while. The server keeps its sessions.
    Outage,
    /// The agent sets another chain.
    Update,
}

impl Incident {
    /// Returns for how many seconds the incident lasts.
    pub fn lasts(self) -> f64 {
        match self {
            Self::RestartUnseen | Self::Update => 0.0,
            Self::RestartSeen => RESTART,
            Self::Outage => OUTAGE,
        }
    }
}

/// An incident, and its effects until the next one.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub at: f64,
    pub incident: Incident,
    pub wrong: usize,
    pub failed: usize,
    /// When the loss of the session was reported.
    pub found: Option<f64>,
}

impl Mark {
    /// Counts the requests that were answered wrongly, or failed, until `end`. Notes when the loss of the session was
    /// reported.
    pub fn see(&mut self, end: f64, requests: &[Request], lost: &[f64]) {
        let is_after = |at: f64| (self.at..end).contains(&at);
        let count = |outcome| {
            let after = requests.iter().filter(|it| is_after(it.at));
            after.filter(|it| it.outcome == outcome).count()
        };
        (self.wrong, self.failed) = (count(Outcome::Wrong), count(Outcome::Failed));
        self.found = lost.iter().copied().find(|at| is_after(*at));
    }
}

/// Draws the time of each incident. They come in the order of the list, each up to 40 minutes after its hour.
pub fn script(draw: &mut Draw) -> Vec<Mark> {
    let plan = [
        (2.8, Incident::RestartUnseen),
        (8.6, Incident::RestartSeen),
        (11.0, Incident::RestartUnseen),
        (13.5, Incident::Outage),
        (16.2, Incident::RestartSeen),
        (18.2, Incident::Update),
        (20.2, Incident::RestartUnseen),
    ];
    let mark = |(hour, incident): (f64, Incident)| Mark {
        at: draw.between(hour, hour + 2.0 / 3.0) * 3_600.0,
        incident,
        wrong: 0,
        failed: 0,
        found: None,
    };
    plan.into_iter().map(mark).collect()
}

/// Lets all incidents happen. Returns them with the times at which they began.
pub async fn happen(
    mut script: Vec<Mark>,
    sipher: FakeSipher,
    sessions: SessionManager,
    now: impl Fn() -> f64,
) -> Result<Vec<Mark>, BoxError> {
    for mark in &mut script {
        sleep(Duration::from_secs_f64((mark.at - now()).max(0.0))).await;
        if mark.incident.lasts() > 0.0 {
            until_the_agent_works(&sipher).await;
        }
        mark.at = now();
        if mark.incident.lasts() > 0.0 {
            sipher.fault(Fault::new(What::Refuse).always());
            sleep(Duration::from_secs_f64(mark.incident.lasts())).await;
            sipher.clear_faults();
        }
        match mark.incident {
            Incident::RestartUnseen | Incident::RestartSeen => sipher.restart(),
            Incident::Outage => {}
            Incident::Update => {
                let defaults = SessionDefaults::new().chain(Chain::Ethereum);
                sessions.update_defaults(defaults).await?;
            }
        }
    }
    Ok(script)
}

/// Waits until the agent makes one call after the other, so that its next call comes soon.
async fn until_the_agent_works(sipher: &FakeSipher) {
    let calls = || sipher.count(Operation::Other) - sipher.health_calls();
    loop {
        let before = calls();
        sleep(Duration::from_secs(45)).await;
        if calls() > before + 3 {
            return;
        }
    }
}
