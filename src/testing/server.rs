//! The state that all handles share, and how the server handles one request.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::Value;

use super::{
    FakeError,
    answer::Answer,
    call::{self, Call, SessionHeader},
    canned, draw,
    edge::Edge,
    fault::{Script, What},
    health::Solana,
    keys::Keys,
    limits::Quotas,
    log::{DeadReason, Exchange, Log, SessionUse},
    process::Processes,
    sessions::Sessions,
    window::{Headers, Windows},
};
use crate::clock::{Clock, millis, testing::TestClock};

pub(super) struct Server {
    pub(super) clock: TestClock,
    pub(super) keys: Keys,
    pub(super) sessions: Sessions,
    pub(super) processes: Processes,
    /// The rate limit, if one is enforced: calls in one window of one caller.
    rate_limit: Option<u32>,
    pub(super) solana: Solana,
    /// The counts of the quotas, if they are kept in the common store.
    common_quotas: Quotas,
    pub(super) edge: Edge,
    pub(super) faults: Script,
    pub(super) log: Log,
    pub(super) latency: Duration,
    pub(super) refuse_dead_ids: bool,
    seed: u64,
}

/// A request that has arrived and is not handled yet.
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
            processes: Processes::new(clock.now()),
            clock,
            keys: Keys::default(),
            sessions: Sessions::new(),
            rate_limit: None,
            solana: Solana::default(),
            common_quotas: Quotas::default(),
            edge: Edge::default(),
            faults: Script::default(),
            log: Log::default(),
            latency: Duration::ZERO,
            refuse_dead_ids: false,
            seed,
        }
    }

    /// Logs a request and chooses its fault.
    pub(super) fn arrive(&mut self, mut call: Call) -> Arrival {
        let replica = self.processes.next();
        let what = self.faults.take(&call);
        if let Some(What::SeenFrom(address)) = what {
            call.caller = address;
        }
        Arrival {
            what,
            latency: self.latency,
            number: self.log_arrival(&call, replica),
            call,
            replica,
        }
    }

    /// Handles a request whose whole body has arrived, and logs the outcome.
    pub(super) fn handle(&mut self, arrival: &Arrival, body: &Bytes) -> Result<Answer, FakeError> {
        let call = &arrival.call;
        let session = self.judge(call, arrival.replica);
        let dead = matches!(session, SessionUse::Dead { .. }).then(|| format!("{session:?}"));
        if let Some(entry) = self.log.entry(arrival.number) {
            entry.session = session;
            entry.reached = true;
        }
        if let Some(dead) = dead.filter(|_| self.refuse_dead_ids) {
            return Err(FakeError::DeadId(dead));
        }

        let mut answer = self.answer(arrival, body);
        if call.method == "HEAD" {
            answer = answer.without_body();
        }
        if let Some(entry) = self.log.entry(arrival.number) {
            entry.status = answer.status.as_u16();
            entry.chain.clone_from(&answer.chain);
        }
        let date = self.edge.date(self.clock.now());
        Ok(answer.default_header("date", &httpdate::fmt_http_date(UNIX_EPOCH + date)))
    }

    /// Returns the answer of a fault, or else of the application. Only answers of the application carry its headers.
    fn answer(&mut self, arrival: &Arrival, body: &Bytes) -> Answer {
        let what = arrival.what.as_ref();
        let canned = what.and_then(|what| canned::answer(what, &arrival.call));
        if let Some(answer) = canned {
            return if answer.is_siphers {
                let (headers, _) = self.limit(arrival);
                sign(arrival, answer, &headers)
            } else {
                answer
            };
        }
        let (headers, refusal) = self.limit(arrival);
        let answer = refusal.unwrap_or_else(|| self.route(arrival, body));
        sign(arrival, answer, &headers)
    }

    /// Counts a call in its caller's window. Returns the headers for the answer, and the answer itself if the call is
    /// refused.
    fn limit(&mut self, arrival: &Arrival) -> (Headers, Option<Answer>) {
        if arrival.call.is_unlimited() {
            return (Vec::new(), None);
        }
        let now = self.clock.now();
        let windows = &mut self.processes.at(arrival.replica).windows;
        windows.count(arrival.call.caller, self.rate_limit, now)
    }

    pub(super) fn set_rate_limit(&mut self, limit: Option<u32>) {
        if self.rate_limit != limit {
            self.rate_limit = limit;
            let processes = self.processes.iter_mut();
            processes.for_each(|process| process.windows = Windows::default());
        }
    }

    /// Returns the counts of the day that this replica uses: its own, if there is no common store.
    pub(super) fn quotas(&mut self, replica: usize) -> &mut Quotas {
        if self.sessions.has_store() {
            &mut self.common_quotas
        } else {
            &mut self.processes.at(replica).quotas
        }
    }

    /// Uses up operations of a key's day, at every replica.
    pub(super) fn burn(&mut self, key: &str, operations: u32) {
        let now = self.clock.now().wall;
        let own = self.processes.iter_mut().map(|process| &mut process.quotas);
        for quotas in own.chain([&mut self.common_quotas]) {
            quotas.add(key, "session", operations, now);
        }
    }

    /// Restarts all processes.
    pub(super) fn restart(&mut self) {
        self.processes.restart(self.clock.now());
        self.sessions.restart();
        if !self.sessions.keeps() {
            self.common_quotas = Quotas::default();
        }
    }

    /// Handles the same request once more, as when a proxy repeats it.
    pub(super) fn handle_again(
        &mut self,
        arrival: &mut Arrival,
        body: &Bytes,
    ) -> Result<Answer, FakeError> {
        arrival.replica = self.processes.next();
        arrival.number = self.log_arrival(&arrival.call, arrival.replica);
        self.handle(arrival, body)
    }

    /// Returns 64 hex digits that this server has not used before.
    pub(super) fn mint(&mut self) -> String {
        let [a, b, c, d] = [(); 4].map(|()| draw::next(&mut self.seed));
        format!("{a:016x}{b:016x}{c:016x}{d:016x}")
    }

    /// Returns the milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        millis(self.clock.now().wall)
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
            replica,
            caller: call.caller,
            public: call.is_public(),
            reached: false,
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
}

/// Adds the headers that the application writes on all of its own answers.
fn sign(arrival: &Arrival, answer: Answer, window: &Headers) -> Answer {
    let own_id = format!("00000000-0000-4000-8000-{:012x}", arrival.number);
    let given = arrival.call.header("x-request-id");
    let id = given.filter(|id| !id.is_empty() && id.is_ascii());
    let answer = answer.default_header("x-request-id", &id.unwrap_or(own_id));
    let add = |answer: Answer, (name, value): &(&str, String)| answer.default_header(name, value);
    window.iter().fold(answer, add)
}
