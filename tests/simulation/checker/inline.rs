//! I12 with inline defaults: judges what was put into bodies, what went out without a session, and the defaults of the
//! answers.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use sipher_session::{
    InlineDefaults, Inlined, NotInlined, Proof,
    clock::Reading,
    testing::{Exchange, Operation, SessionUse},
};

use super::{Checker, known::Flying, windows::Stamped};
use crate::{
    carries::{Aside, Carries, Kind},
    inline::Inline as Setting,
    recorder::Passed,
    trace::{Got, Partition, Sent},
    wire,
    world::Run,
};

#[derive(Default)]
pub(super) struct Inline {
    pub(super) setting: Option<Setting>,
    carries: HashMap<u64, Carries>,
    /// Requests that went out with the defaults in their bodies.
    covered: HashSet<u64>,
    /// Heads of answers with a window that the manager examines.
    pub(super) heads: Vec<Stamped>,
}

impl Inline {
    pub(super) fn of(seed: u64) -> Self {
        Self {
            setting: Setting::of(seed),
            ..Self::default()
        }
    }

    pub(super) fn called(&mut self, n: u64, carries: Option<Carries>) {
        if let Some(carries) = carries {
            self.carries.insert(n, carries);
        }
    }
}

/// Whether the server would not apply defaults to such a body either.
fn is_servers(reason: NotInlined) -> bool {
    use NotInlined::{NoBody, NoType};
    needs_none(reason) || matches!(reason, NoBody | NoType)
}

/// Whether a session makes no difference for such a body. For a `POST` without a content type or body, it does, because
/// a client may still add what is missing.
fn needs_none(reason: NotInlined) -> bool {
    matches!(reason, NotInlined::NotJson | NotInlined::NotAnObject)
}

fn object(text: &[u8]) -> Option<Map<String, Value>> {
    let text: &[u8] = if text.is_empty() { b"{}" } else { text };
    serde_json::from_slice(text).ok()
}

/// Whether all bytes of the original are there, in order.
fn has_all(original: &[u8], passed: &[u8]) -> bool {
    let mut passed = passed.iter();
    original
        .iter()
        .all(|byte| passed.any(|other| other == byte))
}

/// Returns the body as the server reads it, with a session that has these defaults.
fn merged(original: &[u8], defaults: &Value) -> Option<Map<String, Value>> {
    let mut body = object(original)?;
    for (name, value) in defaults.as_object()? {
        body.entry(name).or_insert_with(|| value.clone());
    }
    Some(body)
}

