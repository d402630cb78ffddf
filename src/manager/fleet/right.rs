//! The right to make a session for the fleet: how it is used, and given back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Inner, Membership, new_member, record::Sealed, seal::Seal};
use crate::{
    clock::Reading,
    error::{Error, ErrorKind},
    manager::{core::Core, create::Create, event::RetireReason, session::LiveSession},
    store::{Claim, Member, Record, Slot},
};

/// Nobody is made to wait longer for another's failure, whatever the store says.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The right to make the next session of a slot.
#[derive(Debug)]
pub(super) struct Right {
    pub(super) slot: Slot,
    pub(super) member: Member,
    pub(super) generation: u64,
    /// The store's time when it was granted, and when that was known here.
    pub(super) granted: (Duration, Reading),
    pub(super) since: Reading,
    pub(super) lease: Duration,
}

/// What a create has got from the fleet so far.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// The fleet's number of the session that there was when the create began.
    instead_of: Option<u64>,
    right: Option<Right>,
    /// It was not accepted that the session is the fleet's.
    was_refused: bool,
}

impl Attempt {
    pub(crate) fn instead_of(current: Option<&LiveSession>) -> Self {
        let place = current.and_then(LiveSession::membership);
        Self {
            instead_of: place.map(Membership::generation),
            ..Self::default()
        }
    }

    /// Whether a session is one that the create would bring.
    pub(super) fn is_settled_by(&self, session: &LiveSession) -> bool {
        session.membership().map(Membership::generation) > self.instead_of
    }

    /// What stands in the way of a publication once may do so for ever: then the session stays this process's own.
    pub(super) fn has_got(&mut self, right: Right) {
        self.right = (!self.was_refused).then_some(right);
    }

    /// A right that does not last long enough is given up for another: to be asked for by the same member.
    pub(super) fn give_up(&mut self) -> Option<Member> {
        self.right.take().map(|right| right.member)
    }

    /// For how long a session that is made would be accepted, if that is bounded.
    pub(crate) fn accepted_for(&self, now: Reading) -> Option<Duration> {
        self.right.as_ref().map(|right| right.left(now))
    }
}

impl Right {
    fn left(&self, now: Reading) -> Duration {
        self.lease.saturating_sub(now.since(self.since))
    }
}

impl Create {
    /// Makes the session that this create has made known to the others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the right to make it was lost on the way; the session is retired then.
    pub(in crate::manager) async fn publish(
        &mut self,
        session: &Arc<LiveSession>,
    ) -> Result<(), Error> {
        let core = self.core.clone();
        let (Some(fleet), Some(right)) = (core.fleet.inner(), &self.attempt.right) else {
            return Ok(());
        };
        // One that is not wanted here any more is not given to others.
        let is_wanted = core.ledger().is_flying(self.partition.id, self.generation);
        if is_wanted && fleet.publish(&core, session, right).await {
            self.attempt.right = None;
            return Ok(());
        }
        self.attempt.was_refused = true;
        core.retirement.retire(session, RetireReason::Fenced);
        let text = "another process of the fleet makes the session";
        Err(Error::new(ErrorKind::Store, text).with_retry_after(Duration::ZERO))
    }

    /// Lets another try: where what went wrong is not this process's own, after as long as this one would wait.
    pub(in crate::manager) async fn give_back_right(&mut self, error: Option<&Error>) {
        use ErrorKind::{Budget, RateLimited, Shutdown, Store};
        let core = self.core.clone();
        let (Some(fleet), Some(right)) = (core.fleet.inner(), self.attempt.right.take()) else {
            return;
        };
        let is_own =
            |error: &&Error| matches!(error.kind(), Budget | RateLimited | Shutdown | Store);
        let pause = error
            .filter(|error| !is_own(error))
            .and_then(Error::retry_after);
        let pause = pause.unwrap_or_default().min(LONGEST_PAUSE);
        let release = fleet
            .store()
            .release(right.slot, right.member, right.generation, pause);
        // It lapses otherwise.
        let _ = fleet.step(&core, release).await;
    }
}

impl Inner {
    /// Returns whether the session is the fleet's from now on.
    pub(super) async fn publish(
        &self,
        core: &Core,
        session: &Arc<LiveSession>,
        right: &Right,
    ) -> bool {
        let seal = Seal::of(&session.partition, &core.settings.base);
        let (born, sent) = (session.life.born(), core.now());
        let (store_then, known_at) = right.granted;
        // No later than it was: by the store's clock, what has passed between grant and call is taken from this one.
        let after = born.monotonic.saturating_sub(known_at.monotonic);
        let before = known_at.since(born);
        let born_store = store_then.saturating_add(after).saturating_sub(before);
        let sealed = Sealed {
            id: session.id.to_id(),
            life: session.life.total(),
            born_wall: born.wall,
            born_store,
        };
        let sealed = seal.seal(right.generation, &sealed.to_bytes());
        let Some(sealed) = sealed.map(Bytes::from) else {
            return true; // stays this process's own
        };
        let lease = self.sharing.member_lease;
        let record = Record {
            generation: right.generation,
            sealed: sealed.clone(),
            left: session.life.left(sent),
        };
        let publish = self
            .store()
            .publish(right.slot, right.member, record, lease);
        let place = (right.slot, right.member);
        let membership = Membership::new(place, right.generation, sealed, lease, sent);
        // From before the call: others may have it however that ends, and whoever ends it meanwhile has to know.
        session.share(membership);
        self.join(session);
        if let Ok(false) = self.step(core, publish).await {
            self.forget(session);
            session
                .membership()
                .into_iter()
                .for_each(Membership::is_nobody_elses);
            return false;
        }
        self.seen.note(right.slot, right.generation, false);
        true
    }

    /// The right to publish a session that was made without it.
    pub(super) async fn claim_for(
        &self,
        core: &Core,
        session: &LiveSession,
    ) -> Result<(Claim, Seal, Right), Error> {
        let seal = Seal::of(&session.partition, &core.settings.base);
        let (member, lease, since) = (
            new_member(core),
            core.settings.create_timeout / 2,
            core.now(),
        );
        let after = self.seen.of(seal.slot).generation;
        let claim = self.store().claim(seal.slot, member, after, lease);
        let claim = self.step(core, claim).await?;
        let (generation, now) = match claim {
            Claim::Granted { generation, now } => (generation, now),
            _ => (0, Duration::ZERO),
        };
        let right = Right {
            slot: seal.slot,
            member,
            generation,
            granted: (now, core.now()),
            since,
            lease,
        };
        Ok((claim, seal, right))
    }
}
