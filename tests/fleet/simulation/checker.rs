//! Judges a run by the requests of the processes, by the server's answers, and by the store's answers.

mod changes;
mod excuses;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use changes::Changes;
use excuses::is_store_back;
use serde_json::Value;
use sipher_session::testing::{DeadReason, Operation, SessionUse};

use super::{
    script::{self, Deed, End, Script},
    trace::{Entry, Line, Who, short},
    wire,
    world::Run,
};
use crate::flaky::Said;

/// Processes with the same key and defaults form a group.
type Group = (usize, usize);

#[derive(Default)]
struct Checker<'a> {
    script: Option<&'a Script>,
    asked: HashMap<u64, Asked>,
    /// The process behind each create in flight, by the number of the call.
    creating: BTreeMap<u64, (Who, String)>,
    /// When the last create of each slot was sent. Recorded once all trouble is over.
    created: HashMap<String, Duration>,
    calls: HashMap<usize, Vec<Duration>>,
    call_of: HashMap<u64, (Who, Operation)>,
    undelivered: HashSet<u64>,
    invalidated: HashSet<(Who, String)>,
    /// Sessions that were deleted, changed or leaked by hand: by which process, and when.
    taken: HashMap<String, (Who, Duration)>,
    changes: Changes,
    asleep: Vec<usize>,
    /// When the store's clock was set back, and by how much.
    store_back: Vec<(Duration, Duration)>,
    /// The first and last line of the trace at which each request was below the layer.
    way: HashMap<u64, (usize, usize)>,
    is_well: bool,
    /// Whether no request is sent any more.
    is_over: bool,
    others: Vec<(Who, usize)>,
    remaining: usize,
    failures: Vec<String>,
}

struct Asked {
    who: Who,
    at: Duration,
    is_well: bool,
    held_up: Duration,
    barred: HashSet<String>,
}

/// Returns the broken promises of a run.
pub(crate) fn check(script: &Script, run: &Run) -> Vec<String> {
    let mut checker = Checker {
        script: Some(script),
        ..Checker::default()
    };
    for (at, line) in run.lines.iter().enumerate() {
        checker.line(at, line);
    }
    checker.server(run);
    checker.budgets(run);
    checker.grants(run);
    checker.failures
}

fn value(which: usize) -> Value {
    serde_json::to_value(script::defaults(which)).unwrap()
}

