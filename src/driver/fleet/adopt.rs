//! Adopts a session that another process created.

use std::sync::Arc;

use super::{Inner, Membership, new_member, record::Sealed, refuse, seal::Seal};
use crate::{
    clock::{Reading, millis},
    driver::{core::Core, create::Create, fleet::membership, reaper},
    hot::session::LiveSession,
    model::{evidence::Made, life::Life, partition::Partition, reason::RetireReason},
    store::{Found, Kept},
};

/// A session that another process created.
pub(super) struct Adopted {
    pub(super) session: Arc<LiveSession>,
    /// Whether the session may be used without asking the server first.
    pub(super) is_sound: bool,
    /// Whether `GET /v1/health` is enough to check the session. If not, the server is asked for the session itself,
    /// because the store may be wrong about it, or because `verify_adopted` is set.
    pub(super) is_certain: bool,
}

/// Why a record was not adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The server has to be asked first whether it has the session.
    Unproven,
    /// The record is of no use here. For example, it is refused, or too little of the session's life is left.
    Useless,
}

/// A record that the store has in a slot.
pub(super) struct Offer {
    pub(super) found: Found,
    /// When the store was asked.
    pub(super) sent: Reading,
    /// Only a record with a higher generation is adopted.
    pub(super) after: u64,
}

/// Guards a session while this process joins its users. Example: the create is dropped while it waits for the store.
/// The store may then count this process as a user, but the process does not use the session. So the drop of this guard
/// retires the session. The reaper then leaves it, and deletes it if this process was the last user.
struct Joining<'a> {
    core: &'a Core,
    session: Option<&'a Arc<LiveSession>>,
}

impl<'a> Joining<'a> {
    fn new(core: &'a Core, session: &'a Arc<LiveSession>) -> Self {
        let session = Some(session);
        Self { core, session }
    }

    /// Ends the guard without retiring the session: it is used here, or the store does not count this process as a
    /// user.
    fn done(mut self) {
        self.session = None;
    }
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.core.retirement.retire(session, RetireReason::Fenced);
        }
    }
}

impl Create {
    pub(super) async fn adopt(
        &mut self,
        fleet: &Inner,
        seal: &Seal,
        found: Found,
        sent: Reading,
    ) -> Option<Adopted> {
        let after = self.newest(fleet, seal.slot);
        let offer = Offer { found, sent, after };
        let own = self.number;
        let number = self.number_of_session();
        let whose = (&self.partition, number);
        let adopted = fleet.adopt(&self.core, seal, whose, offer, true).await.ok();
        if adopted.is_none() {
            self.number = own;
        }
        adopted
    }
}

/// Returns how many signs of trouble a session has outlived. Another process created it, at `then`.
///
/// Returns 0, so that the session is suspect, if the server may have lost it. There are two cases: the session was
/// created before the last sign, or it may be older than the server's process that is known here. In the second case
/// the server may have restarted without a sign that this process could see.
fn signs_of(core: &Core, made: &Made, then: Reading) -> u64 {
    if core.vouches_for(made) {
        return core.suspicion.signs_before(then);
    }
    if core.suspicion.signs() == 0 {
        core.suspect(false);
    }
    0
}

impl Inner {
    /// Opens a record, and joins the users of its session. Returns `None` if the session cannot be used. Also returns
    /// `None` if the server has to be asked about the session first and `can_ask` is `false`.
    pub(super) async fn adopt(
        &self,
        core: &Core,
        seal: &Seal,
        (partition, generation): (&Arc<Partition>, u64),
        Offer { found, sent, after }: Offer,
        can_ask: bool,
    ) -> Result<Adopted, Unfit> {
        let (store_now, is_certain) = (found.now, found.is_certain);
        let record = found.record.ok_or(Unfit::Useless)?;
        let number = record.generation;
        if number == after {
            return Err(Unfit::Useless); // this process adopted it while the answer was on its way
        }
        let sealed = seal.open(number, &record.sealed);
        let sealed = sealed.and_then(|plain| Sealed::parse(&plain));
        let Some(sealed) = sealed.filter(|_| number > after) else {
            refuse(core, seal.slot);
            return Err(Unfit::Useless);
        };
        // The session's age is measured in three ways. The highest of the three ages counts.
        let age = sent.wall.saturating_sub(sealed.born_wall);
        let age = age.max(store_now.saturating_sub(sealed.born_store));
        let age = age.max(sealed.life.saturating_sub(record.left));
        let jitter = core.with_rng(fastrand::Rng::f64);
        let life = Life::aged(sent, sealed.life, age, jitter);
        if life.usable_for(sent).is_zero() {
            return Err(Unfit::Useless);
        }
        let made = Made {
            at: sealed.made_at,
            known_at: sealed.made_at,
            total: sealed.life,
            born: life.born(),
            left: life.left(sent),
            known: (life.born(), age),
        };
        let signs = signs_of(core, &made, sent.before(age));
        let session = LiveSession::new(
            &sealed.id,
            generation,
            partition.clone(),
            life,
            (millis(sealed.made_at), sent, signs),
        );
        // The session is alive if there was no sign since its creation, or if the server has answered since and its
        // answer clears the session.
        let is_alive = signs == core.suspicion.signs()
            || (core.has_heard() && core.is_cleared(&session, core.now()));
        let is_certain = is_certain && !self.sharing.verify_adopted;
        let is_sound = is_alive && is_certain;
        if !(is_sound || can_ask) {
            return Err(Unfit::Unproven);
        }
        let (session, lease) = (Arc::new(session), self.sharing.member_lease);
        let place = (seal.slot, new_member(core));
        let joined = Membership::new(place, number, record.sealed, lease, core.now());
        // Do not put the record back if the store has lost it: its last user may have deleted the session since the
        // record was read.
        let join = joined.record_in_use();
        session.share(joined);
        let joining = Joining::new(core, &session);
        let kept = self
            .step(core, Some(place.0), |store| {
                store.keep(place.0, place.1, join, lease)
            })
            .await;
        if matches!(kept, Ok(Kept::Revoked)) {
            joining.done();
            return Err(Unfit::Useless);
        }
        let is_current = matches!(kept, Ok(Kept::Current));
        if is_current && let Some(place) = membership(&session) {
            place.is_accepted();
        }
        // The user may have deleted the session by hand meanwhile.
        let is_ended = self.ids.note(&sealed.id, (seal.slot, number));
        if is_ended {
            self.revoke(seal.slot, number);
        }
        if is_current && !is_ended && session.is_usable(core.now()) {
            self.seen.note(seal.slot, number, false);
            self.join(&session);
            joining.done();
            return Ok(Adopted {
                session,
                is_sound,
                is_certain,
            });
        }
        Err(Unfit::Useless)
    }

    /// Adopts the session that another process created to replace this one. Requests go on with the older one
    /// meanwhile.
    pub(super) async fn replace(
        &self,
        core: &Arc<Core>,
        older: &Arc<LiveSession>,
        (found, sent): (Found, Reading),
        after: u64,
    ) -> Result<(), Unfit> {
        let seal = self.seal_of(core, &older.partition);
        if found
            .record
            .as_ref()
            .is_none_or(|record| record.generation <= after)
        {
            return Err(Unfit::Useless);
        }
        let generation = core.next_number();
        let whose = (&older.partition, generation);
        let offer = Offer { found, sent, after };
        let adopted = self.adopt(core, &seal, whose, offer, false).await;
        match &adopted {
            Ok(Adopted { session, .. }) => core.take_up(session),
            // This process may have joined the session without using it. The reaper then leaves it.
            Err(_) => reaper::start(core),
        }
        adopted.map(drop)
    }
}
