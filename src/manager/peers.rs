//! The other managers of this process: a session that is live in one of them may stand on a request through another.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{
    by_hand::Hold,
    core::Core,
    known_ids::{IdHash, Known},
    partition::{KeyId, PartitionId},
    session::LiveSession,
};

/// Every manager that is not gone. Its sessions are looked up where they are, so that they leave with it.
static MANAGERS: Mutex<Vec<Weak<Core>>> = Mutex::new(Vec::new());

/// Makes a new manager known to the others.
pub(super) fn join(core: &Arc<Core>) {
    let mut managers = MANAGERS.lock().unwrap_or_else(PoisonError::into_inner);
    managers.retain(|manager| manager.strong_count() > 0);
    managers.push(Arc::downgrade(core));
}

/// What a manager can say of a live session that is not its own.
#[derive(Debug)]
pub(super) struct Voucher(pub(super) Option<Hold>);

/// Looks for a manager of this process, this one included, that knows the id as one of a live session of this API key.
pub(super) fn vouch(
    core: &Core,
    id: IdHash,
    key: KeyId,
    partition: PartitionId,
) -> Option<Voucher> {
    let managers = {
        let managers = MANAGERS.lock().unwrap_or_else(PoisonError::into_inner);
        managers
            .iter()
            .filter_map(Weak::upgrade)
            .collect::<Vec<_>>()
    };
    let mut managers = managers.iter();
    managers.find_map(|other| {
        let knows_it = core.settings.is_same_server(&other.settings);
        knows_it.then(|| other.vouch(id, key, partition)).flatten()
    })
}

impl Core {
    /// `partition` is where the session is likely to be.
    fn vouch(self: &Arc<Self>, id: IdHash, key: KeyId, partition: PartitionId) -> Option<Voucher> {
        let partition = match self.known_ids.get(id) {
            Some(Known::ByHand { key: of, life }) => {
                let is_live = of == key && !life.usable_for(self.now()).is_zero();
                return is_live.then_some(Voucher(None));
            }
            Some(Known::Session(partition)) => partition,
            None => partition,
        };
        let session = self.session_with(id, partition)?;
        let is_meant = session.partition.key_id == key && self.is_good(&session, self.now());
        let hold = is_meant.then(|| Hold::on(self, &session)).flatten()?;
        Some(Voucher(Some(hold)))
    }

    /// The current session of a partition, if it has this id.
    pub(super) fn session_with(
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
