//! Attempts and the gate alone, without a runtime, a clock or a server. A test can list every event that may come next,
//! and apply one. What each attempt still has to do is kept in books, which are checked after each step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    books::Books,
    came::Came,
    table::{self, Table},
    *,
};
use crate::{
    api::SessionDefaults,
    model::{
        budget::CallBudget,
        failure::FLOOR,
        partition::{HashedDefaults, Partition},
    },
    secret::ApiKey,
};

pub(super) const TIMEOUT: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits {
    patience: Duration::from_secs(6),
    timeout: TIMEOUT,
};
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far time may advance at once, in milliseconds: longer than the floor between two calls of a partition; long
/// enough for a new token; longer than the first cooldown of a refused key.
const STEPS: [u64; 3] = [300, 5_000, 31_000];

/// After a check in place of `GET /v1/health` told nothing, no other such check is made for this long.
const IN_VAIN: Duration = Duration::from_secs(5 * 60);

/// What may happen next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// A request needs a session of this partition. If the partition has one, that one has become suspect.
    Needed(usize),
    /// The session of this partition is renewed while requests go on with it.
    Renewed(usize),
    Comes(u64, Came),
    /// The task of an attempt is gone.
    Dropped(u64),
    /// The defaults change, or the session is invalidated.
    Fenced(usize),
    /// No request may carry the present session any more.
    Ends(usize),
    Passes(u64),
}

/// An attempt under way, and the books of what it still has to do.
#[derive(Clone, Debug)]
pub(super) struct Flying {
    pub(super) partition: usize,
    pub(super) attempt: Attempt<u64>,
    pub(super) books: Books,
}

/// What stays the same during a run.
pub(super) struct Setting {
    pub(super) budget: CallBudget,
    pub(super) partitions: Vec<Arc<Partition>>,
    pub(super) is_told: bool,
    pub(super) may_go_on_untold: bool,
    /// Whether there is a fleet, which is asked first. Without one, each attempt creates its session itself.
    pub(super) shares: bool,
}

impl Setting {
    /// Creates a setting with the manager's own key and with another key that has two sets of defaults.
    pub(super) fn new(burst: u32, is_told: bool, may_go_on_untold: bool, shares: bool) -> Self {
        let partition = |key: &str, chain: &str| {
            let defaults = SessionDefaults::new().chain(chain.into());
            Partition::new(ApiKey::from(key), &HashedDefaults::new(defaults)).unwrap()
        };
        Self {
            budget: CallBudget::new(12, burst).unwrap(),
            partitions: vec![
                partition("own", "near"),
                partition("other", "sui"),
                partition("other", "near"),
            ],
            is_told,
            may_go_on_untold,
            shares,
        }
    }
}

#[derive(Clone)]
pub(super) struct World<'a> {
    pub(super) setting: &'a Setting,
    pub(super) gate: Gate<()>,
    pub(super) flying: BTreeMap<u64, Flying>,
    pub(super) current: [Option<u64>; 3],
    pub(super) over: BTreeSet<u64>,
    pub(super) now: Duration,
    pub(super) answered: Option<Reading>,
    pub(super) is_outage: bool,
    /// When a session call in place of `GET /v1/health` last told nothing.
    pub(super) in_vain: Option<Duration>,
    seed: u64,
    signs: u64,
    next: u64,
    /// When each call was granted, and to which partition.
    pub(super) calls: Vec<(Duration, usize)>,
    /// What followed each input, if a test wants to know.
    pub(super) table: Option<Table>,
    /// The events that led to this state.
    pub(super) trail: Vec<Happening>,
}

impl<'a> World<'a> {
    pub(super) fn new(setting: &'a Setting, seed: u64) -> Self {
        let mut gate = Gate::new(setting.budget, LIMITS.timeout);
        gate.known_keys.own(Some(setting.partitions[0].key_id));
        Self {
            setting,
            gate,
            flying: BTreeMap::new(),
            current: [None; 3],
            over: BTreeSet::new(),
            now: DAY,
            answered: None,
            is_outage: false,
            in_vain: None,
            seed,
            signs: 0,
            next: 1,
            calls: Vec::new(),
            table: None,
            trail: Vec::new(),
        }
    }

