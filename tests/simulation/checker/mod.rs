//! Judges a run by what the client sent and saw, and by what the server made of it.
//!
//! What the promises excuse is excused exactly where it can be told apart, and by kind of trouble for the whole run
//! where it cannot; each excuse says so.

mod known;
mod proof;
mod server;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use sipher_session::{ErrorKind, Proof, clock::Reading, testing::Operation};

use crate::{
    script::{Script, Settings},
    trace::{Entry, Got, Line, Partition, Record, Sent},
    wire,
    world::Run,
};
use known::{Asked, Flying, GRACE, Known, Signs};

pub(crate) struct Checker<'a> {
    script: &'a Script,
    settings: &'a Settings,
    known: HashMap<String, Known>,
    asked: BTreeMap<u64, Asked>,
    flying: HashMap<u64, Flying>,
    /// Which session the last request of a partition bore.
    last: Vec<(Partition, String)>,
    signs: Signs,
    /// When the manager made its session calls.
    calls: Vec<Duration>,
    last_calls: Vec<(Partition, Reading)>,
    shutdown: bool,
    /// The shutdown takes the sessions in a task of its own, after those who were to run already at that moment.
    shutdown_at: Duration,
    calm: Option<u64>,
    creates: usize,
    accounted: Option<u64>,
    suspensions: Vec<usize>,
    server_jumped: bool,
    handled: HashMap<u64, (usize, usize)>,
    failures: Vec<String>,
}

/// The least time between two session calls of one partition.
const FLOOR: Duration = Duration::from_millis(200);

/// Returns what is wrong with a run.
pub(crate) fn check(script: &Script, run: &Run) -> Vec<String> {
    let mut checker = Checker {
        script,
        settings: &script.settings,
        known: HashMap::new(),
        asked: BTreeMap::new(),
        flying: HashMap::new(),
        last: Vec::new(),
        signs: Signs::default(),
        calls: Vec::new(),
        last_calls: Vec::new(),
        shutdown: false,
        shutdown_at: Duration::MAX,
        calm: None,
        creates: 0,
        accounted: None,
        suspensions: Vec::new(),
        server_jumped: false,
        handled: HashMap::new(),
        failures: Vec::new(),
    };
    for (at, line) in run.lines.iter().enumerate() {
        checker.line(at, line);
    }
    checker.budget(run);
    checker.secrets(run);
    checker.server(run);
    checker.end(run);
    checker.failures
}

