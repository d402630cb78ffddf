//! Who in the fleet makes a session, and how the others learn of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::sleep;

use super::{Inner, Membership, adopt::Adopted, new_member, record::Sealed, seal::Seal};
use crate::{
    clock::Reading,
    error::{Error, ErrorKind},
    manager::{
        OnStoreDown, create::Create, event::RetireReason, flight::Outcome, life::Phase,
        session::LiveSession,
    },
    store::{Claim, Member, Record, Slot},
};

/// How often a claim is tried while another holds the right, in case that its end was not told.
const POLL: Duration = Duration::from_secs(1);
/// Nobody is made to wait longer for another's failure, whatever the store says.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// Above this, numbers are no generations: scripts of stores count in floating point.
const HIGHEST: u64 = 1 << 53;
/// How many records that are of no use are passed over.
const PASSED_OVER: usize = 3;

/// The right to make the next session of a slot.
#[derive(Debug)]
pub(super) struct Right {
    slot: Slot,
    member: Member,
    generation: u64,
    /// The store's time when it was granted, and when that was known here.
    granted: (Duration, Reading),
    since: Reading,
    lease: Duration,
}

/// What a create has got from the fleet so far.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    right: Option<Right>,
    /// It was not accepted that the session is the fleet's.
    was_refused: bool,
}

impl Attempt {
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

/// How a create goes on.
pub(crate) enum Share {
    /// It is to make the call.
    Create,
    /// It is to ask the server about this session, which another has made.
    Ask(Arc<LiveSession>),
    /// It has its outcome.
    Done(Outcome),
    /// Another create has taken its place.
    Fenced,
}

impl Create {
    /// Finds out who makes the session, and waits for it if that is another.
    pub(in crate::manager) async fn share(&mut self) -> Share {
        let core = self.core.clone();
        let Some(fleet) = core.fleet.inner() else {
            return Share::Create;
        };
        let lease = core.settings.create_timeout / 2;
        if let Some(right) = &self.attempt.right
            && right.left(core.now()) >= lease / 2
        {
            return Share::Create;
        }
        let seal = Seal::of(&self.partition, &core.settings.base);
        let member = self
            .attempt
            .right
            .take()
            .map_or_else(|| new_member(&core), |right| right.member);
        let (begun, patience) = (core.now(), core.patience());
        let mut changes = fleet.store().changes();
        let (mut passed_over, mut useless) = (0, 0);
        loop {
            if !core.ledger().is_flying(self.partition.id, self.generation) || self.is_spared() {
                return Share::Fenced;
            }
            let after = self.newest(fleet, seal.slot).max(passed_over);
            let sent = core.now();
            let claim = async {
                fleet.send_revocations(&core).await?;
                let claim = fleet.store().claim(seal.slot, member, after, lease);
                fleet.step(&core, claim).await
            };
            let claim = tokio::select! {
                biased;
                _ = core.closed() => return Share::Done(Err(Error::shutdown())),
                claim = claim => claim,
            };
            let held_for = match claim {
                Err(error) => return alone(fleet, error),
                // What stands in the way of a publication once may do so for ever.
                Ok(Claim::Granted { .. }) if self.attempt.was_refused => return Share::Create,
                Ok(Claim::Granted { generation, now }) if generation < HIGHEST => {
                    self.attempt.right = Some(Right {
                        slot: seal.slot,
                        member,
                        generation,
                        granted: (now, core.now()),
                        since: sent,
                        lease,
                    });
                    return Share::Create;
                }
                Ok(Claim::Published(found)) => {
                    let generation = found.record.as_ref().map_or(0, |record| record.generation);
                    match self.adopt(fleet, &seal, found, sent).await {
                        Some(Adopted {
                            session,
                            is_sound: true,
                        }) => return Share::Done(Ok(session)),
                        Some(Adopted { session, .. }) => return Share::Ask(session),
                        None => passed_over = generation,
                    }
                    useless += 1;
                    if useless > PASSED_OVER || generation >= HIGHEST {
                        let text = "the shared store holds what none of this fleet has written";
                        return alone(fleet, Error::new(ErrorKind::Store, text));
                    }
                    continue;
                }
                Ok(Claim::Granted { .. }) => {
                    let text = "the shared store counts too high";
                    return alone(fleet, Error::new(ErrorKind::Store, text));
                }
                Ok(Claim::Held { left }) => left.min(LONGEST_PAUSE),
            };
            let waited = core.now().since(begun);
            if waited.saturating_add(held_for.min(POLL)) > patience {
                return Share::Done(Err(held(held_for)));
            }
            let told =
                async { while changes.next().await.is_some_and(|slot| slot != seal.slot) {} };
            tokio::select! {
                biased;
                _ = core.closed() => return Share::Done(Err(Error::shutdown())),
                () = told => {}
                () = sleep(held_for.clamp(Duration::from_millis(1), POLL)) => {}
            }
        }
    }

    /// Whether what the liaison has taken up meanwhile will do.
    fn is_spared(&self) -> bool {
        let (core, now) = (&self.core, self.core.now());
        core.cached(self.partition.id).is_some_and(|current| {
            let is_newer = current.generation > self.generation;
            is_newer && current.phase(now) == Phase::Fresh && core.is_in_order(&current)
        })
    }

    /// What a record has to be newer than.
    pub(super) fn newest(&self, fleet: &Inner, slot: Slot) -> u64 {
        let seen = fleet.seen.of(slot);
        let current = self.core.cached(self.partition.id);
        let now = self.core.now();
        let is_in_use = current.is_some_and(|session| session.is_usable(now));
        // What was merely evicted, or not kept in time, may be taken up once more.
        if seen.is_spent || is_in_use {
            seen.generation
        } else {
            seen.generation.saturating_sub(1)
        }
    }

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
        core: &crate::manager::core::Core,
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
            id: session.id.clone(),
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
        core: &crate::manager::core::Core,
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

fn held(left: Duration) -> Error {
    let text = "another process of the fleet makes the session, or has failed to a moment ago";
    Error::new(ErrorKind::Store, text).with_retry_after(left)
}

fn alone(fleet: &Inner, error: Error) -> Share {
    match fleet.sharing.on_store_down {
        OnStoreDown::OwnSession => Share::Create,
        OnStoreDown::Fail => Share::Done(Err(error)),
    }
}