impl Checker<'_> {
    fn script(&self) -> &Script {
        self.script.unwrap()
    }

    fn fails(&mut self, what: String) {
        self.failures.push(what);
    }

    fn group(&self, who: Who) -> Group {
        let place = &self.script().places[who.place];
        (place.key, place.home)
    }

    fn line(&mut self, index: usize, line: &Line) {
        match &line.what {
            Entry::Asks { who, n, held_up } => self.asks(*who, *n, *held_up, line.at),
            Entry::Departs {
                who,
                n,
                id,
                is_live,
            } => {
                self.way.insert(*n, (index, usize::MAX));
                self.departs(*who, *n, id.as_deref(), *is_live, line.at);
            }
            Entry::Ended { n } => {
                if let Some((_, until)) = self.way.get_mut(n) {
                    *until = index;
                }
            }
            Entry::Got { n, outcome } => {
                let is_well = self.asked[n].is_well;
                self.got(*n, outcome, is_well);
            }
            Entry::Call {
                who,
                call,
                operation,
                key,
                about,
            } => {
                // A health call counts against no budget.
                if about != "health" {
                    self.calls.entry(who.life).or_default().push(line.at);
                }
                self.call_of.insert(*call, (*who, *operation));
                if *operation == Operation::Create {
                    self.create(*who, *call, format!("{key} {about}"), line.at);
                }
            }
            Entry::Answered { call, status } => {
                self.creating.remove(call);
                if status.is_none() {
                    self.undelivered.insert(*call);
                }
            }
            Entry::Invalidated { who, id } => {
                self.invalidated.insert((*who, id.clone()));
            }
            Entry::TakenOut { who, id } => {
                let taken = (*who, line.at);
                self.taken.entry(id.clone()).or_insert(taken);
                self.invalidated.insert((*who, id.clone()));
            }
            Entry::Starts(who) => self.changes.starts(*who, line.at),
            Entry::Change {
                who,
                n,
                to,
                is_patch,
            } => {
                let whose = (self.group(*who), *who);
                self.changes.begins(whose, *n, to, *is_patch, line.at);
            }
            Entry::Changed { n, is_made } => self.changes.ends(*n, *is_made, line.at),
            Entry::Deed(deed) => {
                self.changes.deed(deed, line.at);
                if let Deed::StoreBack(by) = deed {
                    self.store_back.push((line.at, *by));
                }
            }
            Entry::Asleep => self.asleep.push(index),
            Entry::Well => self.is_well = true,
            Entry::Last(last) => {
                self.is_over = true;
                self.last(last);
            }
            Entry::ShutDown { who, report } if self.is_over => {
                if report.left_to_others > 0 {
                    self.others.push((*who, report.left_to_others));
                }
                self.remaining += report.left_to_expire + report.failed;
            }
            Entry::End { live, tasks } => self.end(*live, *tasks),
            _ => {}
        }
    }

    /// I1, I6, I11: judges the session of a request at the moment at which the request leaves the layer.
    fn departs(&mut self, who: Who, n: u64, id: Option<&str>, is_live: bool, at: Duration) {
        let Some(id) = id else {
            return self.fails(format!("I6: request {n} of {who} went without a session"));
        };
        let taken = self.taken.get(id);
        let may_bear = taken.is_some_and(|taken| self.may_bear(*taken, who, at));
        if taken.is_some() && !may_bear {
            self.fails(format!(
                "I1: request {n} of {who} bears {}, which was taken out of use",
                short(id)
            ));
        } else if !is_live && !may_bear && !self.may_misjudge_age(at) {
            self.fails(format!(
                "I1: request {n} of {who} left with the dead {}",
                short(id)
            ));
        }
        if self.asked[&n].barred.contains(id) {
            self.fails(format!(
                "I11: request {n} of {who} bears what was invalidated"
            ));
        }
    }

    fn got(&mut self, n: u64, outcome: &str, is_well: bool) {
        let is_late = outcome.starts_with("Timeout") && self.may_wait_in_vain(self.asked[&n].who);
        if is_well && !outcome.starts_with("404") && !is_late {
            self.fails(format!("I9: all is well, and request {n} gets {outcome}"));
        }
    }

    fn asks(&mut self, who: Who, n: u64, held_up: Duration, at: Duration) {
        let barred = self.invalidated.iter().filter(|(by, _)| *by == who);
        let asked = Asked {
            who,
            at,
            is_well: self.is_well,
            held_up,
            barred: barred.map(|(_, id)| id.clone()).collect(),
        };
        self.asked.insert(n, asked);
    }

    /// I2 and I8 for the whole fleet: creates of one slot do not overlap, and do not come too often.
    fn create(&mut self, who: Who, call: u64, slot: String, at: Duration) {
        if self.is_well {
            let other = self.creating.values().find(|(_, other)| *other == slot);
            // Example: a process believes that a session is younger than it is. The server says that the session is
            // gone, so the process reports it lost. That voids the claim of another process, which is renewing the
            // session.
            if let Some((other, _)) = other
                && !self.may_misjudge_age(at)
            {
                self.fails(format!("I2: {who} creates beside {other} at {at:?}"));
            }
            let (least, _) = self.script().ttl();
            // By the clock that is furthest ahead, no renewal comes earlier than this.
            let period = least.mul_f64(0.75 - 5.0 / 20.0);
            let before = self.created.insert(slot.clone(), at);
            let apart = before.map_or(Duration::MAX, |before| at.saturating_sub(before));
            if apart < period && !self.script().is_skewed {
                self.fails(format!(
                    "I8: {who} creates {apart:?} after the last one, at {at:?}"
                ));
            }
        }
        self.creating.insert(call, (who, slot));
    }

    /// I1, judged by what the server found when it looked the session up. Also checks the defaults that the server
    /// applied.
    fn server(&mut self, run: &Run) {
        let mut orphans: HashMap<Who, u64> = HashMap::new();
        for exchange in &run.log {
            if exchange.operation == Operation::Create && exchange.status == 201 {
                let call = exchange.request_id.as_ref().and_then(|id| id.parse().ok());
                let call = call.filter(|call| self.undelivered.contains(call));
                if let Some((who, _)) = call.and_then(|call| self.call_of.get(&call)) {
                    *orphans.entry(*who).or_default() += 1;
                }
            }
            let Some(n) = wire::number(&exchange.path) else {
                continue;
            };
            let asked = &self.asked[&n];
            match &exchange.session {
                // The check at departure has already judged whether the request may carry this session.
                SessionUse::Live { id, .. } | SessionUse::Dead { id, .. }
                    if self.taken.contains_key(id) => {}
                SessionUse::Live { defaults, .. } => {
                    let departed = run.lines[self.way[&n].0].at;
                    let (who, is_well) = (asked.who, asked.is_well);
                    if !self.may_have(who, defaults, asked.at, departed, is_well) {
                        let text = format!("I1: request {n} of {} has {defaults}", asked.who);
                        self.failures.push(text);
                    }
                }
                _ if self.was_asleep(n) => {}
                SessionUse::Dead {
                    why: DeadReason::Expired,
                    ..
                } if asked.held_up > Duration::from_millis(script::ON_THE_WAY)
                    || self.is_of_unknown_age(n, run) => {}
                session => self
                    .failures
                    .push(format!("I1: request {n} of {}: {session:?}", asked.who)),
            }
        }
        for line in &run.lines {
            if let Entry::ShutDown { who, report } = &line.what
                && orphans
                    .get(who)
                    .is_some_and(|made| *made > report.possible_orphans)
            {
                let text = format!("I3: {} orphans of {who}, of {report}", orphans[who]);
                self.failures.push(text);
            }
        }
    }

    /// I8 for each process: its calls stay within its budget.
    fn budgets(&mut self, run: &Run) {
        for (life, calls) in &self.calls {
            for (first, start) in calls.iter().enumerate() {
                for (last, end) in calls.iter().enumerate().skip(first) {
                    let (made, span) = (last - first + 1, *end - *start);
                    if made as u64 > run.budgets[life].bound(span) {
                        self.failures
                            .push(format!("I8: {made} calls of process {life} in {span:?}"));
                        return;
                    }
                }
            }
        }
    }

    /// I2: a publication comes from the process that was last granted the claim, and each one has a higher number.
    fn grants(&mut self, run: &Run) {
        let (mut granted, mut accepted) = (HashMap::new(), HashMap::new());
        for said in &run.grants {
            match *said {
                // After a flush, the store takes numbers from its clock alone. If that clock was set back, they may be
                // lower than before.
                Said::Flushed if self.script().has(is_store_back) => accepted.clear(),
                Said::Flushed => {}
                Said::Granted(slot, member, generation) => {
                    granted.insert(slot, (member, generation));
                }
                Said::Accepted(slot, member, generation) => {
                    let before = accepted.insert(slot, generation);
                    let has_claim = granted.get(&slot) == Some(&(member, generation));
                    // A process that got no answer publishes the same record again.
                    let is_told_again = before == Some(generation);
                    if !is_told_again && (!has_claim || before > Some(generation)) {
                        let text = format!("I2: {slot}: {generation} after {before:?}");
                        self.failures.push(text);
                    }
                }
            }
        }
    }

    /// I9: in the end, all processes of one partition use the same session.
    fn last(&mut self, last: &[(Who, String, Option<String>)]) {
        // Only the last comparison counts.
        self.failures
            .retain(|failure| !failure.starts_with("I9: apart"));
        let mut ids: BTreeMap<&str, HashSet<&Option<String>>> = BTreeMap::new();
        for (_, partition, id) in last {
            ids.entry(partition).or_default().insert(id);
        }
        for (partition, ids) in ids {
            if ids.len() > 1 && !self.script().is_skewed {
                self.fails(format!("I9: apart: {partition}: {ids:?}"));
            }
        }
        self.followed(last);
    }

    /// I3 and I10: at the end, no session and no task is left over.
    fn end(&mut self, live: usize, tasks: usize) {
        if tasks > 0 {
            self.fails(format!("I10: {tasks} tasks at the end"));
        }
        let (script, remaining) = (self.script(), self.remaining);
        if script.end == End::Killed || script.is_skewed {
            return;
        }
        if live > 0 || remaining > 0 {
            let others = &self.others;
            let text = format!("I3: {live} live at the end, {remaining} reported, {others:?}");
            self.fails(text);
        }
    }
}