    pub(super) fn reading(&self) -> Reading {
        Reading {
            monotonic: self.now,
            wall: self.now,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Puts every event that may happen next into `into`.
    pub(super) fn happenings(&self, into: &mut Vec<Happening>) {
        into.clear();
        for (index, partition) in self.setting.partitions.iter().enumerate() {
            if self.gate.flight(partition.id).is_some() {
                into.push(Happening::Fenced(index));
            } else {
                into.push(Happening::Needed(index));
                if self.current[index].is_some() {
                    into.push(Happening::Renewed(index));
                }
            }
            if self.current[index].is_some_and(|current| !self.over.contains(&current)) {
                into.push(Happening::Ends(index));
            }
        }
        for (generation, flying) in &self.flying {
            let comes = |came: &Came| Happening::Comes(*generation, *came);
            into.extend(self.may_come(flying).map(comes));
            into.push(Happening::Dropped(*generation));
        }
        into.extend(STEPS.map(Happening::Passes));
    }

    pub(super) fn may_come(&self, flying: &Flying) -> impl Iterator<Item = &'static Came> {
        let came = Came::to(flying.attempt.step()).iter();
        // The driver lets no attempt make a session call in place of `GET /v1/health` again so soon.
        let is_recent = |at: Duration| self.now.saturating_sub(at) < IN_VAIN;
        let is_in_vain = self.in_vain.is_some_and(is_recent);
        came.filter(move |came| **came != Came::UnclearInPlace || !is_in_vain)
    }

    pub(super) fn apply(&mut self, happening: Happening) {
        self.trail.push(happening);
        match happening {
            Happening::Needed(index) => self.begin(index, self.current[index]),
            Happening::Renewed(index) => self.begin(index, None),
            Happening::Comes(generation, came) => self.comes(generation, came),
            Happening::Dropped(generation) => self.drop(generation),
            Happening::Fenced(index) => {
                self.current[index] = None;
                drop(self.gate.fence(self.setting.partitions[index].id));
            }
            Happening::Ends(index) => self.over.extend(self.current[index]),
            Happening::Passes(millis) => {
                self.now += Duration::from_millis(millis);
                self.signs += 1;
            }
        }
    }

    fn begin(&mut self, index: usize, suspect: Option<u64>) {
        let (partition, now) = (self.setting.partitions[index].clone(), self.reading());
        let may_begin = match suspect {
            Some(_) => self.gate.check_hold(&partition, now),
            None => self
                .gate
                .check(&partition, Purpose::Create, LIMITS.patience, now),
        };
        if let Err(error) = may_begin {
            let after = error.next_attempt_in().unwrap_or_default();
            assert!(!after.is_zero(), "{error:?}: {:?}", self.trail);
            return;
        }
        let is_behind = self.gate.comes_behind(&partition, Purpose::Create, now);
        let shares = self.setting.shares && self.gate.known_keys.is_accepted(partition.key_id);
        let place = match suspect {
            Some(_) => Place::Nowhere,
            None if shares => Place::Store,
            None if is_behind => Place::Behind,
            None => Place::Queue,
        };
        let generation = self.number();
        self.gate.begin(partition.id, generation, (), place, now);
        let flying = Flying {
            partition: index,
            attempt: Attempt::new(generation, suspect, place, LIMITS, now),
            books: Books::default(),
        };
        self.flying.insert(generation, flying);
        let (_, after) = self.hand_in(generation, Input::Begun(self.seed));
        self.goes_on(generation, after);
    }

    /// Moves the attempt on. Without a fleet, it creates its session itself.
    fn goes_on(&mut self, generation: u64, mut step: Step<u64>) {
        while !self.setting.shares && matches!(step, Step::Sharing) {
            step = self.hand_in(generation, Input::Shared(Share::Create)).1;
        }
        if let Step::Ended(outcome) = step {
            self.end(generation, outcome);
        }
    }

    fn comes(&mut self, generation: u64, came: Came) {
        let fresh = self.number();
        let step = self.flying[&generation].attempt.step();
        if came == Came::Due {
            self.now = self.now.max(until(step).unwrap_or(self.now));
        }
        let key = self.partition_of(generation).key_id;
        if came.is_answer() {
            (self.answered, self.is_outage) = (Some(self.reading()), false);
            self.gate.reached();
            self.gate.let_through(key);
        } else if came.is_unreachable() {
            self.is_outage = true;
        }
        let input = came.input_to(self.flying[&generation].attempt.step(), fresh);
        let (before, now) = (self.flying[&generation].attempt.step().clone(), self.now);
        if let Some(flying) = self.flying.get_mut(&generation) {
            flying.books.note(&before, came, fresh, now);
        }
        let (told, after) = self.hand_in(generation, input);
        if let Some(table) = &mut self.table {
            table.note(&before, came, &told, &after);
        }
        self.goes_on(generation, after);
    }

    fn partition_of(&self, generation: u64) -> Arc<Partition> {
        self.setting.partitions[self.flying[&generation].partition].clone()
    }

    /// Hands in an input. Returns the effects that were carried out, and the next step.
    pub(super) fn hand_in(
        &mut self,
        generation: u64,
        input: Input<u64>,
    ) -> (Vec<&'static str>, Step<u64>) {
        let (partition, now) = (self.partition_of(generation), self.reading());
        let (mut told, flying) = (Vec::new(), self.flying.get_mut(&generation).unwrap());
        let is_over = |suspect: &u64| self.over.contains(suspect);
        let facts = Facts {
            current: self.current[flying.partition].filter(|current| !is_over(current)),
            is_over: flying.attempt.suspect().is_some_and(is_over),
            signs: self.signs,
            is_told: self.setting.is_told,
            may_go_on_untold: self.setting.may_go_on_untold,
            is_outage: self.is_outage,
            answered: self.answered,
        };
        let last_call = self.gate.last_call(partition.id);
        let mut cx = Context {
            partition: &partition,
            gate: &mut self.gate,
            facts,
            now,
        };
        flying.attempt.handle(input, &mut cx);
        while let Some(effect) = flying.attempt.next_effect() {
            told.push(table::effect(&effect));
            if let Effect::MeteredInVain(_) = effect {
                self.in_vain = Some(self.now);
            }
            flying.books.carried_out(&effect, &self.trail);
        }
        flying.books.balance(&flying.attempt, is_over, &self.trail);
        if self.gate.last_call(partition.id) != last_call {
            self.calls.push((self.now, flying.partition));
            self.check_calls();
        }
        (told, self.flying[&generation].attempt.step().clone())
    }

    fn end(&mut self, generation: u64, outcome: Result<Outcome<u64>, Fenced>) {
        let Ok(outcome) = outcome else {
            return self.drop(generation);
        };
        let (partition, now) = (self.partition_of(generation), self.reading());
        let Some(mut flying) = self.flying.remove(&generation) else {
            return;
        };
        let outcome = match (outcome, flying.attempt.unreached()) {
            (Err(error), Some(purpose)) => {
                let error = self.gate.unreachable(&partition, purpose, error, now);
                assert!(error.next_attempt_in().is_some(), "{:?}", self.trail);
                Err(error)
            }
            (outcome, _) => outcome,
        };
        let came = outcome.as_ref().map(|_| now);
        let is_current = flying.attempt.land(came, (&partition, &mut self.gate), now);
        while let Some(effect) = flying.attempt.next_effect() {
            flying.books.carried_out(&effect, &self.trail);
        }
        flying.books.close(outcome.as_ref().ok(), &self.trail);
        if let (Ok(session), true) = (outcome, is_current) {
            self.current[flying.partition] = Some(session);
        }
    }

    fn drop(&mut self, generation: u64) {
        let partition = self.partition_of(generation);
        let Some(mut flying) = self.flying.remove(&generation) else {
            return;
        };
        flying.attempt.drop_out((&partition, &mut self.gate));
        while let Some(effect) = flying.attempt.next_effect() {
            flying.books.carried_out(&effect, &self.trail);
        }
        flying.books.made = None; // It is reported as a possible orphan.
        flying.books.close(None, &self.trail);
    }

    /// I8: checks the call budget, and the floor between two calls of a partition.
    fn check_calls(&self) {
        let Some((last, of)) = self.calls.last() else {
            return;
        };
        for (position, (first, index)) in self.calls.iter().rev().enumerate() {
            let apart = last.saturating_sub(*first);
            let within = self.setting.budget.bound(apart);
            assert!((position as u64) < within, "{:?}", self.trail);
            let is_apart = position == 0 || index != of || apart >= FLOOR;
            assert!(is_apart, "{:?}", self.trail);
        }
    }
}

/// Returns the time until which an attempt waits.
fn until<S>(step: &Step<S>) -> Option<Duration> {
    match step {
        Step::Queued(queued) => Some(queued.until),
        Step::Pausing(pause) => Some(pause.until),
        _ => None,
    }
}
