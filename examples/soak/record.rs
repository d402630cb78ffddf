//! Records what happens: as seen by the callers, in the manager's events, and in the server's log. All times are by the
//! server's clock.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sipher_session::{
    Chain, Event, Events, Fingerprint, RetireReason,
    api::SessionId,
    clock::Clock,
    testing::{Exchange, FakeSipher, Operation, SessionUse},
};

use crate::{
    judge::{Downgrade, Forgetting},
    traffic::OWN_CHAINS,
};

/// The longest time from an event to its arrival here.
const LATE: Duration = Duration::from_millis(100);

/// Written into the `X-Request-ID` of a call, so that it appears in the server's log.
pub(crate) struct Stamp {
    pub(crate) began: Duration,
    /// The chain of the call's defaults. `None` if it uses the manager's own.
    pub(crate) chain: Option<Chain>,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = self.chain.as_ref().map_or("", Chain::as_str);
        write!(f, "{}/{chain}", self.began.as_micros())
    }
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) outcomes: BTreeMap<String, u64>,
    pub(crate) session_calls: u64,
    pub(crate) kills: u64,
    pub(crate) forgettings: Vec<Forgetting>,
    pub(crate) downgrades: Vec<Downgrade>,
    /// Calls that reached the server without a session.
    pub(crate) bare: u64,
    /// Calls whose session had other defaults than the caller asked for.
    pub(crate) mistaken: u64,
    pub(crate) renewals: u64,
    pub(crate) suspicions: u64,
    pub(crate) verified: u64,
    /// Requests that `Event::Lost` has counted.
    pub(crate) lost_requests: u64,
    /// When each lost session may have been answered under other defaults, as `Event::Lost` says.
    pub(crate) lost: HashMap<Fingerprint, (Duration, Duration)>,
    pub(crate) retired: HashMap<Fingerprint, RetireReason>,
    pub(crate) left_to_expire: HashSet<Fingerprint>,
    /// Possible orphans since the server last forgot all sessions.
    pub(crate) possible_orphans: u64,
    pub(crate) missed_events: u64,
}

pub(crate) struct Record {
    sipher: FakeSipher,
    seen: Mutex<Seen>,
}

impl Record {
    pub(crate) fn new(sipher: FakeSipher) -> Self {
        let seen = Mutex::default();
        Self { sipher, seen }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Duration {
        self.sipher.clock().now().wall
    }

    /// Records the outcome of a call. If the outcome is a sign of a restart, the layer has seen it too.
    pub(crate) fn outcome(&self, outcome: impl fmt::Display, is_sign: bool) {
        let mut seen = self.seen();
        *seen.outcomes.entry(outcome.to_string()).or_default() += 1;
        if is_sign {
            seen.sign(self.now());
        }
    }

    /// Makes the server forget all sessions.
    pub(crate) fn forget(&self) {
        let mut seen = self.seen();
        let began = self.now();
        self.sipher.restart();
        seen.forgettings.push(Forgetting {
            began,
            ended: self.now(),
            first_sign: None,
        });
        seen.possible_orphans = 0;
    }

    /// Takes the entries out of the server's log. No call may be in flight.
    pub(crate) fn read_log(&self) {
        let log = self.sipher.log();
        self.sipher.clear_log();
        let mut seen = self.seen();
        for exchange in &log {
            match exchange.operation {
                Operation::Other => seen.call(exchange),
                _ => seen.session_calls += 1,
            }
        }
    }

    pub(crate) async fn listen(self: Arc<Self>, mut events: Events) {
        while let Some(event) = events.recv().await {
            self.seen().event(&event, self.now());
        }
    }
}

impl Seen {
    fn sign(&mut self, at: Duration) {
        if let Some(last) = self.forgettings.last_mut()
            && last.ended < at
        {
            last.first_sign.get_or_insert(at);
        }
    }

    fn call(&mut self, exchange: &Exchange) {
        let stamp = exchange.request_id.as_deref().unwrap_or_default();
        let (began, wanted) = stamp.split_once('/').unwrap_or_default();
        match &exchange.session {
            SessionUse::Live { defaults, .. } => {
                let chain = defaults["chain"].as_str().unwrap_or_default();
                let own = OWN_CHAINS.iter().any(|own| own.as_str() == chain);
                let right = if wanted.is_empty() {
                    own
                } else {
                    chain == wanted
                };
                self.mistaken += u64::from(!right);
            }
            SessionUse::Dead { id, .. } => self.downgrades.push(Downgrade {
                session: SessionId::parse(id).map(|id| id.fingerprint()),
                began: Duration::from_micros(began.parse().unwrap_or_default()),
                arrived: exchange.at,
            }),
            // The manager's own health calls need no session.
            _ => self.bare += u64::from(exchange.path != "/v1/health"),
        }
    }

    fn event(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Created {
                replaces: Some(_), ..
            } => self.renewals += 1,
            Event::Suspected { .. } => {
                self.suspicions += 1;
                self.sign(now);
            }
            Event::Verified { .. } => self.verified += 1,
            Event::Lost {
                session,
                unknown_for,
                requests,
                ..
            } => {
                self.lost_requests += requests;
                let span = (now.saturating_sub(*unknown_for + LATE), now);
                self.lost.insert(session.fingerprint, span);
            }
            Event::Retired {
                session, reason, ..
            } => {
                self.retired.insert(session.fingerprint, *reason);
            }
            Event::LeftToExpire { session, .. } => {
                self.left_to_expire.insert(session.fingerprint);
            }
            Event::PossibleOrphan { .. } => self.possible_orphans += 1,
            Event::Missed { events, .. } => self.missed_events += events,
            _ => {}
        }
    }
}
