//! Judges the requests: their sessions, whether they wait, and their outcomes.

use std::time::Duration;

use sipher_session::{ErrorKind, Proof, clock::Reading, testing::Operation};

use super::{Checker, health::LONGEST_PAUSE, known::Asked};
use crate::{
    script::Settings,
    trace::{Got, Partition, Sent},
};

impl Checker<'_> {
    /// I1, I6, I11: judges the session of a request at the moment at which the layer hands the request on.
    pub(super) fn wrapped(&mut self, sent: &Sent, at: Reading) {
        let Some((n, asked)) = sent.n.and_then(|n| Some((n, self.asked.get_mut(&n)?))) else {
            return self.fails(format!("a request that nobody made: {sent:?}"));
        };
        asked.sent_at = at;
        asked.met_a_head = self.head_at == at.monotonic;
        let may_be_sent_again = self.settings.replays && std::mem::take(&mut asked.met_sign);
        if asked.sent.replace(sent.clone()).is_some() && !may_be_sent_again {
            return self.fails(format!("request {n} was sent twice"));
        }
        if self.is_aside(n) {
            return;
        }
        let asked = &self.asked[&n];
        let mut wrong = Vec::new();
        match &sent.id {
            None if asked.without || self.settings.send_without => {}
            // This is judged together with the body.
            None if self.inline.setting.is_some() => {}
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
                    // If the server does not answer, the session may go on in doubt.
                    let can_be_known = !self.questions.was_last_silent;
                    if can_be_known && known.proved.certain < asked.signs.certain {
                        wrong.push("I1: not known to be alive since a sign of trouble".to_owned());
                    }
                    let partition = known.partition.clone();
                    self.last.retain(|(of, _)| *of != partition);
                    self.last.push((partition, id.clone()));
                }
            },
        }
        let needs_manager = self.inline.setting.is_some() && !asked.without;
        if at.monotonic > self.shutdown_at && (sent.id.is_some() || needs_manager) {
            wrong.push("I11: sent after the shutdown".to_owned());
        }
        for wrong in wrong {
            self.fails(format!("request {n}: {wrong}"));
        }
    }

    /// I7: a session that is good in every respect is used at once.
    pub(super) fn waits(&mut self, n: u64) {
        if self.waits_inline(n) {
            return;
        }
        let asked = &self.asked[&n];
        let [wants] = &asked.wants[..] else { return };
        // Requests may wait if the last proof is old. Or if `max_sessions` is small: the session may have been evicted.
        let is_stale = self.questions.may_be_stale(asked.at);
        // With several processes, a health answer does not settle the question, and requests wait until the session was
        // asked for. A sign that was damped is dealt with later.
        let is_recent = |sign| asked.at.monotonic.saturating_sub(sign) <= 2 * LONGEST_PAUSE;
        let is_open = self.script.replicas > 1 || self.sign_at.is_some_and(is_recent);
        if self.shutdown
            || asked.elsewhere
            || is_stale
            || is_open
            || self.settings.max_sessions < 100
        {
            return;
        }
        let last = self.last.iter().find(|(of, _)| of == wants);
        let Some((id, known)) = last.and_then(|(_, id)| Some((id, self.known.get(id)?))) else {
            return;
        };
        // The wall clock was set while the machine slept, so the server's clock seems to have stepped. Another request
        // has begun to ask for the session.
        if known.seems_asleep(asked.at) && self.is_asked_for(id) {
            return;
        }
        let is_near = |restart: &(usize, Duration)| known.is_near(restart.1);
        let good = !known.doubted
            && !self.restarts.iter().any(is_near)
            && !known.is_idle(asked.at)
            && known.out_of_use.is_none()
            && known.proved.possible == self.signs.possible
            && known.left(asked.at) > known.hard();
        if good {
            self.fails(format!(
                "I7: request {n} waits, with a good session at hand"
            ));
        }
    }

    fn is_asked_for(&self, id: &str) -> bool {
        self.flying.values().any(|flying| {
            flying.sent.operation == Operation::Get && flying.sent.id.as_deref() == Some(id)
        })
    }

    /// If health says nothing, the manager asks for a session before it creates another. That may take longer than
    /// requests wait.
    fn may_lack_calls(&self) -> bool {
        let Settings {
            per_minute,
            burst,
            max_wait,
            create_timeout,
            ..
        } = *self.settings;
        let patience = max_wait.min(create_timeout);
        let interval = Duration::from_secs(60) / per_minute;
        // If replicas share no sessions, a new session may be asked for at another replica, and then be created again.
        let spent = if self.script.is_split() { 2 } else { 1 };
        !self.questions.gets.is_empty() && burst <= spent && interval > patience
    }

    /// Whether a request may go out without a session, because the manager was still asking for its session.
    fn may_go_without(&self, asked: &Asked) -> bool {
        let was_asked_for = |line: &usize| *line > asked.index;
        self.settings.send_without
            && self.may_lack_calls()
            && self.questions.gets.iter().any(was_asked_for)
    }

    pub(super) fn got(&mut self, n: u64, outcome: Got, proof: Option<Proof>, at: Reading) {
        self.proof(n, outcome, proof, at);
        let asked = &self.asked[&n];
        let sent = asked.sent.is_some() && !(self.settings.replays && asked.met_sign);
        match outcome {
            Got::Error(kind) if sent => {
                self.fails(format!("I6: request {n} was sent and failed with {kind:?}"));
            }
            Got::Error(ErrorKind::Timeout | ErrorKind::Budget) if self.may_lack_calls() => {}
            Got::Error(kind) if self.calm.contains(&n) => {
                self.fails(format!("I9: request {n} failed with {kind:?}"));
            }
            Got::Error(ErrorKind::InvalidRequest) if self.may_be_refused(n) => {}
            Got::Error(ErrorKind::InvalidRequest | ErrorKind::NoApiKey | ErrorKind::NoRuntime) => {
                self.fails(format!("request {n}: {outcome:?}"));
            }
            Got::Error(ErrorKind::Shutdown) if !self.shutdown => {
                self.fails(format!(
                    "I9: request {n} met a shutdown that nobody asked for"
                ));
            }
            Got::Answer(_) if self.calm.contains(&n) => {
                let bears = asked.sent.as_ref().is_some_and(|sent| sent.id.is_some());
                if !bears && self.inline.setting.is_none() && !self.may_go_without(asked) {
                    self.fails(format!("I9: request {n} went without a session"));
                }
            }
            _ if self.calm.contains(&n) => self.fails(format!("I9: request {n}: {outcome:?}")),
            _ => {}
        }
    }

    /// A request that is replayed after a change may be sent as before or after the change.
    pub(super) fn follow(&mut self, from: &Partition, to: &Partition) {
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
}