impl Checker<'_> {
    pub(super) fn is_aside(&self, n: u64) -> bool {
        self.aside(n).is_some()
    }

    fn aside(&self, n: u64) -> Option<Aside> {
        self.inline.carries.get(&n)?.aside
    }

    pub(super) fn has_slow_body(&self, n: u64) -> bool {
        let carries = self.inline.carries.get(&n);
        carries.is_some_and(|carries| carries.has_pauses())
    }

    /// Returns when a request was called, if its body came later or its future was polled later.
    pub(super) fn given_at(&self, sent: &Sent) -> Option<Reading> {
        let asked = self.asked.get(&sent.n?)?;
        let is_later = asked.held || sent.n.is_some_and(|n| self.has_slow_body(n));
        is_later.then_some(asked.at)
    }

    /// Whether the outcome of the call says nothing about the server.
    pub(super) fn is_public(&self, flying: &Flying) -> bool {
        let aside = flying.sent.n.and_then(|n| self.aside(n));
        aside == Some(Aside::Public)
    }

    /// Whether the request went out with its defaults in its body. Known once the bodies have been examined.
    pub(super) fn is_covered(&self, n: u64) -> bool {
        self.inline.covered.contains(&n)
    }

    pub(super) fn proof_aside(&mut self, n: u64, outcome: Got, proof: Option<Proof>) {
        self.signs.possible += 1;
        let right = match (outcome, self.aside(n)) {
            (Got::Answer(_), Some(Aside::Kept)) if self.script.proves => {
                proof == Some(Proof::OwnSession)
            }
            _ => proof.is_none(),
        };
        if !right {
            self.fails(format!(
                "request {n}, set aside: {outcome:?} proves {proof:?}"
            ));
        }
    }

    /// I7: a request that needs no session does not wait for one. Returns whether the request needs no further
    /// judgement.
    pub(super) fn waits_inline(&mut self, n: u64) -> bool {
        let Some(carries) = self.inline.carries.get(&n).copied() else {
            return false;
        };
        let asked = &self.asked[&n];
        if carries.aside.is_some() || asked.elsewhere || carries.has_pauses() || self.shutdown {
            return true;
        }
        let needs_none = asked.without || carries.not().is_none_or(needs_none);
        if needs_none {
            self.fails(format!("I7: request {n} waits, and needs no session"));
        }
        needs_none
    }

    /// Whether the request may be refused because of its body.
    pub(super) fn may_be_refused(&self, n: u64) -> bool {
        let Some(setting) = self.inline.setting else {
            return false;
        };
        let not = self
            .inline
            .carries
            .get(&n)
            .and_then(|carries| carries.not());
        not.is_some_and(|reason| {
            (setting.strict && !is_servers(reason))
                || (!setting.makes_sessions && !needs_none(reason))
        })
    }

    /// Judges everything that can only be judged once the run is over.
    pub(super) fn inline(&mut self, run: &Run) {
        let Some(setting) = self.inline.setting else {
            return;
        };
        let mut last = HashMap::new();
        for passed in &run.bodies {
            if let Some(n) = passed.n {
                self.passed(n, passed, setting);
                last.insert(n, passed);
            }
        }
        for (n, passed) in last {
            self.proved(n, passed, setting);
        }
        for exchange in &run.log {
            self.answered(exchange, setting, run);
        }
    }

    fn passed(&mut self, n: u64, passed: &Passed, setting: Setting) {
        let Some(carries) = self.inline.carries.get(&n).copied() else {
            return self.fails(format!("I12: {n} carries what nobody gave it"));
        };
        let (original, asked) = (carries.bytes(), &self.asked[&n]);
        let is_left_alone = asked.without || asked.elsewhere || carries.aside.is_some();
        let takes = setting.mode == InlineDefaults::Always || passed.id.is_none();
        let takes = takes && !is_left_alone && carries.not().is_none();
        let mut wrong = Vec::new();
        if passed.is_whole && !takes && passed.bytes != original {
            wrong.push("its body was changed");
        }
        if !has_all(&original, &passed.bytes) && passed.is_whole {
            wrong.push("bytes of its body are missing");
        }
        if passed.is_whole && takes && !self.is_merged_right(n, &original, passed) {
            wrong.push("it does not name the defaults of its session");
        }
        if passed.is_whole && !is_length_right(carries, passed) {
            wrong.push("its length is wrong");
        }
        if !is_left_alone && !self.may_go(n, carries, passed, setting) {
            wrong.push("it goes out with neither");
        }
        let is_looked_at = setting.mode == InlineDefaults::Always || passed.id.is_none();
        let lacks_nothing =
            is_looked_at && !is_left_alone && self.lacks_nothing(n, carries, passed);
        if takes || lacks_nothing {
            self.inline.covered.insert(n);
        }
        for wrong in wrong {
            self.fails(format!("I12: request {n}: {wrong}"));
        }
    }

    /// I11 for the body: it has no defaults from before a change that had returned when the request was called.
    fn is_merged_right(&self, n: u64, original: &[u8], passed: &Passed) -> bool {
        let body = object(&passed.bytes);
        let mut partitions = self.partitions(n, passed.id.as_deref());
        body.is_some() && partitions.any(|wants| merged(original, &wants.defaults) == body)
    }

    /// The partitions whose defaults the body may have: only that of its session, if it carries one.
    fn partitions<'a>(
        &'a self,
        n: u64,
        id: Option<&str>,
    ) -> impl Iterator<Item = &'a Partition> + use<'a> {
        let of_session = id.map(|id| self.known.get(id).map(|known| &known.partition));
        let wants = self.asked[&n].wants.iter();
        wants.filter(move |wants| of_session.is_none_or(|of| of == Some(*wants)))
    }

    /// Whether a request whose body could not be merged may go out: with a session, or because a setting allows it.
    fn may_go(&self, n: u64, carries: Carries, passed: &Passed, setting: Setting) -> bool {
        let Some(reason) = carries.not().filter(|reason| !needs_none(*reason)) else {
            return true;
        };
        let lacks_nothing = self.lacks_nothing(n, carries, passed);
        let is_refused = setting.strict
            && !is_servers(reason)
            && (setting.mode == InlineDefaults::Always || passed.id.is_none())
            && reason != NotInlined::NoLayer;
        let has_a_reason = passed.id.is_some() || self.settings.send_without;
        lacks_nothing || (has_a_reason && !is_refused)
    }

    /// Whether a body that has no room for defaults is complete all the same, because there are none.
    fn lacks_nothing(&self, n: u64, carries: Carries, passed: &Passed) -> bool {
        let mut partitions = self.partitions(n, passed.id.as_deref());
        carries.kind == Kind::JustFits
            && partitions.any(|wants| wants.defaults.as_object().is_none_or(Map::is_empty))
    }

    /// Checks what the proof of the answer says about the body.
    fn proved(&mut self, n: u64, passed: &Passed, setting: Setting) {
        let (asked, carries) = (&self.asked[&n], self.inline.carries[&n]);
        if asked.without && !asked.elsewhere && asked.proof.is_some_and(|it| it != Proof::Without) {
            let text = format!("request {n} opted out, and it proves {:?}", asked.proof);
            return self.fails(text);
        }
        let is_aside = asked.without || asked.elsewhere || carries.aside.is_some();
        let (Some(Got::Answer(_)), Some(proof), false) = (asked.outcome, asked.proof, is_aside)
        else {
            return;
        };
        // Whether such a body lacks anything depends on the defaults.
        if carries.kind == Kind::JustFits || !passed.is_whole {
            return;
        }
        let untouched = passed.bytes == carries.bytes();
        let became = match carries.not() {
            _ if passed.id.is_some() && setting.mode != InlineDefaults::Always => Inlined::Off,
            Some(reason) => Inlined::from(reason),
            None if untouched => Inlined::Complete,
            None => Inlined::Merged,
        };
        let right = match proof {
            Proof::Session { inlined, .. } => passed.id.is_some() && inlined == became,
            Proof::Inline { inlined, .. } => passed.id.is_none() && inlined == became,
            Proof::Neither { reason, .. } => {
                passed.id.is_none() && Inlined::from(reason) == became && !needs_none(reason)
            }
            _ => false,
        };
        if !right {
            self.fails(format!(
                "I12: request {n}: {became:?}, and it proves {proof:?}"
            ));
        }
    }

    /// Judges the answer, without exceptions: whatever the server has forgotten, and whichever replica answers.
    fn answered(&mut self, exchange: &Exchange, setting: Setting, run: &Run) {
        if exchange.operation != Operation::Other && !setting.makes_sessions {
            return self.fails(format!("I12: a session call without sessions: {exchange}"));
        }
        let n = wire::number(&exchange.path, exchange.request_id.as_deref());
        let (Some(n), Some(chain)) = (n, &exchange.chain) else {
            return;
        };
        let (asked, carries) = (&self.asked[&n], self.inline.carries[&n]);
        let takes = setting.mode == InlineDefaults::Always || exchange.session == SessionUse::None;
        if !takes || asked.without || carries.aside.is_some() || carries.not().is_some() {
            return;
        }
        let original = carries.bytes();
        let right = asked.wants.iter().any(|wants| {
            let body = merged(&original, &wants.defaults).unwrap_or_default();
            let expected = body
                .get("chain")
                .and_then(Value::as_str)
                .unwrap_or("solana");
            expected == chain && exchange.key.as_ref() == run.labels.get(wants.key)
        });
        // The user changed this session by hand, to defaults that the client does not know.
        let by_hand = matches!(&exchange.session, SessionUse::Live { id, .. }
            if self.known.get(id).is_some_and(|known| known.by_hand));
        if !right && !by_hand {
            self.fails(format!("I12: {exchange}, for {chain}"));
        }
    }
}

fn is_length_right(carries: Carries, passed: &Passed) -> bool {
    let says_length = carries.says_length || carries.kind == Kind::ZeroLength;
    let right = says_length.then(|| passed.bytes.len().to_string());
    passed.length == right
}
