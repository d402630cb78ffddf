//! A claim that the store has granted. Only its holder can publish the next record of a slot.

use std::{sync::Arc, time::Duration};

use super::{
    Inner, new_member,
    releases::{Release, Releases},
};
use crate::{
    clock::Reading,
    driver::{core::Core, create::Create},
    error::{Error, ErrorKind},
    hot::{session::LiveSession, shared::Shared},
    model::reason::RetireReason,
    store::{Claim, Found, Member, Slot},
};

/// The longest pause that another process's failure can cause, whatever the store says.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// After this many refused publications, a create stops publishing, because the cause may last for ever. The create's
/// session then belongs to this process alone.
const REFUSALS: u32 = 2;

/// A claim that the store has granted. Until it is released or lapses, no other process can publish the next record
/// of the slot. If it is dropped unused, it is released.
#[derive(Debug)]
pub(super) struct GrantedClaim {
    pub(super) slot: Slot,
    member: Member,
    pub(super) generation: u64,
    /// When the claim was granted: by the store's clock, and when its answer arrived here.
    pub(super) granted: (Duration, Reading),
    since: Reading,
    lease: Duration,
    /// For how long the store grants no claim after this one is released.
    pause: Duration,
    /// `None` once the claim is used.
    releases: Option<Arc<Releases>>,
}

/// The store's answer to a claim.
pub(super) enum Claimed {
    Granted(GrantedClaim),
    /// Another member holds the claim, for this long at most.
    Held(Duration),
    Published(Found),
}

/// What a create has received from the fleet so far.
#[derive(Debug, Default)]
pub(crate) struct Claiming {
    /// The fleet's generation of the session that was current when the create began.
    instead_of: Option<u64>,
    claim: Option<GrantedClaim>,
    /// How many publications of this create the store has refused.
    refusals: u32,
}

impl Claiming {
    pub(crate) fn instead_of(current: Option<&LiveSession>) -> Self {
        let place = current.and_then(LiveSession::shared);
        Self {
            instead_of: place.map(Shared::generation),
            ..Self::default()
        }
    }

    /// Returns whether this session is newer than the one that the create was to replace. The create is then
    /// unnecessary.
    pub(super) fn is_settled_by(&self, session: &LiveSession) -> bool {
        session.shared().map(Shared::generation) > self.instead_of
    }

    pub(super) fn hold(&mut self, claim: GrantedClaim) {
        self.claim = Some(claim);
    }

    /// Takes the claim for a publication. A claim allows one, whatever its result.
    fn take_claim(&mut self) -> Option<GrantedClaim> {
        self.claim.take_if(|_| self.refusals < REFUSALS)
    }

    /// Gives up a claim that does not last long enough. Returns its member, for a new claim.
    pub(super) fn give_up(&mut self) -> Option<Member> {
        self.claim.take().map(GrantedClaim::disarm)
    }

    /// Returns whether the store has refused the session of this create.
    pub(crate) fn was_refused(&self) -> bool {
        self.refusals > 0
    }

    /// Returns how long the claim still holds, and so how long the store would accept a new session. `None` if there is
    /// no claim.
    pub(crate) fn accepted_for(&self, now: Reading) -> Option<Duration> {
        self.claim.as_ref().map(|claim| claim.left(now))
    }
}

impl GrantedClaim {
    /// Marks the claim as used, or as replaced by another claim of the same member. Dropping it then releases
    /// nothing.
    pub(super) fn disarm(mut self) -> Member {
        self.releases = None;
        self.member
    }

    fn left(&self, now: Reading) -> Duration {
        self.lease.saturating_sub(now.since(self.since))
    }
}

impl Drop for GrantedClaim {
    fn drop(&mut self) {
        if let Some(releases) = self.releases.take() {
            releases.add(Release {
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
    /// Publishes the session that this create has made.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Store`] if the claim was lost on the way. The session is then retired.
    pub(crate) async fn publish(&mut self, session: &Arc<LiveSession>) -> Result<(), Error> {
        let core = self.core.clone();
        let publish = async |fleet: Arc<Inner>| self.publish_in(&fleet, session).await;
        core.fleet.within(Ok(()), publish).await
    }

    async fn publish_in(&mut self, fleet: &Inner, session: &Arc<LiveSession>) -> Result<(), Error> {
        let core = self.core.clone();
        // A create that was fenced off meanwhile publishes nothing, and its claim is released.
        if core.gate().is_flying(self.partition.id, self.generation) {
            let Some(claim) = self.claiming.take_claim() else {
                return Ok(());
            };
            if fleet.publish(&core, session, claim).await {
                return Ok(());
            }
            self.claiming.refusals += 1;
        }
        core.retirement.retire(session, RetireReason::Fenced);
        let text = "another process of the fleet is creating the session";
        Err(Error::new(ErrorKind::Store, text).with_retry_after(Duration::ZERO))
    }

    /// Releases the claim if this create has not used it, so that another process may try. If the create has failed for
    /// a reason that concerns all processes, the others first pause for as long as this one would.
    pub(crate) async fn give_back_claim(&mut self, error: Option<&Error>) {
        use ErrorKind::{Budget, RateLimited, Shutdown, Store};
        let core = self.core.clone();
        let Some(mut claim) = self.claiming.claim.take() else {
            return;
        };
        let is_own =
            |error: &&Error| matches!(error.kind(), Budget | RateLimited | Shutdown | Store);
        let pause = error
            .filter(|error| !is_own(error))
            .and_then(Error::next_attempt_in);
        claim.pause = pause.unwrap_or_default().min(LONGEST_PAUSE);
        let slot = claim.slot;
        drop(claim);
        // If the store does not answer, the claim is released later, or lapses.
        let release = async |fleet: Arc<Inner>| drop(fleet.release_claims(&core, slot).await);
        core.fleet.within((), release).await;
    }
}

impl Inner {
    /// Claims a slot, to publish a record newer than `after`. A failure is noted for the slot `at`, as in
    /// [`get`](Self::get).
    pub(super) async fn claim(
        &self,
        core: &Core,
        at: Option<Slot>,
        (slot, member): (Slot, Member),
        after: u64,
        (since, lease): (Reading, Duration),
    ) -> Result<Claimed, Error> {
        Ok(
            match self
                .step(core, at, |store| store.claim(slot, member, after, lease))
                .await?
            {
                Claim::Granted { generation, now } => Claimed::Granted(GrantedClaim {
                    slot,
                    member,
                    generation,
                    granted: (now, core.now()),
                    since,
                    lease,
                    pause: Duration::ZERO,
                    releases: Some(self.releases.clone()),
                }),
                Claim::Held { left } => Claimed::Held(left),
                Claim::Published(found) => Claimed::Published(found),
            },
        )
    }

    /// Claims the slot of a session that was created without a claim.
    pub(super) async fn claim_for(
        &self,
        core: &Core,
        session: &LiveSession,
    ) -> Result<Claimed, Error> {
        let seal = self.seal_of(core, &session.partition);
        let (member, lease, since) = (
            new_member(core),
            core.settings.create_timeout / 2,
            core.now(),
        );
        let after = self.seen.of(seal.slot).generation;
        let whose = (seal.slot, member);
        self.claim(core, Some(seal.slot), whose, after, (since, lease))
            .await
    }
}
