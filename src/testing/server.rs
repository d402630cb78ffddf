//! The state that all handles share, and what becomes of one request in it.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::Value;

use super::{
    FakeError,
    answer::Answer,
    call::{self, Call, Route, SessionHeader},
    canned,
    fault::{Script, What},
    keys::Keys,
    limits::{Quotas, RateLimit},
    log::{DeadReason, Exchange, Log, SessionUse},
    sessions::Sessions,
};
use crate::clock::{Clock, testing::TestClock};

pub(super) struct Server {
    pub(super) clock: TestClock,
    pub(super) keys: Keys,
    pub(super) sessions: Sessions,
    pub(super) rate: RateLimit,
    pub(super) quotas: Quotas,
    pub(super) faults: Script,
    pub(super) log: Log,
    pub(super) latency: Duration,
    pub(super) refuse_dead_ids: bool,
    seed: u64,
}

/// A request that has come but is not handled yet.
pub(super) struct Arrival {
    pub(super) call: Call,
    pub(super) what: Option<What>,
    pub(super) latency: Duration,
    pub(super) replica: usize,
    number: u64,
}

impl Server {
    pub(super) fn new(clock: TestClock, seed: u64) -> Self {
        Self {
            clock,
            keys: Keys::default(),
            sessions: Sessions::new(),
            rate: RateLimit::default(),
            quotas: Quotas::default(),
            faults: Script::default(),
            log: Log::default(),
            latency: Duration::ZERO,
            refuse_dead_ids: false,
            seed,
        }
    }

    /// Logs a request and decides what will go wrong with it.
    pub(super) fn arrive(&mut self, call: Call) -> Arrival {
        let replica = self.sessions.next_replica();
        Arrival {
            what: self.faults.take(call.operation()),
            latency: self.latency,
            number: self.log_arrival(&call, replica),
            call,
            replica,
        }
    }

    /// Answers a request whose body is there, and notes the outcome.
    pub(super) fn handle(&mut self, arrival: &Arrival, body: &Bytes) -> Result<Answer, FakeError> {
        let call = &arrival.call;
        let session = self.judge(call, arrival.replica);
        let dead = matches!(session, SessionUse::Dead { .. }).then(|| format!("{session:?}"));
        if let Some(entry) = self.log.entry(arrival.number) {
            entry.session = session;
        }
        if let Some(dead) = dead.filter(|_| self.refuse_dead_ids) {
            return Err(FakeError::DeadId(dead));
        }

        let canned = arrival
            .what
            .as_ref()
            .and_then(|what| canned::answer(what, call));
        let mut answer = canned.unwrap_or_else(|| self.route(arrival, body));
        if call.method == "HEAD" {
            answer = answer.without_body();
        }
        if let Some(entry) = self.log.entry(arrival.number) {
            entry.status = answer.status.as_u16();
            entry.chain.clone_from(&answer.chain);
        }
        let date = httpdate::fmt_http_date(UNIX_EPOCH + self.clock.now().wall);
        let own_id = format!("00000000-0000-4000-8000-{:012x}", arrival.number);
        let request_id = call
            .header("x-request-id")
            .filter(|id| !id.is_empty() && id.is_ascii());
        Ok(answer
            .default_header("date", &date)
            .default_header("x-request-id", &request_id.unwrap_or(own_id)))
    }

    /// Handles the same request once more, as when a proxy repeats it.
    pub(super) fn handle_again(
        &mut self,
        arrival: &mut Arrival,
        body: &Bytes,
    ) -> Result<Answer, FakeError> {
        arrival.replica = self.sessions.next_replica();
        arrival.number = self.log_arrival(&arrival.call, arrival.replica);
        self.handle(arrival, body)
    }

    /// 64 hex digits that this server has not given out before.
    pub(super) fn mint(&mut self) -> String {
        let [a, b, c, d] = [(); 4].map(|()| self.next_u64());
        format!("{a:016x}{b:016x}{c:016x}{d:016x}")
    }

    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.clock.now().wall.as_millis()).unwrap_or(u64::MAX)
    }

    fn log_arrival(&mut self, call: &Call, replica: usize) -> u64 {
        let exchange = Exchange {
            at: self.clock.now().wall,
            method: call.method.to_string(),
            path: call.path.clone(),
            request_id: call.header("x-request-id"),
            key: call.api_key().map(|key| self.keys.label(&key)),
            operation: call.operation(),
            session: self.judge(call, replica),
            status: 0,
            chain: None,
            public: call.route == Route::Public,
            number: 0,
        };
        self.log.add(exchange)
    }

    fn judge(&self, call: &Call, replica: usize) -> SessionUse {
        let (id, verdict) = match call.session() {
            SessionHeader::None => return SessionUse::None,
            SessionHeader::Doubled(id) => (id, Err(DeadReason::Doubled)),
            SessionHeader::One(id) if !call::well_formed(&id) => (id, Err(DeadReason::Malformed)),
            SessionHeader::One(id) => {
                let key = call.api_key();
                let verdict = self
                    .sessions
                    .judge(replica, &id, key.as_deref(), self.now());
                (id, verdict)
            }
        };
        match verdict {
            Ok(record) => SessionUse::Live {
                id,
                defaults: Value::Object(record.defaults.clone()),
            },
            Err(why) => SessionUse::Dead { id, why },
        }
    }

    /// `SplitMix64`: every state gives another number, so ids never repeat.
    fn next_u64(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
