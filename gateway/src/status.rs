//! What the status page knows: the sessions in use and the last events. Nothing in it is secret.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use sipher_session::{Event, SessionDefaults, SessionRef, Stats};

use crate::story;

/// How many events are kept.
const EVENTS: usize = 200;
/// How many sessions are kept. Above it, those that ended first are forgotten.
const SESSIONS: usize = 10_000;

/// What `/status.json` says.
#[derive(Debug, Serialize)]
pub(crate) struct Status<'a> {
    pub(crate) upstream: String,
    pub(crate) started_at_ms: u64,
    pub(crate) now_ms: u64,
    pub(crate) ready: bool,
    pub(crate) held_back: Option<String>,
    pub(crate) server_down_for_ms: Option<u64>,
    pub(crate) stats: StatsOut,
    pub(crate) sessions: Vec<&'a Known>,
    pub(crate) events: Vec<&'a Told>,
}

/// A session of the manager.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Known {
    fingerprint: String,
    api_key: String,
    generation: u64,
    chain: Option<String>,
    created_at_ms: u64,
    usable_until_ms: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Live,
    Retired,
}

/// An event.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    at_ms: u64,
    name: &'static str,
    text: String,
}

/// Follows the events of a manager.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    /// By generation, which counts up: the oldest first.
    sessions: BTreeMap<u64, Known>,
    events: VecDeque<Told>,
}

impl Chronicle {
    pub(crate) fn note(&mut self, event: &Event, now_ms: u64) {
        match event {
            Event::Created {
                session,
                defaults,
                usable_for,
                ..
            }
            | Event::Adopted {
                session,
                defaults,
                usable_for,
                ..
            } => self.begins(*session, defaults, *usable_for, now_ms),
            Event::Retired { session, .. } | Event::Lost { session, .. } => {
                if let Some(known) = self.sessions.get_mut(&session.generation) {
                    known.state = State::Retired;
                }
            }
            Event::Deleted { session, .. }
            | Event::LeftToExpire { session, .. }
            | Event::LeftToOthers { session, .. } => {
                self.sessions.remove(&session.generation);
            }
            _ => {}
        }
        let (name, text) = story::of(event);
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        let at_ms = now_ms;
        self.events.push_back(Told { at_ms, name, text });
    }

    fn begins(
        &mut self,
        session: SessionRef,
        defaults: &SessionDefaults,
        usable_for: Duration,
        now_ms: u64,
    ) {
        let known = Known {
            fingerprint: session.fingerprint.to_string(),
            api_key: session.api_key.to_string(),
            generation: session.generation,
            chain: defaults.chain.as_ref().map(ToString::to_string),
            created_at_ms: now_ms,
            usable_until_ms: now_ms.saturating_add(millis(usable_for)),
            state: State::Live,
        };
        self.sessions.insert(session.generation, known);
        if self.sessions.len() > SESSIONS {
            self.sessions
                .retain(|_, known| known.is_worth_showing(now_ms));
        }
        while self.sessions.len() > SESSIONS {
            self.sessions.pop_first();
        }
    }

    /// Returns the sessions, the newest first. An event may have been missed, so a session also ends by its time.
    pub(crate) fn sessions(&self, now_ms: u64) -> Vec<&Known> {
        let sessions = self.sessions.values().rev();
        sessions
            .filter(|known| known.is_worth_showing(now_ms))
            .collect()
    }

    /// Returns the events, the newest first.
    pub(crate) fn events(&self) -> Vec<&Told> {
        self.events.iter().rev().collect()
    }
}

impl Known {
    fn is_worth_showing(&self, now_ms: u64) -> bool {
        now_ms < self.usable_until_ms
    }
}

/// The counters of the manager, by their names in [`Stats`].
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct StatsOut {
    live_sessions: u64,
    in_flight: u64,
    pending_deletes: u64,
    session_calls: u64,
    health_calls: u64,
    created: u64,
    adopted: u64,
    create_failures: u64,
    refused_for_budget: u64,
    evicted: u64,
    deleted: u64,
    left_to_expire: u64,
    possible_orphans: u64,
    sent_without: u64,
    late_answers: u64,
    wrong_defaults: u64,
    confirmed: u64,
    outside: u64,
    replayed: u64,
    inlined: u64,
}

impl From<Stats> for StatsOut {
    fn from(stats: Stats) -> Self {
        Self {
            live_sessions: stats.live_sessions,
            in_flight: stats.in_flight,
            pending_deletes: stats.pending_deletes,
            session_calls: stats.session_calls,
            health_calls: stats.health_calls,
            created: stats.created,
            adopted: stats.adopted,
            create_failures: stats.create_failures,
            refused_for_budget: stats.refused_for_budget,
            evicted: stats.evicted,
            deleted: stats.deleted,
            left_to_expire: stats.left_to_expire,
            possible_orphans: stats.possible_orphans,
            sent_without: stats.sent_without,
            late_answers: stats.late_answers,
            wrong_defaults: stats.wrong_defaults,
            confirmed: stats.confirmed,
            outside: stats.outside,
            replayed: stats.replayed,
            inlined: stats.inlined,
        }
    }
}

pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    millis(now.unwrap_or_default())
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
