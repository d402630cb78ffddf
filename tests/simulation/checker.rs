//! Judges a run by what the client sent and saw, and by what the server made of it.
//!
//! What the promises excuse is excused exactly where it can be told apart, and by kind of trouble for the whole run
//! where it cannot; each excuse says so.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use sipher_session::{
    ErrorKind,
    clock::Reading,
    testing::{DeadReason, Exchange, Operation, SessionUse, What},
};

use crate::{
    script::{Script, Settings, Weather},
    trace::{Entry, Got, Line, Partition, Record, Sent},
    wire,
    world::Run,
};

/// How much later than its deadline a create counts as lost.
const GRACE: Duration = Duration::from_secs(1);

/// A session that the client knows of.
#[derive(Clone)]
struct Known {
    partition: Partition,
    born: Reading,
    life: Duration,
    /// How many signs of trouble there had been when the call that proved it alive was sent.
    proved: Signs,
    /// A check of it is under way or failed; what the manager makes of that is its own business.
    doubted: bool,
    out_of_use: Option<&'static str>,
    by_hand: bool,
    /// By the host's clock at some time, even if that was set back later.
    over: bool,
}

impl Known {
    fn left(&self, now: Reading) -> Duration {
        self.life.saturating_sub(now.since(self.born))
    }

    fn hard(&self) -> Duration {
        self.life
            .mul_f64(0.03)
            .clamp(Duration::from_secs(5), Duration::from_secs(60))
    }
}

/// Signs of trouble that the client has seen.
#[derive(Clone, Copy, Default)]
struct Signs {
    /// After which no session may be used unproved.
    certain: u64,
    /// These, and those that the manager is free to take for one.
    possible: u64,
}

struct Asked {
    wants: Vec<Partition>,
    without: bool,
    elsewhere: bool,
    at: Reading,
    signs: Signs,
    sent: Option<Sent>,
}

struct Flying {
    sent: Sent,
    at: Reading,
    signs: Signs,
    /// Its partition's session has been invalidated since: another may begin.
    fenced: bool,
    /// And what it brings is not to be used.
    barred: bool,
}

