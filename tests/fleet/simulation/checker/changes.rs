//! Which defaults a request may have: for each field, the value of its last writer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use serde_json::Value;

use super::{Checker, Deed, Group, Who, excuses::MOMENTS, value};

/// The fields that scripts set.
const FIELDS: [&str; 2] = ["chain", "privacyLevel"];
/// Changes are ordered by stamps in milliseconds. A change's stamp is at least one above all stamps that its process
/// knew.
const ROUNDING: Duration = Duration::from_millis(20);
const EVER: Duration = Duration::MAX;

/// A start and an end.
type Span = (Duration, Duration);

/// The values that one change gives to fields.
pub(super) struct Write {
    by: Who,
    n: u64,
    /// If the change was made at all, it was made between these two times.
    begun: Duration,
    ended: Duration,
    outcome: Outcome,
    fields: HashMap<&'static str, Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Made,
    Failed,
    /// The caller gave up, or its process was killed.
    Unknown,
}

/// Times at which a state began or ended: when, and whether it holds from then on.
#[derive(Default)]
struct Phases(Vec<(Duration, bool)>);

impl Phases {
    fn has_any(&self, from: Duration, until: Duration) -> bool {
        let mut phases = self.0.iter().enumerate();
        phases.any(|(at, (begun, is_so))| {
            let ended = self.0.get(at + 1).map_or(EVER, |(next, _)| *next);
            *is_so && *begun <= until && ended >= from
        })
    }

    fn is_all(&self, from: Duration, until: Duration) -> bool {
        let before = self.0.iter().rfind(|(begun, _)| *begun <= from);
        let mut after = self
            .0
            .iter()
            .filter(|(begun, _)| *begun > from && *begun <= until);
        before.is_some_and(|(_, is_so)| *is_so) && after.all(|(_, is_so)| *is_so)
    }
}

/// All changes of all groups.
#[derive(Default)]
pub(super) struct Changes {
    writes: HashMap<Group, Vec<Write>>,
    running: HashMap<usize, Who>,
    started: HashMap<Who, Duration>,
    /// When processes were killed or told to shut down.
    gone: HashMap<Who, Duration>,
    /// When the connection to the store was in trouble, by place.
    trouble: HashMap<usize, Phases>,
    flushed: Vec<Duration>,
    /// The sum of all steps of the clocks that stamp changes.
    steps: Duration,
}

impl Changes {
    pub(super) fn starts(&mut self, who: Who, at: Duration) {
        self.running.insert(who.place, who);
        self.started.insert(who, at);
    }

    pub(super) fn deed(&mut self, deed: &Deed, at: Duration) {
        match deed {
            Deed::Kill(place) | Deed::Shutdown(place, _) => {
                let Some(who) = self.running.remove(place) else {
                    return;
                };
                self.gone.insert(who, at);
                if matches!(deed, Deed::Kill(_)) {
                    let writes = self.writes.values_mut().flatten();
                    let open = writes.filter(|write| write.by == who && write.ended == EVER);
                    open.for_each(|write| write.ended = at);
                }
            }
            Deed::Store(place, trouble) => {
                let is_troubled =
                    trouble.is_cut || trouble.loses_answers || !trouble.delay.is_zero();
                let phases = self.trouble.entry(*place).or_default();
                phases.0.push((at, is_troubled));
            }
            Deed::Flush => self.flushed.push(at),
            Deed::StoreBack(by) | Deed::StoreForward(by) | Deed::SetForward(_, by) => {
                self.steps += *by;
            }
            _ => {}
        }
    }

    pub(super) fn begins(
        &mut self,
        (group, by): (Group, Who),
        n: u64,
        to: &Value,
        is_patch: bool,
        at: Duration,
    ) {
        let is_written = |field: &&str| !is_patch || to.get(field).is_some();
        let fields = FIELDS.into_iter().filter(is_written);
        self.writes.entry(group).or_default().push(Write {
            by,
            n,
            begun: at,
            ended: EVER,
            outcome: Outcome::Unknown,
            fields: fields.map(|field| (field, to[field].clone())).collect(),
        });
    }

