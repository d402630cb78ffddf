//! Publishes a session in the store, and remembers whether the store has accepted it.
//!
//! ```text
//!   under way ─┬─ yes ───────▶ accepted     a store that has lost the record gets it back
//!              ├─ no ────────▶ refused      nobody else has the session
//!              └─ no answer ─▶ unknown ─┬─ told again, yes ─▶ accepted
//!                                       └─ told again, no ──▶ refused, but others may have the session
//! ```
//!
//! The heartbeat puts a lost record back only if the store had accepted it. Without this rule, it could put back a
//! record that the store has refused. The creator of that session deletes it, and other processes would adopt a deleted
//! session.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Inner, Membership, STEP, claim::GrantedClaim, record::Sealed};
use crate::{
    clock::Reading,
    driver::{core::Core, fleet::membership},
    error::Error,
    hot::{session::LiveSession, shared::Shared},
    store::Record,
};

/// What the store has said about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publication {
    /// The first call is under way.
    UnderWay,
    /// There was no answer. The store may have accepted the record.
    Unknown,
    /// The store accepted the record, or was seen to have it.
    Accepted,
    /// The store has refused the record. It may have accepted it before, in a call without an answer.
    Refused,
}

impl Publication {
    /// Returns the state after an answer. `None` is a call without an answer.
    fn after(self, answer: Option<bool>) -> Self {
        match (self, answer) {
            // Once accepted, a record may be refused later, because a newer one has replaced it. The heartbeat notices
            // that, so keep the state.
            (Self::Accepted, _) | (_, Some(true)) => Self::Accepted,
            (Self::Refused, _) | (_, Some(false)) => Self::Refused,
            (Self::UnderWay | Self::Unknown, None) => Self::Unknown,
        }
    }
}

/// Proof that the store has accepted a record. A record can be put back only with this proof.
pub(super) struct Accepted<'a>(&'a Membership);

impl Accepted<'_> {
    /// Returns the record, to be put back with `left` of its life if the store has lost it.
    pub(super) fn record(&self, left: Duration) -> Record {
        self.0.record(left)
    }
}

impl Membership {
    pub(super) fn accepted(&self) -> Option<Accepted<'_>> {
        (self.publication() == Publication::Accepted).then_some(Accepted(self))
    }

    /// Returns a record that only tells the store that the session is in use. If the store has lost the record, this
    /// does not put it back.
    pub(super) fn record_in_use(&self) -> Record {
        self.record(Duration::ZERO)
    }

    pub(super) fn is_refused(&self) -> bool {
        self.publication() == Publication::Refused
    }

    /// Notes that the store was seen to have the record.
    pub(super) fn is_accepted(&self) {
        self.answered(Some(true));
    }

    /// Returns whether the first publication may still be answered. If its task has stalled, its call never ends. So
    /// the call counts as under way only for as long as a step may take.
    pub(super) fn is_under_way(&self, now: Reading) -> bool {
        self.publication() == Publication::UnderWay && self.kept_since(now) <= STEP
    }

    /// Returns whether the publication has got no answer. Unless it is still under way, it then has to be repeated.
    pub(super) fn is_unanswered(&self) -> bool {
        let publication = self.publication();
        matches!(publication, Publication::Unknown | Publication::UnderWay)
    }

    fn publication(&self) -> Publication {
        *self.publication.lock()
    }

    fn answered(&self, answer: Option<bool>) -> Publication {
        let mut publication = self.publication.lock();
        if (*publication, answer) == (Publication::UnderWay, Some(false)) {
            self.is_nobody_elses();
        }
        *publication = publication.after(answer);
        *publication
    }

    fn record(&self, left: Duration) -> Record {
        Record {
            generation: self.generation,
            sealed: self.sealed.clone(),
            left,
        }
    }
}

