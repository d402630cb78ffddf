//! Judges a run by the messages that the client sent and received, and by the server's log. The promises:
//!
//! - I1: no request carries the id of a dead session, or of another key or other defaults.
//! - I2: one create at a time for each partition (API key and defaults).
//! - I3: each session is used, deleted or reported.
//! - I4: session id and API key go to Sipher's origin only.
//! - I5: no text shows a secret.
//! - I6: without a session, a request is not sent.
//! - I7: while a session is good, no request waits for another.
//! - I8: the calls stay within a published bound.
//! - I9: after any failure, a later request may try again.
//! - I10: at rest there is no task.
//! - I11: after a change has returned, no request carries an older session.
//! - I12: no request is answered under other defaults, as far as a client can know.
//! - I13: requests that look like Sipher's but go elsewhere are counted.
//!
//! An exception to a promise is as narrow as the trace allows. If the trace is not enough, the exception covers a kind
//! of trouble for the whole run. Each exception says so.

mod calls;
mod defaults;
mod health;
mod inline;
mod known;
mod outside;
mod proof;
mod requests;
mod server;
mod signs;
mod windows;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use health::Questions;
use inline::Inline;
use known::{Asked, Breaks, Flying, GRACE, Known, Late, Signs, Tries};
use outside::Outside;
use sipher_session::{Fingerprint, SessionId, clock::Reading, testing::Operation};

use crate::{
    script::{Script, Settings},
    trace::{Entry, Line, Partition, Sent},
    wire,
    world::Run,
};

pub(crate) struct Checker<'a> {
    script: &'a Script,
    settings: &'a Settings,
    known: HashMap<String, Known>,
    asked: BTreeMap<u64, Asked>,
    flying: HashMap<u64, Flying>,
    /// The session of each partition's last request.
    last: Vec<(Partition, String)>,
    signs: Signs,
    breaks: Breaks,
    /// When the manager made its session calls.
    calls: Vec<Duration>,
    last_calls: Vec<(Partition, Reading)>,
    tries: Vec<Tries>,
    shutdown: bool,
    /// When the shutdown began. It takes the sessions in a task of its own, after the tasks that were already due at
    /// that moment.
    shutdown_at: Duration,
    calm: HashSet<u64>,
    creates: usize,
    accounted: Option<u64>,
    suspensions: Vec<usize>,
    late: Late,
    handled: HashMap<u64, (usize, usize)>,
    questions: Questions,
    outside: Outside,
    inline: Inline,
    /// When the server was restarted: lines of the trace, and times.
    restarts: Vec<(usize, Duration)>,
    /// Reported losses: the line of the trace, the session, and the number of requests.
    lost: Vec<(usize, Fingerprint, u64)>,
    /// When the head of an answer last arrived.
    head_at: Duration,
    /// When a sign was last seen.
    sign_at: Option<Duration>,
    failures: Vec<String>,
}

/// Returns the broken promises of a run.
pub(crate) fn check(script: &Script, run: &Run) -> Vec<String> {
    let mut checker = Checker {
        script,
        settings: &script.settings,
        known: HashMap::new(),
        asked: BTreeMap::new(),
        flying: HashMap::new(),
        last: Vec::new(),
        signs: Signs::default(),
        breaks: Breaks::default(),
        calls: Vec::new(),
        last_calls: Vec::new(),
        tries: Vec::new(),
        shutdown: false,
        shutdown_at: Duration::MAX,
        calm: HashSet::new(),
        creates: 0,
        accounted: None,
        suspensions: Vec::new(),
        late: Late::default(),
        handled: HashMap::new(),
        questions: Questions::default(),
        outside: Outside::default(),
        inline: Inline::of(script.seed),
        restarts: Vec::new(),
        lost: Vec::new(),
        head_at: Duration::ZERO,
        sign_at: None,
        failures: Vec::new(),
    };
    for (at, line) in run.lines.iter().enumerate() {
        checker.line(at, line);
    }
    checker.budget(run);
    checker.secrets(run);
    checker.late();
    checker.server(run);
    checker.inline(run);
    checker.defaults(run);
    checker.pace();
    checker.end(run);
    checker.failures
}