impl Checker<'_> {
    fn fails(&mut self, what: String) {
        self.failures.push(what);
    }

    fn line(&mut self, index: usize, line: &Line) {
        let at = line.at;
        match &line.what {
            Entry::Call {
                n,
                wants,
                without,
                elsewhere,
            } => {
                let asked = Asked {
                    wants: wants.clone(),
                    without: *without,
                    elsewhere: *elsewhere,
                    at,
                    signs: self.signs,
                    sent: None,
                    met_sign: false,
                    proof: None,
                };
                self.asked.insert(*n, asked);
            }
            Entry::Waits { n } => self.waits(*n),
            Entry::Sent(sent) => {
                self.sent(sent, at);
                if let Some(n) = sent.n {
                    self.handled.insert(n, (index, usize::MAX));
                }
            }
            Entry::Head { wire, status } => {
                if self.is_other(*wire) {
                    let flying = self.lands(*wire, index);
                    if matches!(status, 410 | 502..=504) {
                        self.sign(flying.as_ref());
                    }
                }
            }
            Entry::Broke { wire } => {
                let flying = self.lands(*wire, index);
                self.sign(flying.as_ref());
            }
            Entry::Dropped { wire } => {
                // Given up, and then the server may still be at it; or broken off in the middle of the answer.
                self.flying.remove(wire);
                self.signs.possible += 1;
            }
            Entry::Whole {
                wire,
                status,
                record,
            } => self.whole(*wire, *status, record.as_ref(), index),
            Entry::SentElsewhere { session, key, path } => {
                if *session || key.is_some() {
                    self.fails(format!("I4: {path} bears a session or a key of ours"));
                }
                if wire::number(path).is_none() {
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
            Entry::Weather(weather) if weather.starts_with("Server") => {
                self.server_jumped = true;
            }
            // Written down just before it is turned.
            Entry::Weather(weather) if weather.starts_with("WallBack") => {
                for known in self.known.values_mut() {
                    known.over |= known.left(at).is_zero();
                }
            }
            Entry::ShutdownBegins => {
                self.shutdown = true;
                self.shutdown_at = at.monotonic;
            }
            Entry::Calm { n } => self.calm = Some(*n),
            Entry::Got { n, outcome, proof } => self.got(*n, *outcome, *proof, at),
            Entry::Report {
                remaining, orphans, ..
            }
            | Entry::Abandoned { remaining, orphans } => {
                self.accounted = Some(*remaining as u64 + *orphans);
            }
            Entry::Alive { .. }
            | Entry::Event(_)
            | Entry::Hand(_)
            | Entry::Weather(_)
            | Entry::Tasks(0) => {}
            Entry::Tasks(tasks) => self.fails(format!("I10: {tasks} tasks at the end")),
        }
    }

    fn is_other(&self, wire: u64) -> bool {
        self.flying
            .get(&wire)
            .is_some_and(|flying| flying.sent.operation == Operation::Other)
    }

    fn sign(&mut self, flying: Option<&Flying>) {
        let Some(flying) = flying else { return };
        // What a caller meets with a client of his own is not seen, though a sign it is.
        self.signs.certain += u64::from(!flying.sent.by_hand);
        self.signs.possible += 1;
        if let Some(asked) = flying.sent.n.and_then(|n| self.asked.get_mut(&n)) {
            asked.met_sign = true;
            // What is sent after it is looked at anew.
            asked.signs = self.signs;
        }
    }

    /// A request that is sent once more after a change may be sent as the change has it.
    fn follow(&mut self, from: &Partition, to: &Partition) {
        let unanswered = self
            .asked
            .values_mut()
            .filter(|asked| asked.proof.is_none());
        for asked in unanswered.filter(|_| self.settings.replays) {
            let changed = asked.wants.iter().map(|wants| Partition {
                key: if wants.key == from.key {
                    to.key
                } else {
                    wants.key
                },
                defaults: if wants.defaults == from.defaults {
                    &to.defaults
                } else {
                    &wants.defaults
                }
                .clone(),
            });
            let changed: Vec<_> = changed.collect();
            asked.wants.extend(changed);
        }
    }

    fn out_of_use(&mut self, id: &str, held: bool, by_hand: bool) {
        let Some(known) = self.known.get_mut(id) else {
            return;
        };
        known.out_of_use.get_or_insert("I11: invalidated");
        known.by_hand |= by_hand;
        let partition = known.partition.clone();
        for flying in self.flying.values_mut() {
            let same = flying.sent.key == Some(partition.key)
                && flying.sent.defaults.as_ref() == Some(&partition.defaults);
            flying.fenced |= same;
            flying.barred |= same && held;
        }
    }

    fn sent(&mut self, sent: &Sent, at: Reading) {
        match sent.operation {
            Operation::Other => self.wrapped(sent, at),
            operation => {
                if !sent.by_hand {
                    self.calls.push(at.monotonic);
                    self.floor(sent, at);
                }
                if operation == Operation::Create {
                    self.create(sent, at);
                }
                if let Some(known) = sent.id.as_ref().and_then(|id| self.known.get_mut(id)) {
                    if operation == Operation::Delete {
                        known.out_of_use.get_or_insert("I1: deleted");
                    }
                }
            }
        }
        let flying = Flying {
            sent: sent.clone(),
            at,
            signs: self.signs,
            fenced: false,
            barred: false,
        };
        self.flying.insert(sent.wire, flying);
    }

    /// I1, I6, I11: what a request bears, at the moment at which it is handed on.
    fn wrapped(&mut self, sent: &Sent, at: Reading) {
        let Some((n, asked)) = sent.n.and_then(|n| Some((n, self.asked.get_mut(&n)?))) else {
            return self.fails(format!("a request that nobody made: {sent:?}"));
        };
        let may_be_sent_again = self.settings.replays && std::mem::take(&mut asked.met_sign);
        if asked.sent.replace(sent.clone()).is_some() && !may_be_sent_again {
            return self.fails(format!("request {n} was sent twice"));
        }
        let mut wrong = Vec::new();
        match &sent.id {
            None if asked.without || self.settings.send_without => {}
            None => wrong.push("I6: sent without a session".to_owned()),
            Some(_) if asked.without => wrong.push("a session on a request that wants none".into()),
            Some(id) => match self.known.get(id) {
                None => wrong.push("I1: an unknown id".to_owned()),
                Some(known) => {
                    if !asked.wants.contains(&known.partition) {
                        let partition = &known.partition;
                        wrong.push(format!("I1: another partition's: {partition:?}"));
                    }
                    if sent.key != Some(known.partition.key) {
                        wrong.push(format!("I1: another key's: {:?}", sent.key));
                    }
                    if known.left(at) <= known.hard() {
                        wrong.push(format!("I1: only {:?} left", known.left(at)));
                    }
                    if let Some(why) = known.out_of_use {
                        wrong.push(why.to_owned());
                    }
                    if known.proved.certain < asked.signs.certain {
                        wrong.push("I1: not known to be alive since a sign of trouble".to_owned());
                    }
                    let partition = known.partition.clone();
                    self.last.retain(|(of, _)| *of != partition);
                    self.last.push((partition, id.clone()));
                }
            },
        }
        if at.monotonic > self.shutdown_at && sent.id.is_some() {
            wrong.push("I11: sent after the shutdown".to_owned());
        }
        for wrong in wrong {
            self.fails(format!("request {n}: {wrong}"));
        }
    }

    /// I7: a session that is good in every respect is used at once.
    fn waits(&mut self, n: u64) {
        let asked = &self.asked[&n];
        let [wants] = &asked.wants[..] else { return };
        // With little room, the session may have been evicted.
        if self.shutdown || asked.elsewhere || self.settings.max_sessions < 100 {
            return;
        }
        let last = self.last.iter().find(|(of, _)| of == wants);
        let Some(known) = last.and_then(|(_, id)| self.known.get(id)) else {
            return;
        };
        let good = !known.doubted
            && known.out_of_use.is_none()
            && known.proved.possible == self.signs.possible
            && known.left(asked.at) > known.hard();
        if good {
            self.fails(format!(
                "I7: request {n} waits, with a good session at hand"
            ));
        }
    }

    /// I8: nor are two calls of one partition closer than this, whatever came of the first.
    fn floor(&mut self, sent: &Sent, at: Reading) {
        let known = sent.id.as_ref().and_then(|id| self.known.get(id));
        let partition = match (known, sent.key, &sent.defaults) {
            (Some(known), ..) => known.partition.clone(),
            (None, Some(key), Some(defaults)) => Partition {
                key,
                defaults: defaults.clone(),
            },
            _ => return,
        };
        let before = self.last_calls.iter_mut().find(|(of, _)| *of == partition);
        let apart = match before {
            Some((_, last)) => at.since(std::mem::replace(last, at)),
            None => {
                self.last_calls.push((partition, at));
                return;
            }
        };
        if apart < FLOOR {
            self.fails(format!(
                "I8: call {} is {apart:?} after the one before",
                sent.wire
            ));
        }
    }

    /// I5: no key and no id in anything that the crate has put into words.
    fn secrets(&mut self, run: &Run) {
        let ids = self.known.keys().map(|id| &id[id.len() - 32..]);
        let keys = run.keys.iter().map(String::as_str);
        let secrets: Vec<_> = ids.chain(keys).collect();
        let shows = |said: &&String| secrets.iter().any(|secret| said.contains(secret));
        if let Some(said) = run.said.iter().find(shows) {
            self.failures.push(format!("I5: {said}"));
        }
    }

    /// I8: no span of time holds more calls than the published formula says.
    fn budget(&mut self, run: &Run) {
        for (first, start) in self.calls.iter().enumerate() {
            for (last, end) in self.calls.iter().enumerate().skip(first) {
                let (calls, span) = (last - first + 1, end.saturating_sub(*start));
                let bound = run.budget.bound(span);
                if calls as u64 > bound {
                    let text = format!("I8: {calls} calls in {span:?}, of {bound} allowed");
                    return self.failures.push(text);
                }
            }
        }
    }

    /// I2: no other create of its partition is under way.
    fn create(&mut self, sent: &Sent, at: Reading) {
        self.creates += 1;
        let timeout = self.settings.create_timeout + GRACE;
        let other = self.flying.values().find(|flying| {
            let same = flying.sent.operation == Operation::Create
                && flying.sent.key == sent.key
                && flying.sent.defaults == sent.defaults;
            same && !flying.fenced && at.since(flying.at) < timeout
        });
        if let Some(other) = other {
            let text = format!("I2: create {} beside {}", sent.wire, other.sent.wire);
            self.fails(text);
        }
    }

    fn lands(&mut self, wire: u64, index: usize) -> Option<Flying> {
        let flying = self.flying.remove(&wire)?;
        if let Some((_, until)) = flying.sent.n.and_then(|n| self.handled.get_mut(&n)) {
            *until = index;
        }
        Some(flying)
    }

    fn whole(&mut self, wire: u64, status: u16, record: Option<&Record>, index: usize) {
        let Some(flying) = self.lands(wire, index) else {
            return;
        };
        if (502..=504).contains(&status) {
            self.sign(Some(&flying));
        }
        if flying.sent.operation == Operation::Get && matches!(status, 200 | 404) {
            // Unless it says that all is well.
            let known = flying
                .sent
                .id
                .as_ref()
                .and_then(|id| self.known.get_mut(id));
            known.into_iter().for_each(|known| known.doubted = true);
        }
        let Some(record) = record else { return };
        match (flying.sent.operation, status) {
            (Operation::Create, 201) => {
                let partition = Partition {
                    key: flying.sent.key.unwrap_or(usize::MAX),
                    // As it was asked for: what is stored is seen when it is used.
                    defaults: flying.sent.defaults.unwrap_or_default(),
                };
                let known = Known {
                    partition,
                    born: flying.at,
                    life: record.life.min(self.settings.ttl),
                    proved: flying.signs,
                    doubted: false,
                    out_of_use: flying.barred.then_some("I11: begun before an invalidation"),
                    by_hand: false,
                    over: false,
                };
                // From here on this is the one that is used, if it is.
                self.last.retain(|(of, _)| *of != known.partition);
                self.known.insert(record.id.clone(), known);
            }
            (Operation::Get, 200) => {
                if let Some(known) = self.known.get_mut(&record.id) {
                    known.proved = flying.signs;
                    known.doubted = record.defaults != known.partition.defaults;
                }
            }
            _ => {}
        }
    }

    fn got(&mut self, n: u64, outcome: Got, proof: Option<Proof>, at: Reading) {
        self.proof(n, outcome, proof, at);
        let asked = &self.asked[&n];
        let sent = asked.sent.is_some() && !(self.settings.replays && asked.met_sign);
        match outcome {
            Got::Error(kind) if sent => {
                self.fails(format!("I6: request {n} was sent and failed with {kind:?}"));
            }
            Got::Error(kind) if self.calm == Some(n) => {
                self.fails(format!("I9: request {n} failed with {kind:?}"));
            }
            Got::Error(ErrorKind::InvalidRequest | ErrorKind::NoApiKey | ErrorKind::NoRuntime) => {
                self.fails(format!("request {n}: {outcome:?}"));
            }
            Got::Error(ErrorKind::Shutdown) if !self.shutdown => {
                self.fails(format!(
                    "I9: request {n} met a shutdown that nobody asked for"
                ));
            }
            Got::Answer(_) if self.calm == Some(n) => {
                let bears = asked.sent.as_ref().is_some_and(|sent| sent.id.is_some());
                if !bears {
                    self.fails(format!("I9: request {n} went without a session"));
                }
            }
            _ if self.calm == Some(n) => self.fails(format!("I9: request {n}: {outcome:?}")),
            _ => {}
        }
    }
}
