//! The session calls: one create at a time, within the bound; and nothing secret in what is said of them.

use std::time::Duration;

use sipher_session::{clock::Reading, testing::Operation};

use super::{
    Checker,
    known::{Flying, GRACE, Tries},
};
use crate::{
    trace::{Partition, Sent},
    world::Run,
};

/// The least time between two session calls of one partition.
const FLOOR: Duration = Duration::from_millis(200);

impl Checker<'_> {
    /// I8: nor are two calls of one partition closer than this, whatever came of the first.
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

    /// I8: no span of time holds more calls than the published formula says.
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

    /// I2: no other create of its partition is under way.
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

    /// What the server says also holds for a session whose create is not answered yet.
    pub(super) fn creates_under_way(&mut self) -> impl Iterator<Item = &mut Flying> {
        let flying = self.flying.values_mut();
        flying.filter(|flying| flying.sent.operation == Operation::Create)
    }

    /// Returns when the create began of which this call may be a try.
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

    /// I5: no key and no id in anything that the crate has put into words.
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