impl Checker<'_> {
    fn fails(&mut self, what: String) {
        self.failures.push(what);
    }

    #[allow(clippy::too_many_lines)] // one arm for each kind of line
    fn line(&mut self, index: usize, line: &Line) {
        let at = line.at;
        match &line.what {
            Entry::Call {
                n,
                wants,
                without,
                elsewhere,
                held,
                carries,
            } => {
                self.inline.called(*n, *carries);
                let asked = Asked {
                    wants: wants.clone(),
                    without: *without,
                    elsewhere: *elsewhere,
                    held: *held,
                    at,
                    index,
                    signs: self.signs,
                    sent: None,
                    sent_at: at,
                    met_a_head: false,
                    met_sign: false,
                    head: None,
                    outcome: None,
                    proof: None,
                };
                self.asked.insert(*n, asked);
            }
            Entry::Waits { n } => self.waits(*n),
            Entry::Sent(sent) => {
                self.sent(sent, index, at);
                if let Some(n) = sent.n {
                    self.handled.insert(n, (index, usize::MAX));
                }
            }
            Entry::Head {
                wire,
                status,
                stamp,
            } => {
                self.answers(*wire, *status, at);
                self.saw_head(*wire, *stamp, (index, at));
                self.head(*wire, *status, *stamp, index, at);
            }
            Entry::Asks { wire } => self.asks(*wire, index, at),
            Entry::Says { wire, status, said } => {
                self.says(*wire, (*status, *said), index, at);
            }
            Entry::Broke { wire } => {
                if self.away(*wire, at) {
                    return;
                }
                self.breaks.add(at.monotonic, self.signs.possible);
                let flying = self.lands(*wire, index);
                let is_ours = |flying: &Flying| flying.sent.operation != Operation::Other;
                let is_plain = !self.script.is_opaque || flying.as_ref().is_some_and(is_ours);
                self.sign(flying.as_ref(), is_plain || !self.questions.may_damp(at));
            }
            Entry::Dropped { wire } => {
                if self.silent(*wire, at) {
                    return;
                }
                self.breaks.add(at.monotonic, self.signs.possible);
                // The caller gave up, and the server may still be working on the request. Or the answer broke off
                // half-way.
                self.flying.remove(wire);
                self.signs.possible += 1;
                self.sign_at = Some(at.monotonic);
            }
            Entry::Whole {
                wire,
                status,
                record,
            } => self.whole((*wire, *status), record.as_ref(), index, at),
            Entry::SentElsewhere {
                session,
                key,
                path,
                host,
            } => {
                self.sent_outside(host);
                if *session || key.is_some() {
                    self.fails(format!("I4: {path} bears a session or a key of ours"));
                }
                if wire::number(path, None).is_none() {
                    self.fails(format!("I4: {path} was followed elsewhere"));
                }
            }
            Entry::Changed { from, to } => {
                self.follow(from, to);
                for known in self.known.values_mut() {
                    let key = from.key != to.key && known.partition.key == from.key;
                    let defaults =
                        from.defaults != to.defaults && known.partition.defaults == from.defaults;
                    if key || defaults {
                        known.out_of_use.get_or_insert("I11: of before the change");
                    }
                }
            }
            Entry::Invalidated { id, held } => self.out_of_use(id, *held, false),
            Entry::ChangedByHand { id } => self.out_of_use(id, false, true),
            Entry::Weather(weather) if weather.starts_with("Suspend") => {
                self.suspensions.push(index);
            }
            Entry::Weather(weather) if weather.starts_with("Restart") => {
                self.restarts.push((index, at.monotonic));
            }
            Entry::Lost { session, requests } => {
                self.lost.push((index, session.0, *requests));
                // If the answer did not arrive in full, only this event shows that the session is no longer used.
                let is_lost =
                    |id: &str| SessionId::parse(id).is_some_and(|id| id.fingerprint() == session.0);
                self.last.retain(|(_, id)| !is_lost(id));
            }
            Entry::ToldOutside { origin } => self.told_outside(origin),
            Entry::CountedOutside(counted) => self.counted_outside(*counted),
            Entry::Weather(weather) if weather.starts_with("ServerForward") => {
                for known in self.known.values_mut() {
                    known.jumped.get_or_insert(index);
                }
                for flying in self.flying.values_mut() {
                    flying.jumped.get_or_insert(index);
                }
            }
            // The trace records this just before the clock is set.
            Entry::Weather(weather) if weather.starts_with("WallBack") => {
                self.known
                    .values_mut()
                    .for_each(|known| known.forgets_sleep(at));
                let timeout = self.settings.create_timeout + GRACE;
                for flying in self.flying.values_mut() {
                    flying.overdue |= flying.is_overdue(timeout, at);
                }
            }
            Entry::ShutdownBegins => {
                self.shutdown = true;
                self.shutdown_at = at.monotonic;
            }
            Entry::Calm { n } => drop(self.calm.insert(*n)),
            Entry::Got { n, outcome, proof } => self.got(*n, *outcome, *proof, at),
            Entry::Report {
                remaining, orphans, ..
            }
            | Entry::Abandoned { remaining, orphans } => {
                self.accounted = Some(*remaining as u64 + *orphans);
            }
            Entry::ToldLate { generation } => drop(self.late.told.insert(*generation)),
            Entry::Event(name) if name == "Missed" => self.late.missed = true,
            Entry::Alive { .. }
            | Entry::Event(_)
            | Entry::Hand(_)
            | Entry::Weather(_)
            | Entry::Tasks(0) => {}
            Entry::Tasks(tasks) => self.fails(format!("I10: {tasks} tasks at the end")),
        }
    }

    fn sent(&mut self, sent: &Sent, index: usize, at: Reading) {
        match sent.operation {
            Operation::Other => {
                self.wrapped(sent, at);
                if let Some(id) = &sent.id {
                    self.used(id, self.given_at(sent).unwrap_or(at), at);
                }
            }
            operation => {
                if !sent.by_hand {
                    self.calls.push(at.monotonic);
                    self.floor(sent, at);
                }
                if operation == Operation::Get && !sent.by_hand {
                    self.questions.gets.push(index);
                    self.get(sent, at);
                }
                if operation == Operation::Create {
                    self.create(sent, at);
                }
                let known = sent.id.as_ref().and_then(|id| self.known.get_mut(id));
                if let Some(known) = known.filter(|_| operation == Operation::Delete) {
                    known.out_of_use.get_or_insert("I1: deleted");
                }
            }
        }
        let flying = Flying {
            sent: sent.clone(),
            at,
            begun: self.begun(sent, at),
            overdue: false,
            signs: self.signs,
            fenced: false,
            barred: false,
            jumped: None,
            is_stamped: false,
        };
        self.flying.insert(sent.wire, flying);
    }

    fn lands(&mut self, wire: u64, index: usize) -> Option<Flying> {
        let flying = self.flying.remove(&wire)?;
        if let Some((_, until)) = flying.sent.n.and_then(|n| self.handled.get_mut(&n)) {
            *until = index;
        }
        Some(flying)
    }
}
