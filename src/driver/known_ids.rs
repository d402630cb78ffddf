//! Remembers which session ids this process has used, so that it recognises them on requests. They are the ids of the
//! manager's sessions, also of ended ones, and those that the user got from
//! [`SessionManager::api`](crate::front::manager::SessionManager::api).

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    hot::session::LiveSession,
    lock::Lock,
    model::{
        life::Life,
        partition::{KeyId, PartitionId},
    },
    secret::keyed_hash,
};

/// How many ids are remembered. One more, and the oldest is forgotten. A request that still carries a forgotten id is
/// treated as if another process had created that session. An id takes about 64 bytes, so this is about a megabyte at
/// most.
const MOST: usize = 1 << 14;

/// Numbers the notes of all managers of this process. Example: a manager finds that the server has forgotten sessions.
/// Notes with a lower number are then outdated, also those of other managers.
static NOTES: AtomicU64 = AtomicU64::new(1);

/// A keyed hash of an id. The hash is no secret. With 128 bits, no two ids share one.
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
    /// A session of the manager, in this partition. It may have ended.
    Session(PartitionId),
    /// A session that the user created or fetched, for this API key.
    ByHand {
        key: KeyId,
        life: Life,
        /// The note's number, which counts up over all notes of this process.
        noted: u64,
    },
    /// A session that is gone, or may be. `at` is when the call that deletes it began, or when it was found gone, in
    /// monotonic time.
    Ended { at: Duration },
}

#[derive(Debug, Default)]
pub(crate) struct KnownIds(Lock<Book>);

#[derive(Debug, Default)]
struct Book {
    known: HashMap<IdHash, Known>,
    /// The oldest id comes first.
    order: VecDeque<IdHash>,
    forgot_at: u64,
}

impl KnownIds {
    /// Notes that the manager uses this session from now on.
    pub(crate) fn note(&self, id: IdHash, partition: PartitionId) {
        self.book().put(id, Known::Session(partition));
    }

    /// Notes that the server has a session of the user. The server said so to a call that was sent at `asked`, in
    /// monotonic time. A session of the manager stays the manager's. A session whose deletion began after `asked`
    /// stays gone.
    pub(crate) fn note_by_hand(&self, id: IdHash, (key, life): (KeyId, Life), asked: Duration) {
        let mut book = self.book();
        let known = book.known.get(&id);
        let has_ended = |known: &Known| match known {
            Known::Session(_) => true,
            Known::Ended { at } => *at >= asked,
            Known::ByHand { .. } => false,
        };
        if !known.is_some_and(has_ended) {
            let noted = NOTES.fetch_add(1, Ordering::Relaxed);
            book.put(id, Known::ByHand { key, life, noted });
        }
    }

    /// Notes that the user deletes a session at `now`, in monotonic time. A session of the manager stays noted as such.
    /// Returns the note that there was before, if the user had created or fetched the session.
    pub(crate) fn ends(&self, id: IdHash, now: Duration) -> Option<Known> {
        let mut book = self.book();
        let before = book.known.get(&id).copied();
        if !matches!(before, Some(Known::Session(_))) {
            book.put(id, Known::Ended { at: now });
        }
        before.filter(|known| matches!(known, Known::ByHand { .. }))
    }

    /// Restores what was known `before`, because the delete that began at `began` was not carried out.
    pub(crate) fn goes_on(&self, id: IdHash, before: Known, began: Duration) {
        let mut book = self.book();
        let is_that = |known: &Known| matches!(known, Known::Ended { at } if *at == began);
        if book.known.get(&id).is_some_and(is_that) {
            book.put(id, before);
        }
    }

    /// Notes that the server does not have a session for this key, at `now`, in monotonic time.
    pub(crate) fn gone(&self, id: IdHash, key: KeyId, now: Duration) {
        let mut book = self.book();
        let is_its = |known: &Known| matches!(known, Known::ByHand { key: of, .. } if *of == key);
        if book.known.get(&id).is_some_and(is_its) {
            book.put(id, Known::Ended { at: now });
        }
    }

    /// Forgets the sessions of the user after the server restarted or lost sessions: they may be lost, too. A session
    /// that the user fetches again is noted again.
    pub(crate) fn forget_by_hand(&self) {
        let mut book = self.book();
        book.forgot_at = NOTES.fetch_add(1, Ordering::Relaxed);
        let Book { known, order, .. } = &mut *book;
        known.retain(|_, known| !matches!(known, Known::ByHand { .. }));
        order.retain(|id| known.contains_key(id));
    }

    /// Returns the number of the last [`forget_by_hand`](Self::forget_by_hand). Notes of other managers with a lower
    /// number may be outdated as well.
    pub(crate) fn forgot_at(&self) -> u64 {
        self.book().forgot_at
    }

    pub(crate) fn get(&self, id: IdHash) -> Option<Known> {
        self.book().known.get(&id).copied()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock()
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
    use super::*;
    use crate::{api::SessionDefaults, clock::Reading, model::partition::HashedDefaults};

    fn key() -> KeyId {
        KeyId::of("k")
    }

    fn partition() -> PartitionId {
        HashedDefaults::new(SessionDefaults::new()).with_key(key())
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn is_owners(ids: &KnownIds, id: IdHash) -> bool {
        matches!(ids.get(id), Some(Known::ByHand { .. }))
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
            ids.note(id(n), partition()); // noting it again takes no more room
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
            ids.note_by_hand(id, (key(), life()), at(0));
        }
        assert!(matches!(ids.get(ours), Some(Known::Session(_))));
        assert!(is_owners(&ids, owners));
        for id in [ours, owners] {
            ids.ends(id, at(1));
        }
        assert!(matches!(ids.get(ours), Some(Known::Session(_))));
        assert!(!is_owners(&ids, owners));
    }

    #[test]
    fn an_answer_of_before_a_delete_brings_nothing_back_and_one_of_after_it_does() {
        let ids = KnownIds::default();
        let id = IdHash::of("a");
        ids.ends(id, at(5));
        for (asked, is_known) in [(4, false), (5, false), (6, true)] {
            ids.note_by_hand(id, (key(), life()), at(asked));
            assert_eq!(is_owners(&ids, id), is_known, "asked at {asked}");
        }
    }

    #[test]
    fn only_the_last_delete_that_was_not_carried_out_gives_a_session_back() {
        let ids = KnownIds::default();
        let id = IdHash::of("a");
        ids.note_by_hand(id, (key(), life()), at(0));
        let before = ids.ends(id, at(1)).unwrap();
        assert!(ids.ends(id, at(2)).is_none());
        ids.goes_on(id, before, at(1));
        assert!(!is_owners(&ids, id), "another is under way");
        ids.goes_on(id, before, at(2));
        assert!(is_owners(&ids, id));
    }

    #[test]
    fn what_another_key_does_not_find_is_still_there() {
        let ids = KnownIds::default();
        let id = IdHash::of("a");
        ids.note_by_hand(id, (key(), life()), at(0));
        ids.gone(id, KeyId::of("another"), at(1));
        assert!(is_owners(&ids, id));
        ids.gone(id, key(), at(1));
        assert!(!is_owners(&ids, id));
    }
}
