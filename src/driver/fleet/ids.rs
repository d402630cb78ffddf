//! Remembers which record each session id belongs to. Example: the user deletes a session through the API client of the
//! manager. The whole fleet has to stop using the session, even if this process does not use it, or is just adopting
//! it.

use std::{collections::HashMap, sync::Arc};

use super::{
    Fleet, Inner,
    seen::{REMEMBERED, TIDY_AT},
};
use crate::{
    api::SessionId,
    clock::{Clock, Reading},
    driver::core::Core,
    lock::Lock,
    secret::keyed_hash,
    store::Slot,
};

/// The records of sessions, by a keyed hash of the session's id. The hash is no secret.
#[derive(Debug)]
pub(super) struct Ids {
    clock: Arc<dyn Clock>,
    known: Lock<HashMap<u128, Known>>,
}

#[derive(Debug)]
struct Known {
    place: Option<(Slot, u64)>,
    /// Whether the user deletes or changes the session by hand.
    is_ended: bool,
    at: Reading,
}

impl Ids {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let known = Lock::default();
        Self { clock, known }
    }

    /// Notes the record of a session. Returns whether the user has deleted or changed the session before that.
    pub(super) fn note(&self, id: &SessionId, place: (Slot, u64)) -> bool {
        self.with(id, |known| {
            known.place = Some(place);
            known.is_ended
        })
    }

    /// Notes that the user deletes or changes a session. Returns the place of its record, if that is known.
    fn end(&self, id: &SessionId) -> Option<(Slot, u64)> {
        self.with(id, |known| {
            known.is_ended = true;
            known.place
        })
    }

    fn with<T>(&self, id: &SessionId, change: impl FnOnce(&mut Known) -> T) -> T {
        let (hash, now) = (keyed_hash("session id", id.as_str()), self.clock.now());
        let mut all = self.known.lock();
        if all.len() >= TIDY_AT && all.len().is_power_of_two() {
            all.retain(|_, known| now.since(known.at) < REMEMBERED);
        }
        change(all.entry(hash).or_insert(Known {
            place: None,
            is_ended: false,
            at: now,
        }))
    }
}

impl Fleet {
    /// Called when the user deletes or changes a session by hand: no process of the fleet may use it any more.
    pub(crate) fn ended_by_hand(&self, core: &Arc<Core>, id: &SessionId) {
        if let Some(inner) = self.inner()
            && let Some((slot, generation)) = inner.ids.end(id)
        {
            inner.revoke(slot, generation);
            self.start_heartbeat(core);
        }
    }
}

impl Inner {
    /// Revokes a generation. This process stops using it now. The others stop once the store has been told.
    pub(super) fn revoke(&self, slot: Slot, generation: u64) {
        self.seen.note(slot, generation, true);
        let now = self.ids.clock.now().monotonic;
        self.revoked.note(slot, generation, now);
        self.wake.notify_one();
    }
}
