//! The other managers of this process: a session that is live in one of them may stand on a request through another.

use std::sync::{Arc, Weak};

use super::{
    by_hand::Hold,
    core::Core,
    known_ids::{IdHash, Known},
};
use crate::{
    hot::session::LiveSession,
    lock::Lock,
    model::partition::{KeyId, PartitionId},
};

/// Every manager that is not gone. Its sessions are looked up where they are, so that they leave with it.
static MANAGERS: Lock<Vec<Weak<Core>>> = Lock::new(Vec::new());

/// Makes a new manager known to the others.
pub(crate) fn join(core: &Arc<Core>) {
    let mut managers = MANAGERS.lock();
    managers.retain(|manager| manager.strong_count() > 0);
    managers.push(Arc::downgrade(core));
}

/// The managers of this process at the same address, this one included.
fn at_same_address(core: &Core) -> Vec<Arc<Core>> {
    let managers = {
        let managers = MANAGERS.lock();
        let there = managers.iter().filter_map(Weak::upgrade);
        there.collect::<Vec<_>>()
    };
    let is_there = |other: &Arc<Core>| core.settings.is_same_server(&other.settings);
    managers.into_iter().filter(is_there).collect()
}

/// The managers of this process that talk to the same server, this one included.
pub(crate) fn of_same_server(core: &Core) -> Vec<Arc<Core>> {
    let mut managers = at_same_address(core);
    managers.retain(|other| core.transport.leads_to_same(&other.transport));
    managers
}

/// What a manager can say of a live session that is not its own.
#[derive(Debug)]
pub(crate) struct Voucher(pub(crate) Option<Hold>);

/// What a manager knows of an id.
enum View {
    Live(Voucher),
    /// It was its session, or its owner's, and is it no more.
    Dead,
    Stranger,
}

/// Looks whether a manager of this process, this one included, knows the id as one of a live session of this API key, and none as a
/// dead one.
pub(crate) fn vouch(
    core: &Core,
    id: IdHash,
    key: KeyId,
    partition: PartitionId,
) -> Option<Voucher> {
    let (mut voucher, since) = (None, core.known_ids.forgot_at());
    for manager in at_same_address(core) {
        let transports = (&core.transport, &manager.transport);
        match manager.view(id, key, partition, since) {
            View::Live(found) if transports.0.may_lead_to_same(transports.1) => {
                voucher = voucher.or(Some(found));
            }
            View::Dead if transports.0.leads_to_same(transports.1) => return None,
            View::Live(_) | View::Dead | View::Stranger => {}
        }
    }
    voucher
}

impl Core {
    /// `partition` is where the session is likely to be. What was noted of an owner's before `since` counts for nothing.
    fn view(self: &Arc<Self>, id: IdHash, key: KeyId, partition: PartitionId, since: u64) -> View {
        let (partition, is_known) = match self.known_ids.get(id) {
            Some(Known::ByHand {
                key: of,
                life,
                noted,
            }) => {
                let is_its = of == key && noted > since;
                let is_live = is_its && !life.usable_for(self.now()).is_zero();
                return if is_live {
                    View::Live(Voucher(None))
                } else {
                    View::Stranger
                };
            }
            Some(Known::Ended { .. }) => return View::Dead,
            Some(Known::Session(partition)) => (partition, true),
            None => (partition, false),
        };
        let session = self.session_with(id, partition);
        let is_meant = |session: &Arc<LiveSession>| {
            session.partition.key_id == key && self.is_good(session, self.now())
        };
        let session = session.filter(is_meant);
        match session.and_then(|session| Hold::on(self, &session)) {
            Some(hold) => View::Live(Voucher(Some(hold))),
            None if is_known => View::Dead,
            None => View::Stranger,
        }
    }

    /// The session with this id that is used, if there is one.
    pub(crate) fn session_of(&self, id: IdHash) -> Option<Arc<LiveSession>> {
        match self.known_ids.get(id) {
            Some(Known::Session(partition)) => self.session_with(id, partition),
            Some(Known::ByHand { .. } | Known::Ended { .. }) | None => None,
        }
    }

    /// The current session of a partition, if it has this id.
    pub(crate) fn session_with(
        &self,
        id: IdHash,
        partition: PartitionId,
    ) -> Option<Arc<LiveSession>> {
        let mut held = [self.cached(partition), self.retirement.pinned(partition)]
            .into_iter()
            .flatten();
        held.find(|session| IdHash::of_session(session) == id)
    }
}
