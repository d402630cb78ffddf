//! The other managers of this process. Example: the user puts the session id of one manager on a request through
//! another manager. The second one accepts the id if the session is live in the first one.

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

/// All managers that still exist. A session is always looked up in its own manager, so it is not found once that
/// manager is gone.
static MANAGERS: Lock<Vec<Weak<Core>>> = Lock::new(Vec::new());

/// Adds a new manager to the list.
pub(crate) fn join(core: &Arc<Core>) {
    let mut managers = MANAGERS.lock();
    managers.retain(|manager| manager.strong_count() > 0);
    managers.push(Arc::downgrade(core));
}

/// Returns the managers of this process with the same address, this one included.
fn at_same_address(core: &Core) -> Vec<Arc<Core>> {
    let managers = {
        let managers = MANAGERS.lock();
        let there = managers.iter().filter_map(Weak::upgrade);
        there.collect::<Vec<_>>()
    };
    let is_there = |other: &Arc<Core>| core.settings.is_same_server(&other.settings);
    managers.into_iter().filter(is_there).collect()
}

/// Returns the managers of this process that talk to the same server, this one included.
pub(crate) fn of_same_server(core: &Core) -> Vec<Arc<Core>> {
    let mut managers = at_same_address(core);
    managers.retain(|other| core.transport.leads_to_same(&other.transport));
    managers
}

/// Proves that a session is live in a manager of this process. If the manager created the session, it does not delete
/// it before this is dropped. `None`: the user created or fetched the session, and the manager never deletes it.
#[derive(Debug)]
pub(crate) struct Voucher(pub(crate) Option<Hold>);

/// What a manager knows of an id.
enum View {
    Live(Voucher),
    /// The manager knows the session, and knows that it has ended.
    Dead,
    /// The manager does not know the id, or its note of the id does not count.
    Stranger,
}

/// Looks for a manager of this process, this one included, that knows the id as a live session of this API key.
/// Returns `None` if any manager knows it as ended.
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
    /// Returns what this manager knows of an id. If the manager has no note of the id, it looks in `partition`. A note
    /// of a session that the user created or fetched counts only if its number is above `since`. Older notes are
    /// outdated, because the server may have lost these sessions since then.
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

    /// Returns the session with this id, if it is in use.
    pub(crate) fn session_of(&self, id: IdHash) -> Option<Arc<LiveSession>> {
        match self.known_ids.get(id) {
            Some(Known::Session(partition)) => self.session_with(id, partition),
            Some(Known::ByHand { .. } | Known::Ended { .. }) | None => None,
        }
    }

    /// Returns the current session of a partition, if it has this id.
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
