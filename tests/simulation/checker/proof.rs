//! What responses say about the sessions of their requests.

use sipher_session::{Doubt, Proof, SessionId, clock::Reading};

use super::{Checker, defaults::is_proof, known::Late};
use crate::trace::Got;

impl Checker<'_> {
    /// A response names the session of its request. It is late exactly if it came after the session's end.
    pub(super) fn proof(&mut self, n: u64, outcome: Got, proof: Option<Proof>, at: Reading) {
        let Some(asked) = self.asked.get_mut(&n) else {
            return;
        };
        asked.proof = proof;
        asked.outcome = Some(outcome);
        let sent_at = asked.sent_at;
        if self.is_aside(n) {
            return self.proof_aside(n, outcome, proof);
        }
        if is_proof(proof) {
            self.questions.proved(sent_at);
        } else {
            self.signs.possible += 1;
        }
        let asked = &self.asked[&n];
        if let Some(Proof::Session { session, left, .. }) = proof
            && left.is_zero()
        {
            self.late.proved.insert(session.generation);
        }
        let sent = asked.sent.as_ref().and_then(|sent| sent.id.clone());
        let right = match (outcome, sent, proof) {
            (
                Got::Answer(_),
                Some(id),
                Some(Proof::Session {
                    session,
                    age,
                    left,
                    doubt,
                    inlined,
                    ..
                }),
            ) => {
                let Some(known) = self.known.get(&id) else {
                    return;
                };
                let fingerprint = SessionId::parse(&id).map(|id| id.fingerprint());
                let late = known.left(at).is_zero();
                fingerprint == Some(session.fingerprint)
                    && (age, left) == (at.since(known.born), known.left(at))
                    && (late || doubt != Some(Doubt::Late))
                    && (!late || doubt.is_some() || inlined.is_covered())
            }
            (Got::Answer(_), None, Some(Proof::Without)) => true,
            // These are judged together with the body.
            (Got::Answer(_), None, Some(Proof::Inline { .. } | Proof::Neither { .. })) => {
                self.inline.setting.is_some()
            }
            (Got::Answer(_), ..) if !self.script.proves => true,
            (Got::Answer(_), None, None) => self.asked[&n].elsewhere,
            (Got::Answer(_), ..) => false,
            (_, _, proof) => proof.is_none(),
        };
        if !right {
            self.fails(format!("request {n}: {outcome:?} proves {proof:?}"));
        }
    }

    /// The event of a late answer comes exactly if an answer says that it is late.
    pub(super) fn late(&mut self) {
        let Late {
            proved,
            told,
            missed,
        } = &self.late;
        // If the layer replaced the answer by that of a replay, nobody sees the first answer's proof.
        let untold = proved.difference(told).filter(|_| !missed);
        // If no layer proves, no answer has a proof.
        let are_seen = self.script.proves && !self.settings.replays;
        let unproved = told.difference(proved).filter(|_| are_seen);
        let wrong: Vec<_> = untold
            .map(|generation| format!("I1: nobody was told that g{generation} was late"))
            .chain(
                unproved.map(|generation| format!("I1: g{generation} was told late, and was not")),
            )
            .collect();
        self.failures.extend(wrong);
    }

    /// If the server looked up the session after its end, the answer is late, and so in doubt.
    pub(super) fn is_told_late(&self, n: u64) -> bool {
        match self.asked[&n].proof {
            Some(Proof::Session { doubt, inlined, .. }) => doubt.is_some() || inlined.is_covered(),
            // Nobody received the answer.
            None => true,
            Some(_) => false,
        }
    }
}
