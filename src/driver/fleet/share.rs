//! The first step of a create in a fleet: find out whether there is a session already, whether another process is
//! creating one, or whether this process has to.

use std::{
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;

use super::{
    Inner,
    adopt::Adopted,
    claim::{Claimed, GrantedClaim, LONGEST_PAUSE},
    new_member,
    seal::Seal,
};
use crate::{
    clock::Reading,
    driver::{create::Create, flight::Share},
    error::{Error, ErrorKind},
    hot::{session::LiveSession, shared::Shared},
    model::{life::Phase, settings::OnStoreDown},
    store::{Changes, Found, Member, Slot},
};

/// The pause between two tries while another process holds the claim. Needed in case the end of that claim is not
/// announced.
const POLL: Duration = Duration::from_secs(1);
/// The pause before a renewal is tried again if the store could not be asked.
const AGAIN: Duration = Duration::from_secs(5);
/// Generations above this are refused, because scripts in stores count in floating point.
const HIGHEST: u64 = 1 << 53;
/// How many unusable records a create skips. Then it goes on as if the store were down.
const PASSED_OVER: usize = 3;

impl From<Adopted> for Share {
    fn from(adopted: Adopted) -> Self {
        let Adopted {
            session,
            is_sound,
            is_certain,
        } = adopted;
        if is_sound {
            Self::Done(Ok(session))
        } else {
            let by_itself = !is_certain;
            Self::Ask { session, by_itself }
        }
    }
}

/// The state of one create at the store.
struct Claimant {
    seal: Seal,
    member: Member,
    lease: Duration,
    /// The generation of the last record that was skipped.
    passed_over: u64,
    useless: usize,
}

impl Create {
    /// Finds out which process creates the session. If it is another one, waits for its session.
    pub(crate) async fn share(&mut self) -> Share {
        let core = self.core.clone();
        let share = async |fleet: Arc<Inner>| self.share_in(&fleet).await;
        core.fleet.within(Share::Create, share).await
    }

    async fn share_in(&mut self, fleet: &Inner) -> Share {
        let core = self.core.clone();
        let key = self.partition.key_id;
        if !core.gate().known_keys.is_accepted(key) {
            return self.look(fleet).await;
        }
        core.gate().known_keys.accept(key, core.now());
        let lease = core.settings.create_timeout / 2;
        if self.claiming.accepted_for(core.now()) >= Some(lease / 2) {
            return Share::Create;
        }
        let mut claimant = Claimant {
            seal: fleet.seal_of(&core, &self.partition),
            member: self.claiming.give_up().unwrap_or_else(|| new_member(&core)),
            lease,
            passed_over: 0,
            useless: 0,
        };
        let (begun, patience) = (core.now(), core.patience());
        let mut changes = fleet.store.changes();
        loop {
            let claimed = tokio::select! {
                biased;
                _ = core.closed() => Break(Share::Done(Err(Error::shutdown()))),
                claimed = self.claim(fleet, &mut claimant) => claimed,
            };
            let held_for = match claimed {
                Continue(held_for) => held_for,
                Break(share) => return share,
            };
            // No claim lasts this long. So another process's create has failed, and the store makes all processes
            // pause.
            if held_for > claimant.lease
                && let Some(refused) = core.gate().paused_elsewhere(key, held_for, core.now())
            {
                return Share::Done(Err(refused));
            }
            let waited = core.now().since(begun);
            if waited.saturating_add(held_for.min(POLL)) > patience {
                return Share::Done(Err(held(held_for)));
            }
            tokio::select! {
                biased;
                _ = core.closed() => return Share::Done(Err(Error::shutdown())),
                () = change_of(claimant.seal.slot, &mut changes) => {}
                () = sleep(held_for.clamp(Duration::from_millis(1), POLL)) => {}
            }
        }
    }

    /// Called for an API key that the server has not accepted yet. Adopts the session in the store if there is one, but
    /// makes no claim: such a key may be made up, and must leave nothing in the store. The session of this create is
    /// published later, like one that was created while the store was down.
    async fn look(&mut self, fleet: &Inner) -> Share {
        let core = self.core.clone();
        let seal = fleet.seal_of(&core, &self.partition);
        let sent = core.now();
        let get = fleet.get(&core, Some(seal.slot), seal.slot);
        let found = tokio::select! {
            biased;
            _ = core.closed() => return Share::Done(Err(Error::shutdown())),
            found = get => found,
        };
        match found {
            Err(error) => self.alone(fleet, error),
            Ok(found) if found.record.is_none() => Share::Create,
            Ok(found) => match self.adopt(fleet, &seal, found, sent).await {
                Some(adopted) => adopted.into(),
                None => Share::Create,
            },
        }
    }

    /// Claims the slot. If another process holds the claim, continues with the time for which it may hold it.
    async fn claim(
        &mut self,
        fleet: &Inner,
        claimant: &mut Claimant,
    ) -> ControlFlow<Share, Duration> {
        let core = self.core.clone();
        let slot = claimant.seal.slot;
        loop {
            // Check this between two claims, too: the heartbeat may have adopted the session that the first claim was
            // answered with.
            if !core.gate().is_flying(self.partition.id, self.generation) || self.is_spared() {
                return Break(Share::Fenced);
            }
            let after = self.newest(fleet, slot).max(claimant.passed_over);
            let sent = core.now();
            // Tell the store about this slot alone, so that a failure is noted for the slot that it concerns.
            let told = fleet.catch_up(&core, slot).await;
            if let Err(error) = told {
                return Break(self.alone(fleet, error));
            }
            let (whose, lasts) = ((slot, claimant.member), (sent, claimant.lease));
            match fleet.claim(&core, Some(slot), whose, after, lasts).await {
                Err(error) => return Break(self.alone(fleet, error)),
                Ok(Claimed::Granted(claim)) => return Break(self.granted(fleet, claim)),
                Ok(Claimed::Published(found)) => {
                    self.published(fleet, claimant, sent, found).await?;
                }
                Ok(Claimed::Held(left)) => return Continue(left.min(LONGEST_PAUSE)),
            }
        }
    }

    fn granted(&mut self, fleet: &Inner, claim: GrantedClaim) -> Share {
        if claim.generation >= HIGHEST {
            claim.disarm();
            let text = "a counter in the shared store is too high";
            return self.alone(fleet, Error::new(ErrorKind::Store, text));
        }
        self.claiming.hold(claim);
        Share::Create
    }

    /// Adopts the published session. Continues if the record is of no use and is skipped.
    async fn published(
        &mut self,
        fleet: &Inner,
        claimant: &mut Claimant,
        sent: Reading,
        found: Found,
    ) -> ControlFlow<Share> {
        let generation = found.record.as_ref().map_or(0, |record| record.generation);
        if let Some(adopted) = self.adopt(fleet, &claimant.seal, found, sent).await {
            return Break(adopted.into());
        }
        claimant.passed_over = generation;
        claimant.useless += 1;
        if claimant.useless > PASSED_OVER || generation >= HIGHEST {
            let text = "the shared store holds a record that no process of this fleet wrote";
            return Break(self.alone(fleet, Error::new(ErrorKind::Store, text)));
        }
        Continue(())
    }

    /// Returns whether this create is unnecessary, because the heartbeat has adopted a session meanwhile.
    fn is_spared(&self) -> bool {
        let (core, now) = (&self.core, self.core.now());
        core.cached(self.partition.id).is_some_and(|current| {
            self.claiming.is_settled_by(&current)
                && current.phase(now) == Phase::Fresh
                && core.is_in_order(&current)
        })
    }

    /// Decides what to do if the store cannot be used. With `OwnSession`, this process creates a session of its own,
    /// unless it has a good one of the fleet. Otherwise the create fails.
    fn alone(&self, fleet: &Inner, error: Error) -> Share {
        let (core, now) = (&self.core, self.core.now());
        let current = core.cached(self.partition.id);
        let good = current.filter(|current| core.is_good(current, now));
        let is_the_fleets = good.as_ref().and_then(|it| it.shared()).is_some();
        if fleet.sharing.on_store_down == OnStoreDown::OwnSession && !is_the_fleets {
            return Share::Create;
        }
        Share::Done(Err(match good {
            Some(_) => error.with_retry_after(AGAIN),
            None => error,
        }))
    }

    /// Returns the generation that a record must exceed to be adopted.
    pub(super) fn newest(&self, fleet: &Inner, slot: Slot) -> u64 {
        let seen = fleet.seen.of(slot);
        let current = self.core.cached(self.partition.id);
        let now = self.core.now();
        let is_in_use = |session: &LiveSession| {
            let generation = session.shared().map(Shared::generation);
            session.is_usable(now) && generation == Some(seen.generation)
        };
        if current.is_some_and(|session| is_in_use(&session)) {
            seen.generation
        } else {
            seen.lowest()
        }
    }
}

fn held(left: Duration) -> Error {
    let text = "another process of the fleet is creating the session, or failed to a moment ago";
    Error::new(ErrorKind::Store, text).with_retry_after(left)
}

/// Waits until the store announces a change of this slot.
async fn change_of(slot: Slot, changes: &mut Changes) {
    while changes.next().await.is_some_and(|other| other != slot) {}
}
