//! Session ids that were in use here, so that they are recognised on requests: those of the manager's sessions, also after
//! their end, and those that its owner has got from [`SessionManager::api`](super::SessionManager::api).

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    life::Life,
    partition::{KeyId, PartitionId},
    session::LiveSession,
};
use crate::secret::keyed_hash;

/// How many ids are known. With one more the oldest is forgotten: a request that still bears it is then a stranger's. At 64
/// bytes or so each, a megabyte at most.
const MOST: usize = 1 << 14;

/// A keyed hash of an id, which is no secret. At 128 bits no two ids share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IdHash(u128);

impl IdHash {
    pub(crate) fn of(id: &str) -> Self {
        Self(keyed_hash("session id", id))
    }

    pub(crate) fn of_session(session: &LiveSession) -> Self {
        session.id.with_text(Self::of)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Known {
    /// The manager's, of this partition. It may have ended.
    Session(PartitionId),
    /// The owner's, of this API key.
    ByHand { key: KeyId, life: Life },
}

#[derive(Debug, Default)]
pub(crate) struct KnownIds(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    known: HashMap<IdHash, Known>,
    /// The oldest first.
    order: VecDeque<IdHash>,
}

impl KnownIds {
    /// The manager uses this session from now on.
    pub(crate) fn note(&self, id: IdHash, partition: PartitionId) {
        self.book().put(id, Known::Session(partition));
    }

    /// The server has this session of the owner's. One that the manager has made stays the manager's.
    pub(crate) fn note_by_hand(&self, id: IdHash, key: KeyId, life: Life) {
        let mut book = self.book();
        if !matches!(book.known.get(&id), Some(Known::Session(_))) {
            book.put(id, Known::ByHand { key, life });
        }
    }

    /// The server has it no more. It is still known of the manager's own that they were.
    pub(crate) fn deleted(&self, id: IdHash) {
        let mut book = self.book();
        if matches!(book.known.get(&id), Some(Known::ByHand { .. })) {
            book.known.remove(&id);
            book.order.retain(|known| *known != id);
        }
    }

    /// The server has forgotten what was made by hand. What is asked for again is known again.
    pub(crate) fn forget_by_hand(&self) {
        let mut book = self.book();
        let Book { known, order } = &mut *book;
        known.retain(|_, known| !matches!(known, Known::ByHand { .. }));
        order.retain(|id| known.contains_key(id));
    }

    pub(crate) fn get(&self, id: IdHash) -> Option<Known> {
        self.book().known.get(&id).copied()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn put(&mut self, id: IdHash, known: Known) {
        if self.known.insert(id, known).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{api::SessionDefaults, clock::Reading, manager::partition::HashedDefaults};

    fn key() -> KeyId {
        KeyId::of("k")
    }

    fn partition() -> PartitionId {
        HashedDefaults::new(SessionDefaults::new()).with_key(key())
    }

    fn life() -> Life {
        let now = Reading {
            monotonic: Duration::ZERO,
            wall: Duration::ZERO,
        };
        Life::new(now, Duration::from_secs(60), 0.0)
    }

    #[test]
    fn the_oldest_is_forgotten_where_there_is_no_room() {
        let ids = KnownIds::default();
        let id = |n: usize| IdHash::of(&n.to_string());
        for n in 0..=MOST {
            ids.note(id(n), partition());
            ids.note(id(n), partition()); // noted again, it takes no more room
        }
        assert!(ids.get(id(0)).is_none());
        assert!((1..=MOST).all(|n| ids.get(id(n)).is_some()));
        let book = ids.book();
        assert_eq!((book.known.len(), book.order.len()), (MOST, MOST));
    }

    #[test]
    fn what_was_fetched_by_hand_stays_the_managers_and_what_was_deleted_is_the_owners_no_more() {
        let ids = KnownIds::default();
        let [ours, owners] = ["a", "b"].map(IdHash::of);
        ids.note(ours, partition());
        for id in [ours, owners] {
            ids.note_by_hand(id, key(), life());
        }
        assert!(matches!(ids.get(ours), Some(Known::Session(_))));
        assert!(matches!(ids.get(owners), Some(Known::ByHand { .. })));
        for id in [ours, owners] {
            ids.deleted(id);
        }
        assert!(matches!(ids.get(ours), Some(Known::Session(_))));
        assert!(ids.get(owners).is_none());
        assert_eq!(ids.book().order, [ours]);
    }
}
