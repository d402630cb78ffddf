//! The right to make a session for the fleet: how it is used, and given back.

use std::{sync::Arc, time::Duration};

use super::{
    Inner, new_member,
    unused::{Release, Unused},
};
use crate::{
    clock::Reading,
    driver::{core::Core, create::Create},
    error::{Error, ErrorKind},
    hot::{session::LiveSession, shared::Shared},
    model::reason::RetireReason,
    store::{Claim, Member, Slot},
};

/// Nobody is made to wait longer for another's failure, whatever the store says.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// After so many refusals a create stops publishing: whatever causes them may do so for ever. Its session then belongs to
/// this process alone.
const REFUSALS: u32 = 2;

/// The right to make the next record of a slot. Dropped before it is used, it is to be given back: until then, or until it lapses,
/// nobody else can make one.
#[derive(Debug)]
pub(super) struct Right {
    pub(super) slot: Slot,
    member: Member,
    pub(super) generation: u64,
    /// The store's time when it was granted, and when that was known here.
    pub(super) granted: (Duration, Reading),
    since: Reading,
    lease: Duration,
    /// When it is given back, it is granted to nobody for so long.
    pause: Duration,
    /// `None` once it is used.
    unused: Option<Arc<Unused>>,
}

/// What a create has got from the fleet so far.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// The fleet's number of the session that there was when the create began.
    instead_of: Option<u64>,
    right: Option<Right>,
    /// How many publications the store has refused.
    refusals: u32,
}

impl Attempt {
    pub(crate) fn instead_of(current: Option<&LiveSession>) -> Self {
        let place = current.and_then(LiveSession::shared);
        Self {
            instead_of: place.map(Shared::generation),
            ..Self::default()
        }
    }

    /// Whether a session is one that the create would bring.
    pub(super) fn is_settled_by(&self, session: &LiveSession) -> bool {
        session.shared().map(Shared::generation) > self.instead_of
    }

    pub(super) fn has_got(&mut self, right: Right) {
        self.right = Some(right);
    }

    /// Takes out the right to publish, which is good for one publication, whatever comes of it.
    fn use_right(&mut self) -> Option<Right> {
        self.right.take_if(|_| self.refusals < REFUSALS)
    }

    /// A right that does not last long enough is given up for another: to be asked for by the same member.
    pub(super) fn give_up(&mut self) -> Option<Member> {
        self.right.take().map(Right::spend)
    }

    /// Whether the store has refused what this create has made.
    pub(crate) fn was_refused(&self) -> bool {
        self.refusals > 0
    }

    /// For how long a session that is made would be accepted, if that is bounded.
    pub(crate) fn accepted_for(&self, now: Reading) -> Option<Duration> {
        self.right.as_ref().map(|right| right.left(now))
    }
}

impl Right {
    /// What the store has granted, after it was asked at `since`.
    pub(super) fn new(
        fleet: &Inner,
        core: &Core,
        (slot, member): (Slot, Member),
        (generation, store_now): (u64, Duration),
        (since, lease): (Reading, Duration),
    ) -> Self {
        Self {
            slot,
            member,
            generation,
            granted: (store_now, core.now()),
            since,
            lease,
            pause: Duration::ZERO,
            unused: Some(fleet.unused.clone()),
        }
    }

    /// It is used, or given back, or the same member asks for another in its place.
    pub(super) fn spend(mut self) -> Member {
        self.unused = None;
        self.member
    }

    fn left(&self, now: Reading) -> Duration {
        self.lease.saturating_sub(now.since(self.since))
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        if let Some(unused) = self.unused.take() {
            unused.add(Release {
                slot: self.slot,
                member: self.member,
                generation: self.generation,
                pause: self.pause,
                lapses_at: self.since.monotonic.saturating_add(self.lease),
            });
        }
    }
}

impl Create {
    /// Makes the session that this create has made known to the others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the right to make it was lost on the way; the session is retired then.
    pub(crate) async fn publish(&mut self, session: &Arc<LiveSession>) -> Result<(), Error> {
        let core = self.core.clone();
        let Some(fleet) = core.fleet.inner() else {
            return Ok(());
        };
        // One that is not wanted here any more is not given to others; its right is given back.
        if core.gate().is_flying(self.partition.id, self.generation) {
            let Some(right) = self.attempt.use_right() else {
                return Ok(());
            };
            if fleet.publish(&core, session, right).await {
                return Ok(());
            }
            self.attempt.refusals += 1;
        }
        core.retirement.retire(session, RetireReason::Fenced);
        let text = "another process of the fleet makes the session";
        Err(Error::new(ErrorKind::Store, text).with_retry_after(Duration::ZERO))
    }

    /// Lets another try: where what went wrong is not this process's own, after as long as this one would wait.
    pub(crate) async fn give_back_right(&mut self, error: Option<&Error>) {
        use ErrorKind::{Budget, RateLimited, Shutdown, Store};
        let core = self.core.clone();
        let (Some(fleet), Some(mut right)) = (core.fleet.inner(), self.attempt.right.take()) else {
            return;
        };
        let is_own =
            |error: &&Error| matches!(error.kind(), Budget | RateLimited | Shutdown | Store);
        let pause = error
            .filter(|error| !is_own(error))
            .and_then(Error::next_attempt_in);
        right.pause = pause.unwrap_or_default().min(LONGEST_PAUSE);
        let slot = right.slot;
        drop(right);
        // Otherwise it is given back later, or lapses.
        let _ = fleet.give_back_rights(&core, slot).await;
    }
}

impl Inner {
    /// The right to publish a session that was made without it.
    pub(super) async fn claim_for(
        &self,
        core: &Core,
        session: &LiveSession,
    ) -> Result<Result<Right, Claim>, Error> {
        let seal = self.seal_of(core, &session.partition);
        let (member, lease, since) = (
            new_member(core),
            core.settings.create_timeout / 2,
            core.now(),
        );
        let after = self.seen.of(seal.slot).generation;
        let claim = self.store().claim(seal.slot, member, after, lease);
        let whose = (seal.slot, member);
        Ok(match self.step_at(core, seal.slot, claim).await? {
            Claim::Granted { generation, now } => {
                let granted = (generation, now);
                Ok(Right::new(self, core, whose, granted, (since, lease)))
            }
            other => Err(other),
        })
    }
}
