//! Judges the requests as the server saw them.

use std::collections::HashSet;

use sipher_session::{
    SessionId,
    testing::{DeadReason, Exchange, Operation, SessionUse, What},
};

use super::Checker;
use crate::{script::Weather, trace::Entry, wire, world::Run};

impl Checker<'_> {
    /// I1, as the server saw it: every session belonged to its request's partition.
    pub(super) fn server(&mut self, run: &Run) {
        let mut wrong = Vec::new();
        for exchange in &run.log {
            let Some(n) = wire::number(&exchange.path, exchange.request_id.as_deref()) else {
                continue;
            };
            if self.is_aside(n) {
                continue;
            }
            let asked = &self.asked[&n];
            match &exchange.session {
                SessionUse::Live { id, defaults } => {
                    let right = asked.wants.iter().any(|wants| {
                        wants.defaults == *defaults
                            && exchange.key.as_ref() == run.labels.get(wants.key)
                    });
                    let by_hand = self.known.get(id).is_some_and(|known| known.by_hand);
                    if !right && !by_hand {
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

    /// Whether the server lost the session, so that only a sign could show it. The checks of the wire judge signs.
    fn is_excused(&self, n: u64, id: &str, why: DeadReason) -> bool {
        let script = self.script;
        match why {
            // Other checks judge which requests may carry such a session.
            DeadReason::Forgotten => !self.restarts.is_empty(),
            DeadReason::Evicted => {
                script.has(|weather| matches!(weather, Weather::Evict(_) | Weather::Capacity(_)))
            }
            // The session is at another replica, at one that restarted or had no room, or its store was emptied.
            DeadReason::Elsewhere | DeadReason::Unknown => script.replicas > 1,
            DeadReason::Expired => {
                // If the machine sleeps after the wall clock was set back, neither clock shows it.
                let unseen = script.has(|weather| matches!(weather, Weather::Suspend(_)))
                    && script.has(|weather| matches!(weather, Weather::WallBack(_)));
                let asleep = self.handled.get(&n).is_some_and(|(from, to)| {
                    let mut asleep = self.suspensions.iter();
                    asleep.any(|at| from < at && at < to)
                });
                let (_, until) = self.handled.get(&n).copied().unwrap_or_default();
                let jumped = self.known.get(id).and_then(|known| known.jumped);
                unseen
                    || asleep
                    || jumped.is_some_and(|at| at < until)
                    || ((script.late || self.asked[&n].held)
                        && (self.is_told_late(n) || self.was_sent_again(n, id)))
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

    /// Whether the answer was a sign that nobody received, so the layer sent the request again with another session.
    fn was_sent_again(&self, n: u64, id: &str) -> bool {
        let last = self.asked[&n].sent.as_ref();
        self.settings.replays && last.is_some_and(|last| last.id.as_deref() != Some(id))
    }

    /// Whether the session was reported as lost. It may still be alive: the server could not be asked.
    fn is_told_lost(&self, id: &str) -> bool {
        let fingerprint = SessionId::parse(id).map(|id| id.fingerprint());
        let mut lost = self.lost.iter();
        lost.any(|(_, session, _)| Some(*session) == fingerprint)
    }

    /// I3: the sessions that are alive at the end are accounted for.
    pub(super) fn end(&mut self, run: &Run) {
        // A stale replica writes deleted sessions back.
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
                    || self.is_told_lost(id)
            })
            .collect();
        // A network that delivers a create twice makes a session that no client can know.
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
