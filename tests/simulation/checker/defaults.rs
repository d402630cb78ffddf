//! I12: judges requests that the server answered under its own defaults. A restart between two calls has lost their
//! session.

use std::{collections::HashMap, ops::Range, time::Duration};

use sipher_session::{
    Doubt, Fingerprint, Proof, SessionId,
    clock::Reading,
    testing::{DeadReason, SessionUse},
};

use super::{
    Checker,
    health::{LONGEST_PAUSE, SAME_BOOT},
};
use crate::{trace::Got, wire, world::Run};

/// The layer reads the heads of answers this often, unless a proof is asked for.
const LOOK: Duration = Duration::from_millis(250);
/// If health says nothing, a call for a session finds the restart. There is at most one such call in five minutes. It
/// comes after a minute without a proof of the process, and after the last call for another session.
const LONGEST_UNSEEN: Duration = Duration::from_secs(8 * 60);

/// A request that was answered under the server's own defaults.
struct Wrong {
    n: u64,
    id: String,
    why: DeadReason,
    /// When the request was called. The index is a line of the trace.
    index: usize,
    at: Reading,
    /// When the manager examined the head of the answer: the line of the trace, and the monotonic time.
    seen: Option<(usize, Duration)>,
    /// The line at which any head arrived, also one that the manager does not examine.
    head: Option<usize>,
    /// The answer has a proof without a doubt.
    is_undoubted: bool,
}

