//! I12: whom the server answers under its own defaults, since no call met the restart that cost it his session.

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

/// The heads of answers are looked at so often, where no proof is asked for.
const LOOK: Duration = Duration::from_millis(250);
/// Where health says nothing, a restart is found by the call for a session that is made at most once in five minutes, after
/// nothing has proved the process for a minute, and after the last question for another.
const LONGEST_UNSEEN: Duration = Duration::from_secs(8 * 60);

/// A request that was answered under the server's own defaults.
struct Wrong {
    n: u64,
    id: String,
    why: DeadReason,
    /// When it was called, also by line.
    index: usize,
    at: Reading,
    /// When the head of its answer was seen by the manager, by line and by the clock that is never set.
    seen: Option<(usize, Duration)>,
    /// The same of any head, also of one that the manager does not look at as a rule.
    head: Option<usize>,
    /// Its answer bears a proof without a doubt.
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
        // Where one of several knew the session, that says nothing of what the others took.
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
            // Of several, the answer to the last one is the one that arrives.
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
        // Sent once more, its answer is to another sending.
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

    /// What no client can know from windows and health: that there are several processes, where health has been answered
    /// by one of them alone in the session's life; that a cache has kept the answer, where it does not say so; and which of two
    /// was first, where an answer came and a request was sent at the very same moment.
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

    /// Once the server has said that it is another process, no request starts with a session of the one before.
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

    /// Once the head of a wrong answer was there, the server is asked as soon as that is due.
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
            // A window is a hint once. Where the question was not due then, the next request looks.
            let is_news = !self.is_window_known(line);
            if self.is_overdue((line, seen), is_news, one) {
                self.fails(format!(
                    "I12: {} is wrong and nobody asked after {}",
                    one.n, first.n
                ));
            }
        }
    }

    /// Where health says nothing, the call that is due may be for another session, which was made later and says nothing of this one.
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
        // A sign is damped from the moment on at which the last one was found to be none.
        let before = self.questions.settled_before(line);
        let due = before.map_or(seen, |at| seen.max(at + LONGEST_PAUSE));
        let asks_itself = |asked: &super::known::Asked| {
            let sent = asked.sent.as_ref().filter(|sent| sent.id.is_some());
            // One that waited may have waited for its own session, and looks when it is handed that.
            let sent_line = sent.and_then(|sent| self.handled.get(&sent.n?));
            let is_between = sent_line.is_some_and(|(at, _)| (line..one.index).contains(at));
            is_between && asked.index >= line && asked.at.monotonic >= due
        };
        let is_due_at_once = is_news && due == seen;
        let is_due =
            one.at.monotonic > seen && (is_due_at_once || self.asked.values().any(asks_itself));
        // Its task is seen a moment later.
        let mut asked = asked.iter();
        is_due && !asked.any(|(index, at)| *index >= line && *at <= one.at.monotonic)
    }

    /// Whether it was on its way then: when its process was last proved, it may have been counted as answered.
    fn met_a_restart(&self, n: u64) -> bool {
        let (from, until) = self.handled.get(&n).copied().unwrap_or_default();
        let mut restarts = self.restarts.iter();
        restarts.any(|(restart, _)| (from..until).contains(restart))
    }

    /// A session's loss is told with at least as many requests as were answered wrong.
    fn counted(&mut self, wrong: &[Wrong]) {
        let told: Vec<(usize, Fingerprint, u64)> = self.lost.clone();
        for (index, session, requests) in told {
            let is_its = |one: &&Wrong| {
                let fingerprint = SessionId::parse(&one.id).map(|id| id.fingerprint());
                // One whose body came slowly was given the session long before the server looked it up.
                let was_on_its_way = self.met_a_restart(one.n) || self.has_slow_body(one.n);
                // An answer that seemed to prove the process took it off the count, and all that were sent before it.
                let seems_to_prove = |later: &Wrong| {
                    let head = later.head.filter(|_| later.index >= one.index);
                    head.is_some_and(|head| self.is_window_unseen(head))
                };
                let seemed_proven = wrong.iter().any(seems_to_prove);
                let is_told = !was_on_its_way && !seemed_proven;
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

/// Whether a proof leaves nothing to prove. Of a request without a session the answer is not looked at.
pub(super) fn is_proof(proof: Option<Proof>) -> bool {
    let Some(Proof::Session { doubt, inlined, .. }) = proof else {
        return matches!(proof, Some(Proof::Confirmed { .. }));
    };
    // What names its defaults itself is right without one.
    !inlined.is_covered() && !matches!(doubt, Some(Doubt::Unproven | Doubt::Suspect))
}
