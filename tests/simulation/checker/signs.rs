//! The signs: heads of answers, and sessions that their owner takes out of use.

use std::time::Duration;

use sipher_session::{clock::Reading, testing::Operation};

use super::{
    Checker,
    known::{Flying, Head},
};

impl Checker<'_> {
    pub(super) fn head(
        &mut self,
        wire: u64,
        status: u16,
        stamp: Option<(u32, u32)>,
        index: usize,
        at: Reading,
    ) {
        let is_stamped = stamp.is_some();
        if let Some(stamp) = stamp {
            self.saw_window(stamp, at);
        }
        let pause = at.monotonic.saturating_sub(self.head_at);
        if let Some(flying) = self.flying.get_mut(&wire) {
            self.head_at = at.monotonic;
            flying.is_stamped = is_stamped;
        }
        // A network may deliver a `DELETE` twice. Its second answer says that the session is missing.
        let is_missing =
            |flying: &Flying| flying.sent.operation == Operation::Delete && status == 404;
        if self.flying.get(&wire).is_some_and(is_missing) {
            self.sign_at = Some(at.monotonic);
        }
        if !self.is_other(wire) {
            return;
        }
        let flying = self.lands(wire, index);
        let asked = flying
            .as_ref()
            .and_then(|flying| self.asked.get_mut(&flying.sent.n?));
        if let Some(asked) = asked {
            let sent = flying.as_ref().map(|flying| flying.at.monotonic);
            asked.head = Some(Head {
                index,
                at: at.monotonic,
                pause,
                at_once: sent == Some(at.monotonic),
                is_stamped,
            });
        }
        if status == 410 || (status >= 500 && !is_stamped) {
            self.sign(flying.as_ref(), !self.questions.may_damp(at));
        } else if !self.script.proves {
            self.signs.possible += 1;
        }
    }

    /// The server begins a new rate-limit window though the last one has not ended. This may count as a sign of a
    /// restart: at once, or as soon as signs are no longer damped.
    pub(super) fn saw_window(&mut self, (left, reset): (u32, u32), at: Reading) {
        let ends = at.monotonic + Duration::from_secs(reset.into());
        let is_strange = |(before, last): (u32, Duration)| {
            let is_same = last.abs_diff(ends) <= Duration::from_secs(2);
            at.monotonic < last && !(is_same && left < before)
        };
        if self
            .questions
            .window
            .replace((left, ends))
            .is_some_and(is_strange)
        {
            self.sign_at = Some(at.monotonic);
        }
    }

    pub(super) fn is_other(&self, wire: u64) -> bool {
        self.flying
            .get(&wire)
            .is_some_and(|flying| flying.sent.operation == Operation::Other)
    }

    /// If `is_certain` is set, the sign holds for every request that starts later.
    pub(super) fn sign(&mut self, flying: Option<&Flying>, is_certain: bool) {
        let Some(flying) = flying.filter(|flying| !self.is_public(flying)) else {
            return;
        };
        // A failure of a caller's own client is a sign, but the manager does not see it.
        self.signs.certain += u64::from(is_certain && !flying.sent.by_hand);
        self.signs.possible += 1;
        self.sign_at = Some(self.head_at.max(flying.at.monotonic));
        if let Some(asked) = flying.sent.n.and_then(|n| self.asked.get_mut(&n)) {
            asked.met_sign = true;
            // The layer checks again before it replays the request.
            asked.signs = self.signs;
        }
    }

    pub(super) fn out_of_use(&mut self, id: &str, held: bool, by_hand: bool) {
        let Some(known) = self.known.get_mut(id) else {
            return;
        };
        known.out_of_use.get_or_insert("I11: invalidated");
        known.by_hand |= by_hand;
        let partition = known.partition.clone();
        for flying in self.flying.values_mut() {
            let same = flying.sent.key == Some(partition.key)
                && flying.sent.defaults.as_ref() == Some(&partition.defaults);
            flying.fenced |= same;
            flying.barred |= same && held;
        }
    }
}