impl Checker<'_> {
    pub(super) fn defaults(&mut self, run: &Run) {
        let wrong = self.wrong(run);
        for one in &wrong {
            let is_covered = self.is_covered(one.n);
            if !is_covered && self.calm.contains(&one.n) && !self.script.is_split() {
                self.fails(format!("I12: {} is wrong though all is calm", one.n));
            }
            if !is_covered && one.is_undoubted && !self.cannot_be_known(one) {
                self.fails(format!("I12: nothing doubts the wrong answer to {}", one.n));
            }
            if one.why == DeadReason::Forgotten {
                self.after_an_answer(one);
                self.after_a_head(one, &wrong);
            }
        }
        // With several replicas, the answer of one that knew the session says nothing about the answers of the others.
        if self.script.replicas == 1 {
            self.counted(&wrong);
        }
    }

    fn wrong(&self, run: &Run) -> Vec<Wrong> {
        let mut all: HashMap<u64, Wrong> = HashMap::new();
        for exchange in &run.log {
            let Some(n) = wire::number(&exchange.path, exchange.request_id.as_deref()) else {
                continue;
            };
            // If a request was sent several times, the answer to the last sending arrives.
            all.remove(&n);
            if let SessionUse::Dead { id, why } = &exchange.session
                && matches!(
                    why,
                    DeadReason::Forgotten | DeadReason::Elsewhere | DeadReason::Unknown
                )
                && let Some(wrong) = self.judge(n, id, *why)
            {
                all.insert(n, wrong);
            }
        }
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_by_key(|wrong| wrong.n);
        all
    }

    fn judge(&self, n: u64, id: &str, why: DeadReason) -> Option<Wrong> {
        let asked = self.asked.get(&n).filter(|_| !self.is_aside(n))?;
        // If the request was sent again, its answer belongs to another sending.
        if asked.sent.as_ref()?.id.as_deref() != Some(id) {
            return None;
        }
        let is_answered = matches!(asked.outcome, Some(Got::Answer(_)));
        let seen = asked.head.filter(|head| is_answered && head.is_stamped);
        let looked_at =
            |head: &super::known::Head| self.script.proves || (head.pause > LOOK && !head.at_once);
        Some(Wrong {
            n,
            id: id.to_owned(),
            why,
            index: asked.index,
            at: asked.at,
            head: seen.map(|head| head.index),
            seen: seen.filter(looked_at).map(|head| (head.index, head.at)),
            is_undoubted: matches!(asked.proof, Some(Proof::Session { doubt: None, .. })),
        })
    }

    /// Whether no client could have known of the loss from rate-limit windows and health. Examples: only one of several
    /// processes answered health in the session's life; a cache kept an answer without saying so; an answer arrived at
    /// the moment at which a request was sent, so their order is unknown.
    fn cannot_be_known(&self, one: &Wrong) -> bool {
        let made = self.known.get(&one.id).map_or(0, |known| known.landed_line);
        let until = one.seen.map_or(one.index, |(line, _)| line);
        let said = self.questions.said.iter();
        let mut boots = said
            .filter(|said| (made..until).contains(&said.index))
            .map(|said| said.health.boot);
        let first = boots.next().unwrap_or_default();
        let is_one_seen = boots.all(|boot| boot.abs_diff(first) <= SAME_BOOT);
        (self.script.replicas > 1 && is_one_seen)
            || self.script.has_cached_health()
            || self.asked[&one.n].met_a_head
            || one
                .seen
                .is_some_and(|(head, _)| self.is_window_unseen(head))
    }

    /// Once the server has said that it is another process, no request starts with a session of the old process.
    fn after_an_answer(&mut self, one: &Wrong) {
        let Some(known) = self.known.get(&one.id).filter(|it| !it.was_asked_for) else {
            return;
        };
        let says = self.questions.said.iter().find(|said| {
            (known.landed_line..one.index).contains(&said.index)
                && !said.health.keeps
                && said.health.boot > known.made + Duration::from_secs(1)
        });
        if let Some(said) = says {
            let line = said.index;
            self.fails(format!(
                "I12: {} is wrong after the answer of line {line}",
                one.n
            ));
        }
    }

    /// Once the head of a wrong answer has arrived, the server is asked as soon as a question is due.
    fn after_a_head(&mut self, one: &Wrong, all: &[Wrong]) {
        for first in all {
            let Some((line, seen)) = first.seen else {
                continue;
            };
            let until = self
                .handled
                .get(&one.n)
                .map_or(usize::MAX, |(_, until)| *until);
            let another = |(restart, _): &(usize, Duration)| (line..until).contains(restart);
            let seems_to_prove = self.is_window_unseen(line);
            if line >= one.index || seems_to_prove || self.restarts.iter().any(another) {
                continue;
            }
            let passed = one.at.monotonic.saturating_sub(seen);
            if passed > self.longest_unseen(line..one.index)
                && !self.script.has_cached_health()
                && !self.script.is_split()
            {
                self.fails(format!(
                    "I12: {} is wrong {passed:?} after {}",
                    one.n, first.n
                ));
            }
            // A window is a hint only once. If no question was due at that time, the next request checks again.
            let is_news = !self.is_window_known(line);
            if self.is_overdue((line, seen), is_news, one) {
                self.fails(format!(
                    "I12: {} is wrong and nobody asked after {}",
                    one.n, first.n
                ));
            }
        }
    }

    /// If health says nothing, the call that is due may be for another session. That session may be younger, and then
    /// it says nothing about this one.
    fn longest_unseen(&self, lines: Range<usize>) -> Duration {
        let others = self
            .questions
            .gets
            .iter()
            .filter(|get| lines.contains(get))
            .count();
        let turns = if self.questions.is_silent { others } else { 0 };
        LONGEST_UNSEEN * (u32::try_from(turns).unwrap_or(u32::MAX) + 1)
    }

    /// Whether a question was due between a head and the start of a request, and was not asked.
    fn is_overdue(&self, (line, seen): (usize, Duration), is_news: bool, one: &Wrong) -> bool {
        let asked = &self.questions.asked;
        // Soon after a false alarm, the question about a new sign comes later.
        let before = self.questions.settled_before(line);
        let due = before.map_or(seen, |at| seen.max(at + LONGEST_PAUSE));
        let asks_itself = |asked: &super::known::Asked| {
            let sent = asked.sent.as_ref().filter(|sent| sent.id.is_some());
            // A request may have waited for its own session. It checks again when it gets the session.
            let sent_line = sent.and_then(|sent| self.handled.get(&sent.n?));
            let is_between = sent_line.is_some_and(|(at, _)| (line..one.index).contains(at));
            is_between && asked.index >= line && asked.at.monotonic >= due
        };
        let is_due_at_once = is_news && due == seen;
        let is_due =
            one.at.monotonic > seen && (is_due_at_once || self.asked.values().any(asks_itself));
        // The trace shows the task of the question a moment later.
        let mut asked = asked.iter();
        is_due && !asked.any(|(index, at)| *index >= line && *at <= one.at.monotonic)
    }

    /// Whether the server was restarted between the call and its answer.
    fn met_a_restart(&self, n: u64) -> bool {
        let (from, until) = self.handled.get(&n).copied().unwrap_or_default();
        let mut restarts = self.restarts.iter();
        restarts.any(|(restart, _)| (from..until).contains(restart))
    }

    /// The event of a lost session counts at least as many requests as were answered wrong.
    fn counted(&mut self, wrong: &[Wrong]) {
        let told: Vec<(usize, Fingerprint, u64)> = self.lost.clone();
        for (index, session, requests) in told {
            let is_its = |one: &&Wrong| {
                let fingerprint = SessionId::parse(&one.id).map(|id| id.fingerprint());
                // An answer that seemed to prove the process removed its request, and all earlier ones, from the count.
                let seems_to_prove = |later: &Wrong| {
                    let head = later.head.filter(|_| later.index >= one.index);
                    head.is_some_and(|head| self.is_window_unseen(head))
                };
                let seemed_proven = wrong.iter().any(seems_to_prove);
                // The caller gave up, so no head arrived, and the server looked the session up later. Until then the
                // body was on its way, or the server was restarted.
                let is_later = self.met_a_restart(one.n) || self.has_slow_body(one.n);
                let is_told = !(seemed_proven || one.head.is_none() && is_later);
                one.index < index && fingerprint == Some(session) && is_told
            };
            let its: Vec<_> = wrong.iter().filter(is_its).map(|one| one.n).collect();
            if requests < its.len() as u64 {
                let text = format!("I12: {requests} counted as lost in line {index}, of {its:?}");
                self.fails(text);
            }
        }
    }
}

/// Whether a proof leaves no doubt about the process. The answer to a request without a session is not examined.
pub(super) fn is_proof(proof: Option<Proof>) -> bool {
    let Some(Proof::Session { doubt, inlined, .. }) = proof else {
        return matches!(proof, Some(Proof::Confirmed { .. }));
    };
    // A request that names its defaults itself needs no proof.
    !inlined.is_covered() && !matches!(doubt, Some(Doubt::Unproven | Doubt::Suspect))
}
