//! Judges the session calls: one create at a time, calls within the bound, their answers, and no secrets in texts.

use std::time::Duration;

use sipher_session::{clock::Reading, testing::Operation};

use super::{
    Checker,
    known::{Flying, GRACE, Known, Tries},
};
use crate::{
    trace::{Partition, Record, Sent},
    world::Run,
};

/// The shortest time between two session calls of one partition.
const FLOOR: Duration = Duration::from_millis(200);

impl Checker<'_> {
    /// I8: two calls of one partition are at least this far apart, whatever the outcome of the first.
    pub(super) fn floor(&mut self, sent: &Sent, at: Reading) {
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
        let Some((_, last)) = before else {
            self.last_calls.push((partition, at));
            return;
        };
        let apart = at.since(std::mem::replace(last, at));
        if apart < FLOOR {
            self.fails(format!(
                "I8: call {} is {apart:?} after the one before",
                sent.wire
            ));
        }
    }

    /// I8: no span of time has more calls than the published formula allows.
    pub(super) fn budget(&mut self, run: &Run) {
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

    /// I2: no other create of this partition is in flight.
    pub(super) fn create(&mut self, sent: &Sent, at: Reading) {
        self.creates += 1;
        let timeout = self.settings.create_timeout + GRACE;
        let other = self.flying.values().find(|flying| {
            let same = flying.sent.operation == Operation::Create
                && flying.sent.key == sent.key
                && flying.sent.defaults == sent.defaults;
            same && !flying.fenced && !flying.is_overdue(timeout, at)
        });
        if let Some(other) = other {
            let text = format!("I2: create {} beside {}", sent.wire, other.sent.wire);
            self.fails(text);
        }
    }

    /// Returns the creates in flight. An answer about the server's process also says something about their sessions.
    pub(super) fn creates_under_way(&mut self) -> impl Iterator<Item = &mut Flying> {
        let flying = self.flying.values_mut();
        flying.filter(|flying| flying.sent.operation == Operation::Create)
    }

    /// The complete answer to a session call has arrived. No answer counts before it is complete.
    pub(super) fn whole(
        &mut self,
        (wire, status): (u64, u16),
        record: Option<&Record>,
        index: usize,
        at: Reading,
    ) {
        self.answers(wire, status, at);
        self.saw_body(wire, index);
        let Some(flying) = self.lands(wire, index) else {
            return;
        };
        if (502..=504).contains(&status) && !flying.is_stamped {
            self.sign(Some(&flying), !self.questions.may_damp(at));
        }
        // The answer's rate-limit window may be a new one.
        self.signs.possible += u64::from(flying.is_stamped);
        if status == 404 && flying.sent.operation != Operation::Create {
            // A server that has lost one session may have lost the others.
            self.signs.possible += 1;
            self.questions.found(at);
        }
        if flying.sent.operation == Operation::Get && matches!(status, 200 | 404) {
            // Doubt the session, unless the answer below says that all is well.
            if let Some(known) = flying
                .sent
                .id
                .as_ref()
                .and_then(|id| self.known.get_mut(id))
            {
                known.doubted = true;
            }
        }
        let Some(record) = record else { return };
        match (flying.sent.operation, status) {
            (Operation::Create, 201) => {
                let partition = Partition {
                    key: flying.sent.key.unwrap_or(usize::MAX),
                    // The defaults that were asked for. The stored ones show when the session is used.
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
                    jumped: flying.jumped,
                    made: record.made,
                    landed: at.monotonic,
                    landed_line: index,
                    used: at,
                    idle: Duration::ZERO,
                    was_asked_for: false,
                    found: (at.monotonic, at.monotonic),
                };
                // From here on, requests of this partition use this session or none.
                self.last.retain(|(of, _)| *of != known.partition);
                self.tries
                    .retain(|tries| tries.partition != known.partition);
                self.known.insert(record.id.clone(), known);
            }
            (Operation::Get, 200) => {
                self.was_asked_for(record, flying.signs);
                if !flying.sent.by_hand {
                    self.questions.settled(index, at);
                }
                if let Some(known) = self.known.get_mut(&record.id) {
                    // The answers to two questions may arrive in any order.
                    known.proved = known.proved.or_later(flying.signs);
                    known.found = (flying.at.monotonic, at.monotonic);
                    known.doubted = record.defaults != known.partition.defaults;
                }
            }
            _ => {}
        }
    }

    /// This call may be a try of an earlier create. Returns when that create began.
    pub(super) fn begun(&mut self, sent: &Sent, at: Reading) -> Reading {
        let (Some(key), Some(defaults)) = (sent.key, &sent.defaults) else {
            return at;
        };
        let timeout = self.settings.create_timeout;
        let of = |tries: &&mut Tries| {
            tries.partition.key == key && tries.partition.defaults == *defaults
        };
        if let Some(tries) = self.tries.iter_mut().find(of) {
            if at.since(tries.begun) >= timeout {
                tries.begun = at;
            }
            return tries.begun;
        }
        let partition = Partition {
            key,
            defaults: defaults.clone(),
        };
        self.tries.push(Tries {
            partition,
            begun: at,
        });
        at
    }

    /// I5: no key and no id is in any text of the crate.
    pub(super) fn secrets(&mut self, run: &Run) {
        let ids = self.known.keys().map(|id| &id[id.len() - 32..]);
        let keys = run.keys.iter().map(String::as_str);
        let secrets: Vec<_> = ids.chain(keys).collect();
        let shows = |said: &&String| secrets.iter().any(|secret| said.contains(secret));
        if let Some(said) = run.said.iter().find(shows) {
            self.failures.push(format!("I5: {said}"));
        }
    }
}