    pub(super) fn ends(&mut self, n: u64, is_made: Option<bool>, at: Duration) {
        let mut writes = self.writes.values_mut().flatten();
        if let Some(write) = writes.find(|write| write.n == n) {
            write.ended = at;
            write.outcome = match is_made {
                Some(true) => Outcome::Made,
                Some(false) => Outcome::Failed,
                None => Outcome::Unknown,
            };
        }
    }

    /// Whether a process had no working connection to the store between these times, or until it was gone.
    pub(super) fn was_mute(&self, who: Who, (since, until): Span) -> bool {
        let until = self.gone.get(&who).map_or(until, |gone| until.min(*gone));
        let trouble = self.trouble.get(&who.place);
        trouble.is_some_and(|trouble| until >= since && trouble.is_all(since, until))
    }

    /// Whether the store lost its data while a process had no working connection to it since this time.
    pub(super) fn was_deaf(&self, who: Who, since: Duration) -> bool {
        let trouble = self.trouble.get(&who.place);
        let mut flushed = self.flushed.iter().filter(|at| **at >= since);
        trouble.is_some_and(|trouble| flushed.any(|at| trouble.is_all(since, *at)))
    }

    /// Whether the store lost its data within moments of this time, while one process was slow to tell it something and
    /// the other was slow to read that.
    pub(super) fn were_slow(&self, (by, since): (Who, Duration), who: Who) -> bool {
        let is_slow = |who: Who, at| {
            let trouble = self.trouble.get(&who.place);
            trouble.is_some_and(|trouble| trouble.is_all(at, at))
        };
        let mut flushed = self.flushed.iter();
        is_slow(by, since)
            && flushed.any(|at| (since..since + MOMENTS).contains(at) && is_slow(who, *at))
    }

    /// Whether a change is certainly older than another, however the clocks were stepped.
    fn is_before(&self, one: &Write, other: &Write) -> bool {
        // A process that makes two changes knows of the first.
        let steps = if one.by == other.by {
            Duration::ZERO
        } else {
            self.steps + ROUNDING
        };
        one.ended.saturating_add(steps) < other.begun
    }

    /// Whether the store certainly learned of the change.
    fn is_told(&self, write: &Write) -> bool {
        let heard = write.ended.saturating_add(MOMENTS);
        let is_troubled = self
            .trouble
            .get(&write.by.place)
            .is_some_and(|trouble| trouble.has_any(write.begun, heard));
        let is_gone = self.gone.get(&write.by).is_some_and(|at| *at < heard);
        !is_troubled && !is_gone
    }

    /// Whether the change is known for as long as the group exists.
    fn is_kept(&self, write: &Write) -> bool {
        // While the process that made the change lives, it tells the store again.
        let lives = !self.gone.contains_key(&write.by);
        let was_forgotten = self.flushed.iter().any(|at| *at >= write.begun);
        write.outcome == Outcome::Made && (lives || (self.is_told(write) && !was_forgotten))
    }

    /// Returns the values that a field of the group may have. Counts changes that began by `until`, and assumes that
    /// all processes know those for which `is_known` returns `true`.
    fn possible(
        &self,
        group: Group,
        field: &'static str,
        until: Duration,
        is_known: impl Fn(&Write) -> bool,
    ) -> Vec<Value> {
        let writes = self.writes.get(&group).map_or(&[][..], Vec::as_slice);
        let of_field = |write: &&Write| {
            write.fields.contains_key(field)
                && write.outcome != Outcome::Failed
                && write.begun <= until
        };
        let writes: Vec<_> = writes.iter().filter(of_field).collect();
        let known: Vec<_> = writes.iter().filter(|write| is_known(write)).collect();
        let last = writes.iter().filter(|write| {
            let mut later = known.iter();
            !later.any(|known| self.is_before(write, known))
        });
        let mut values: Vec<_> = last.map(|write| write.fields[field].clone()).collect();
        if known.is_empty() {
            values.push(value(group.1)[field].clone());
        }
        values
    }