pub(crate) struct Checker<'a> {
    script: &'a Script,
    settings: &'a Settings,
    known: HashMap<String, Known>,
    asked: BTreeMap<u64, Asked>,
    flying: HashMap<u64, Flying>,
    /// Which session the last request of a partition bore.
    last: Vec<(Partition, String)>,
    signs: Signs,
    /// When the bucket of the published bound would be full again.
    full_at: Duration,
    shutdown: bool,
    /// The shutdown takes the sessions in a task of its own, after those who were to run already at that moment.
    shutdown_at: Duration,
    calm: Option<u64>,
    creates: usize,
    accounted: Option<u64>,
    suspensions: Vec<usize>,
    handled: HashMap<u64, (usize, usize)>,
    failures: Vec<String>,
}

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
        full_at: Duration::ZERO,
        shutdown: false,
        shutdown_at: Duration::MAX,
        calm: None,
        creates: 0,
        accounted: None,
        suspensions: Vec::new(),
        handled: HashMap::new(),
        failures: Vec::new(),
    };
    for (at, line) in run.lines.iter().enumerate() {
        checker.line(at, line);
    }
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
            Entry::DeletedByHand { id } => self.out_of_use(id, false, true),
            Entry::Weather(weather) if weather.starts_with("Suspend") => {
                self.suspensions.push(index);
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
            Entry::Got { n, outcome } => self.got(*n, *outcome),
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
                self.budget(sent, at);
                if operation == Operation::Create {
                    self.create(sent, at);
                }
                if let Some(known) = sent.id.as_ref().and_then(|id| self.known.get_mut(id)) {
                    known.doubted = true;
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
        if asked.sent.replace(sent.clone()).is_some() {
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

    /// I8: the token bucket that the published bound describes.
    fn budget(&mut self, sent: &Sent, at: Reading) {
        if sent.by_hand {
            return;
        }
        let interval = Duration::from_secs(60) / self.settings.per_minute;
        self.full_at = self.full_at.max(at.monotonic) + interval;
        if self.full_at.saturating_sub(at.monotonic) > interval * self.settings.burst {
            self.fails(format!("I8: call {} is over the budget", sent.wire));
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

    fn got(&mut self, n: u64, outcome: Got) {
        let asked = &self.asked[&n];
        let sent = asked.sent.is_some();
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

    /// I1, as the server saw it: every session that was used was what its request wanted.
    fn server(&mut self, run: &Run) {
        let mut wrong = Vec::new();
        for exchange in &run.log {
            let Some(n) = wire::number(&exchange.path) else {
                continue;
            };
            let asked = &self.asked[&n];
            match &exchange.session {
                SessionUse::Live { defaults, .. } => {
                    let right = asked.wants.iter().any(|wants| {
                        wants.defaults == *defaults
                            && exchange.key.as_ref() == run.labels.get(wants.key)
                    });
                    if !right {
                        wrong.push(format!("I1: {exchange} has {defaults}"));
                    }
                }
                SessionUse::Dead { id, why } if !self.is_excused(n, id, *why) => {
                    wrong.push(format!("I1: {exchange}"));
                }
                _ => {}
            }
        }
        for exchange in &run.elsewhere {
            if exchange.key.is_some() || exchange.session != SessionUse::None {
                wrong.push(format!("I4: {exchange}"));
            }
        }
        self.failures.extend(wrong);
    }

    /// Whether the server lost the session, so that only a sign could have told; that of signs is checked on the wire.
    fn is_excused(&self, n: u64, id: &str, why: DeadReason) -> bool {
        let script = self.script;
        match why {
            DeadReason::Forgotten => script.has(|weather| matches!(weather, Weather::Restart)),
            DeadReason::Evicted => {
                script.has(|weather| matches!(weather, Weather::Evict(_) | Weather::Capacity(_)))
            }
            // A replica that restarted, or had no room, and whose store was emptied.
            DeadReason::Unknown => script.replicas > 1,
            DeadReason::Expired => {
                // A suspension after the wall clock was set back is seen by neither clock.
                let unseen = script.has(|weather| matches!(weather, Weather::Suspend(_)))
                    && script.has(|weather| matches!(weather, Weather::WallBack(_)));
                let asleep = self.handled.get(&n).is_some_and(|(from, to)| {
                    let mut asleep = self.suspensions.iter();
                    asleep.any(|at| from < at && at < to)
                });
                unseen
                    || asleep
                    || script.has(|weather| {
                        matches!(
                            weather,
                            Weather::Fault {
                                what: What::ExpireEarly(_),
                                ..
                            }
                        )
                    })
            }
            DeadReason::Deleted => self.known.get(id).is_some_and(|known| known.by_hand),
            _ => false,
        }
    }

    /// I3: what is alive at the end is accounted for.
    fn end(&mut self, run: &Run) {
        // A stale replica writes sessions back that were deleted.
        if self.script.replicas > 1 {
            return;
        }
        let alive = run.lines.iter().find_map(|line| match &line.what {
            Entry::Alive { known, total } => Some((line.at, known, *total)),
            _ => None,
        });
        let Some((at, known, total)) = alive else {
            return self.fails("the run has no end".to_owned());
        };
        let over: HashSet<_> = known
            .iter()
            .filter(|id| {
                self.known
                    .get(*id)
                    .is_some_and(|known| known.over || known.left(at).is_zero())
            })
            .collect();
        // A network that delivers twice makes sessions that no client can know.
        let creates = |exchange: &&Exchange| exchange.operation == Operation::Create;
        let doubled = run.log.iter().filter(creates).count() - self.creates;
        let unaccounted = (total - over.len()).saturating_sub(doubled) as u64;
        let accounted = self.accounted.unwrap_or_default();
        if unaccounted > accounted {
            self.fails(format!(
                "I3: {total} sessions live, of which {} over by the host's clock and up to {doubled} doubled; \
                 only {accounted} are accounted for",
                over.len()
            ));
        }
    }
}
