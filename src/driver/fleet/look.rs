//! One look at a slot: tells the store which sessions are in use here, and learns what has become of them.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Inner, Membership, adopt::Unfit, claim::Claimed};
use crate::{
    clock::Reading,
    driver::{core::Core, fleet::membership},
    error::Error,
    hot::session::LiveSession,
    model::reason::RetireReason,
    store::{Kept, Slot},
};

/// The store has refused a session, which stays in use here. The next renewal may begin after this pause.
const REFUSED: Duration = Duration::from_secs(60);

impl Inner {
    /// Looks at one slot.
    pub(super) async fn look(
        &self,
        core: &Arc<Core>,
        slot: Slot,
        own: Vec<Arc<LiveSession>>,
    ) -> Result<(), Error> {
        self.catch_up(core, slot).await?;
        for session in self.joined(slot) {
            if let Some(place) = membership(&session) {
                self.keep(core, &session, place).await?;
            }
        }
        for session in own {
            // Another look may have published the session meanwhile.
            if membership(&session).is_none() && session.is_usable(core.now()) {
                self.converge(core, &session, slot).await?;
            }
        }
        Ok(())
    }

    /// Tells the store that a session is in use, and learns what has become of it.
    async fn keep(
        &self,
        core: &Arc<Core>,
        session: &Arc<LiveSession>,
        place: &Membership,
    ) -> Result<(), Error> {
        let sent = core.now();
        if !session.life.may_go_on(sent) {
            self.forget(session);
            return Ok(());
        }
        // The record is still on its way to the store. If the store were told now that the record is in use, it would
        // seem to have lost the record and its users.
        if place.is_under_way(sent) {
            return Ok(());
        }
        if place.holds_for(sent).is_zero() {
            // This process's lease on the session has ended, so other processes may have deleted it. If not, this
            // process adopts it again.
            self.forget(session);
            core.retire_this(RetireReason::Lapsed, session);
            return Ok(());
        }
        let Some(telling) = place.tell() else {
            return Ok(());
        };
        let kept = self.say_used(core, session, place, sent).await?;
        drop(telling);
        place.kept(sent);
        match kept {
            Kept::Newer(found) if session.is_usable(core.now()) => {
                let after = self.replaced_by_what_is_after(place);
                let replaced = self.replace(core, session, (found, sent), after).await;
                // The older session may have been revoked, and the store may have lost that. So a renewal looks into
                // the newer one, while requests go on.
                let life = session.life.total();
                if replaced == Err(Unfit::Unproven)
                    && self.superseded.may_renew(place.slot, life, sent.monotonic)
                {
                    session.set_superseded(true);
                }
            }
            Kept::Revoked => {
                core.retire_this(RetireReason::Revoked, session);
            }
            Kept::Current | Kept::Newer(_) | Kept::Gone => {}
        }
        Ok(())
    }

    /// Returns the generation above which a record replaces the session in use. A record with the session's own
    /// generation may be another session's. So it replaces this one, too, unless a newer generation was seen since.
    fn replaced_by_what_is_after(&self, place: &Membership) -> u64 {
        let seen = self.seen.of(place.slot);
        let is_in_use = seen.generation == place.generation && !seen.is_spent;
        seen.generation.saturating_sub(u64::from(is_in_use))
    }

    async fn say_used(
        &self,
        core: &Core,
        session: &LiveSession,
        place: &Membership,
        sent: Reading,
    ) -> Result<Kept, Error> {
        // A retired session is neither published nor put back, because no process should adopt it.
        let is_over = session.in_flight.is_retired();
        if !is_over
            && place.is_unanswered()
            && self.publish_again(core, session, place, sent).await?
        {
            return Ok(Kept::Current);
        }
        let record = match place.accepted().filter(|_| !is_over) {
            Some(accepted) => accepted.record(session.life.left(sent)),
            None => place.record_in_use(),
        };
        let (slot, member, lease) = (place.slot, place.member, self.sharing.member_lease);
        let kept = self
            .step(core, Some(slot), |store| {
                store.keep(slot, member, record, lease)
            })
            .await?;
        if kept == Kept::Current {
            place.is_accepted();
        }
        Ok(kept)
    }

    /// Returns the sessions that are not published yet, by slot. Example: they were created while the store was down.
    pub(super) fn own(&self, core: &Core) -> HashMap<Slot, Vec<Arc<LiveSession>>> {
        let mut own: HashMap<_, Vec<_>> = HashMap::new();
        if !self.has_own.swap(false, Ordering::AcqRel) {
            return own;
        }
        let now = core.now();
        for session in core.sessions() {
            if membership(&session).is_none() && session.is_usable(now) {
                let slot = self.seal_of(core, &session.partition).slot;
                own.entry(slot).or_default().push(session);
            }
        }
        self.has_own.fetch_or(!own.is_empty(), Ordering::AcqRel);
        own
    }

    /// Publishes a session that was made while the store was down, or replaces it with the fleet's session.
    async fn converge(
        &self,
        core: &Arc<Core>,
        session: &Arc<LiveSession>,
        slot: Slot,
    ) -> Result<(), Error> {
        let sent = core.now();
        // If the slot has a record, its session wins. Do not find this out by a claim, which does not show a record
        // that was seen here before. Example: the server is being asked about that record's session. The claim would be
        // granted, and this older session would replace the newer one.
        let found = self.get(core, Some(slot), slot).await?;
        if found.record.is_some() {
            let after = self.seen.of(slot).lowest();
            let _ = self.replace(core, session, (found, sent), after).await;
            return Ok(());
        }
        let sent = core.now();
        match self.claim_for(core, session).await? {
            Claimed::Granted(claim) => {
                if session.is_usable(core.now()) && !self.publish(core, session, claim).await {
                    // The session stays in use here until it is renewed. The pause keeps the number of creates low if a
                    // store refuses everything.
                    let again_at = core.now().monotonic.saturating_add(REFUSED);
                    session.renew_again_at(again_at);
                }
            }
            Claimed::Published(found) => {
                let after = self.seen.of(slot).lowest();
                let _ = self.replace(core, session, (found, sent), after).await;
            }
            // The holder of the claim publishes its session.
            Claimed::Held(_) => {}
        }
        Ok(())
    }
}