impl Inner {
    /// Publishes a session. Returns `false` if the store refused it. Returns `true` also if there was no answer: the
    /// heartbeat then repeats the publication.
    pub(super) async fn publish(
        &self,
        core: &Core,
        session: &Arc<LiveSession>,
        claim: GrantedClaim,
    ) -> bool {
        let seal = self.seal_of(core, &session.partition);
        let (born, sent) = (session.life.born(), core.now());
        let (store_then, known_at) = claim.granted;
        // When the session was created, by the store's clock. This must not be later than the real time. So the time
        // between the grant and the create call is measured by the local clock.
        let after = born.monotonic.saturating_sub(known_at.monotonic);
        let before = known_at.since(born);
        let born_store = store_then.saturating_add(after).saturating_sub(before);
        let sealed = Sealed {
            id: session.id.to_id(),
            life: session.life.total(),
            born_wall: born.wall,
            born_store,
            made_at: Duration::from_millis(session.made_at()),
        };
        let sealed = seal.seal(claim.generation, &sealed.to_bytes());
        let Some(sealed) = sealed.map(Bytes::from) else {
            return true; // the session stays this process's own
        };
        let (slot, generation) = (claim.slot, claim.generation);
        let (place, lease) = ((slot, claim.disarm()), self.sharing.member_lease);
        // Do this before the call. From the call on, other processes may have the session, whatever the store answers.
        // A thread that ends the session meanwhile must know that.
        session.share(Membership::new(place, generation, sealed, lease, sent));
        self.join(session);
        match membership(session) {
            Some(place) => {
                let published = self.hand_in(core, session, place, sent).await;
                published.unwrap_or(true)
            }
            None => true,
        }
    }

    /// Publishes a record again after a call without an answer. If the record is current already, the store accepts
    /// it again.
    ///
    /// If the store refuses it now, other processes may still have the session: the store may have accepted the first
    /// call.
    pub(super) async fn publish_again(
        &self,
        core: &Core,
        session: &LiveSession,
        place: &Membership,
        sent: Reading,
    ) -> Result<bool, Error> {
        place.answered(None);
        self.hand_in(core, session, place, sent).await
    }

    async fn hand_in(
        &self,
        core: &Core,
        session: &LiveSession,
        place: &Membership,
        sent: Reading,
    ) -> Result<bool, Error> {
        let (record, lease) = (
            place.record(session.life.left(sent)),
            self.sharing.member_lease,
        );
        let (slot, member) = (place.slot, place.member);
        let answer = self
            .step(core, Some(slot), |store| {
                store.publish(slot, member, record, lease)
            })
            .await;
        let publication = place.answered(answer.as_ref().ok().copied());
        if publication != Publication::Refused {
            self.seen.note(place.slot, place.generation, false);
        }
        if place.is_last() {
            self.forget(session);
        }
        answer.map(|_| publication == Publication::Accepted)
    }
}

#[cfg(test)]
mod tests {
    use Publication::{Accepted, Refused, UnderWay, Unknown};

    use super::*;
    use crate::store::{Member, Slot};

    #[test]
    fn an_answer_counts_once_and_no_answer_changes_none() {
        for (before, answer, after) in [
            (UnderWay, None, Unknown),
            (UnderWay, Some(true), Accepted),
            (UnderWay, Some(false), Refused),
            (Unknown, None, Unknown),
            (Unknown, Some(true), Accepted),
            (Unknown, Some(false), Refused),
            (Accepted, None, Accepted),
            (Accepted, Some(false), Accepted),
            (Refused, None, Refused),
            // Another process has put it back.
            (Refused, Some(true), Accepted),
        ] {
            assert_eq!(before.after(answer), after, "{before:?}, {answer:?}");
        }
    }

    #[test]
    fn a_first_call_that_never_ends_is_under_way_for_as_long_as_a_step_may_take() {
        let at = |monotonic| Reading {
            monotonic,
            wall: monotonic,
        };
        let begun = Duration::from_secs(100);
        let place = (Slot([1; 16]), Member(1));
        let membership = Membership::new(place, 1, Bytes::new(), STEP * 12, at(begun));
        assert!(membership.is_under_way(at(begun)) && membership.is_under_way(at(begun + STEP)));
        assert!(!membership.is_under_way(at(begun + STEP * 2)));
        membership.is_accepted();
        assert!(!membership.is_under_way(at(begun)));
    }
}