    /// Whether these defaults consist of values that the group may have in the end.
    fn is_settled(&self, group: Group, defaults: &Value) -> bool {
        self.is_made_of(group, defaults, EVER, |write| self.is_kept(write))
    }

    fn is_made_of(
        &self,
        group: Group,
        defaults: &Value,
        until: Duration,
        is_known: impl Fn(&Write) -> bool,
    ) -> bool {
        let mut fields = FIELDS.into_iter();
        let names = defaults.as_object().into_iter().flat_map(|all| all.keys());
        names.clone().all(|name| FIELDS.contains(&name.as_str()))
            && fields.all(|field| {
                let possible = self.possible(group, field, until, &is_known);
                possible.contains(&defaults[field])
            })
    }

    /// Whether a process must know of a change before this request. A process without a session looks for changes only
    /// when a request comes.
    fn must_know(
        &self,
        who: Who,
        write: &Write,
        (asked, departed): Span,
        can_follow: bool,
    ) -> bool {
        if write.outcome != Outcome::Made || write.ended >= asked {
            return false;
        }
        if write.by == who {
            return true;
        }
        let was_forgotten = |at: &Duration| (write.begun..=departed).contains(at);
        if self.flushed.iter().any(was_forgotten) || !self.is_told(write) {
            return false;
        }
        let told = write.ended.saturating_add(MOMENTS);
        let started = self.started[&who];
        let trouble = self.trouble.get(&who.place);
        let is_clear = |from| !trouble.is_some_and(|trouble| trouble.has_any(from, departed));
        // A process starts with the current defaults of its group, and follows changes from then on.
        (started > told && is_clear(started))
            || (can_follow && asked > told && is_clear(write.begun))
    }
}

impl Checker<'_> {
    /// Whether a request that was asked for at `asked`, and left the layer at `departed`, may have these defaults.
    pub(super) fn may_have(
        &self,
        who: Who,
        defaults: &Value,
        asked: Duration,
        departed: Duration,
        is_well: bool,
    ) -> bool {
        let (changes, group) = (&self.changes, self.group(who));
        // A process follows a change only once there is a session with the new defaults.
        let script = self.script();
        let hinders = |deed: &Deed| {
            matches!(
                deed,
                Deed::Fault { .. } | Deed::Sleep(_) | Deed::SetBack(..) | Deed::SetForward(..)
            )
        };
        let (patience, can_follow) = (
            script.places[who.place].create_timeout,
            !script.has(hinders),
        );
        let is_known = |write: &Write| {
            changes.must_know(who, write, (asked, departed), false)
                || changes.must_know(
                    who,
                    write,
                    (asked.saturating_sub(patience), departed),
                    can_follow,
                )
        };
        changes.is_made_of(group, defaults, departed, is_known)
            && (!is_well || changes.is_settled(group, defaults))
    }

    /// I9: in the end, all processes of a group have the same defaults, and those were written last.
    pub(super) fn followed(&mut self, last: &[(Who, String, Option<String>)]) {
        let mut groups: BTreeMap<Group, HashSet<&str>> = BTreeMap::new();
        for (who, partition, _) in last {
            let (_, defaults) = partition.split_once(' ').unwrap();
            groups.entry(self.group(*who)).or_default().insert(defaults);
        }
        for (group, all) in groups {
            if all.len() > 1 {
                self.fails(format!("I9: apart: {group:?} has {all:?}"));
            }
            for defaults in all {
                let defaults = serde_json::from_str(defaults).unwrap();
                if !self.changes.is_settled(group, &defaults) {
                    self.fails(format!("I9: lost: {group:?} has {defaults}"));
                }
            }
        }
    }
}
