//! A store within one process. It is for tests, and the simplest implementation of a store.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, MutexGuard},
    time::Duration,
};

use super::{
    Announcer, Changes, Claim, Found, Kept, Left, Member, Record, SessionStore, Slot, StoreFuture,
};
use crate::{
    clock::{Clock, SystemClock, millis},
    lock::Lock,
};

/// Keeps the sessions of several managers of one process.
///
/// Clones share everything. The store never removes the entry of an API key and its defaults, only the expired sessions
/// in it. So do not use it for many API keys or defaults.
///
/// ```
/// use sipher_session::{SessionManager, store::MemoryStore};
///
/// let store = MemoryStore::default();
/// let sessions = SessionManager::builder().api_key("sk_pro_1234").store(store.clone()).build()?;
/// # let _ = sessions;
/// # Ok::<(), sipher_session::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Box<dyn Clock>,
    places: Lock<HashMap<Slot, Place>>,
    announcer: Announcer,
}

/// Everything that is known of one slot. Times are the store's.
#[derive(Debug, Default)]
struct Place {
    record: Option<Stored>,
    claim: Option<Claimed>,
    /// The highest generation that was published or revoked.
    highest: u64,
    /// The highest generation that was granted, and until when it is remembered.
    granted: Option<(u64, Duration)>,
    revoked: u64,
    users: HashMap<u64, Users>,
}

#[derive(Debug)]
struct Stored {
    record: Record,
    until: Duration,
}

#[derive(Debug)]
struct Claimed {
    /// `None` during the pause after a release, when no member may have the claim.
    by: Option<(Member, u64)>,
    until: Duration,
}

/// The members that use one generation.
#[derive(Debug, Default)]
struct Users {
    /// All members that have not left. A lease that ends removes no member, because the clock may have stepped past its
    /// end.
    members: HashSet<Member>,
    /// Whether no member that ever used the generation was forgotten.
    is_whole: bool,
    /// Until when this entry is kept: until the last lease and the record have ended.
    kept_until: Duration,
}

impl MemoryStore {
    /// Creates an empty store that uses this clock's wall time.
    pub fn new(clock: impl Clock) -> Self {
        Self(Arc::new(Shared {
            clock: Box::new(clock),
            places: Lock::default(),
            announcer: Announcer::new(),
        }))
    }

    /// Removes everything, like a flush of a server.
    pub fn clear(&self) {
        self.0.places().clear();
    }

    fn step<T: Send + 'static>(
        &self,
        slot: Slot,
        step: impl FnOnce(&mut Place, Duration) -> T,
    ) -> StoreFuture<'_, T> {
        let now = self.0.clock.now().wall;
        let mut places = self.0.places();
        let place = places.entry(slot).or_default();
        place.forget_what_ended(now);
        let outcome = step(place, now);
        Box::pin(async { Ok(outcome) })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(SystemClock::new())
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, HashMap<Slot, Place>> {
        self.places.lock()
    }
}

impl Place {
    fn forget_what_ended(&mut self, now: Duration) {
        self.record.take_if(|stored| stored.until <= now);
        self.claim.take_if(|claimed| claimed.until <= now);
        self.granted.take_if(|(_, until)| *until <= now);
        self.users.retain(|_, users| users.kept_until > now);
    }

    fn found(&self, now: Duration) -> Found {
        let record = self.record.as_ref().map(|stored| Record {
            left: stored.until.saturating_sub(now),
            ..stored.record.clone()
        });
        Found {
            record,
            is_certain: true,
            now,
        }
    }

    fn generation(&self) -> Option<u64> {
        Some(self.record.as_ref()?.record.generation)
    }

    fn has(&self, record: &Record) -> bool {
        let current = self.record.as_ref().map(|stored| &stored.record);
        current.is_some_and(|current| {
            (current.generation, &current.sealed) == (record.generation, &record.sealed)
        })
    }

    fn revoke(&mut self, generation: u64) {
        self.revoked = self.revoked.max(generation);
        self.highest = self.highest.max(generation);
        self.record
            .take_if(|stored| stored.record.generation <= generation);
    }

    fn put(&mut self, record: Record, now: Duration) {
        let until = now.saturating_add(record.left);
        self.record = Some(Stored { record, until });
    }
}

impl Users {
    fn add(&mut self, member: Member, until: Duration, record_until: Duration) {
        self.members.insert(member);
        self.kept_until = self.kept_until.max(until).max(record_until);
    }
}

impl SessionStore for MemoryStore {
    fn get(&self, slot: Slot) -> StoreFuture<'_, Found> {
        self.step(slot, |place, now| place.found(now))
    }

    fn claim(
        &self,
        slot: Slot,
        member: Member,
        after: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Claim> {
        self.step(slot, |place, now| {
            if place.generation() > Some(after) {
                return Claim::Published(place.found(now));
            }
            let by_another = |claimed: &&Claimed| claimed.by.is_none_or(|(by, _)| by != member);
            if let Some(claimed) = place.claim.as_ref().filter(by_another) {
                let left = claimed.until.saturating_sub(now);
                return Claim::Held { left };
            }
            // At least the current time. So the generation is higher than those that were granted before `clear`.
            let granted = place.granted.map_or(0, |(generation, _)| generation);
            let highest = place.highest.max(granted).max(after);
            let generation = highest.saturating_add(1).max(millis(now));
            let until = now.saturating_add(lease);
            place.claim = Some(Claimed {
                by: Some((member, generation)),
                until,
            });
            // From this moment on, the current time is above the generation.
            let is_past = Duration::from_millis(generation.saturating_add(1));
            place.granted = Some((generation, until.max(is_past)));
            Claim::Granted { generation, now }
        })
    }

    fn publish(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, bool> {
        let published = self.step(slot, |place, now| {
            let generation = record.generation;
            let claimed = place.claim.as_ref().and_then(|claimed| claimed.by);
            let is_granted = claimed == Some((member, generation));
            if is_granted {
                place.claim = None;
            } else if !place.has(&record) {
                return false;
            }
            place.highest = place.highest.max(generation);
            let is_whole = is_granted && !place.users.contains_key(&generation);
            let users = place.users.entry(generation).or_default();
            users.is_whole |= is_whole;
            users.add(
                member,
                now.saturating_add(lease),
                now.saturating_add(record.left),
            );
            if !place.has(&record) {
                place.put(record, now);
            }
            true
        });
        self.0.announcer.announce(Some(slot));
        published
    }

    fn release(
        &self,
        slot: Slot,
        member: Member,
        generation: u64,
        pause: Duration,
    ) -> StoreFuture<'_, ()> {
        let released = self.step(slot, |place, now| {
            let is_this = |claimed: &mut Claimed| claimed.by == Some((member, generation));
            if place.claim.take_if(is_this).is_some() && !pause.is_zero() {
                let until = now.saturating_add(pause);
                place.claim = Some(Claimed { by: None, until });
            }
        });
        self.0.announcer.announce(Some(slot));
        released
    }

    fn keep(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, Kept> {
        self.step(slot, |place, now| {
            let generation = record.generation;
            if generation <= place.revoked {
                return Kept::Revoked;
            }
            if place.generation() == Some(generation) && !place.has(&record) {
                return Kept::Newer(place.found(now));
            }
            let until = now.saturating_add(lease);
            // If there is no entry, the members that used this generation were forgotten.
            let users = place.users.entry(generation).or_default();
            users.add(member, until, now.saturating_add(record.left));
            if place.generation() > Some(generation) {
                return Kept::Newer(place.found(now));
            }
            if place.generation() < Some(generation) {
                if record.left.is_zero() {
                    return Kept::Gone;
                }
                place.highest = place.highest.max(generation);
                place.put(record, now);
            }
            Kept::Current
        })
    }

    fn leave(&self, slot: Slot, member: Member, generation: u64) -> StoreFuture<'_, Left> {
        let left = self.step(slot, |place, _| {
            let Some(users) = place.users.get_mut(&generation) else {
                return Left::Others;
            };
            let was_there = users.members.remove(&member);
            if users.members.is_empty() && !users.is_whole {
                // An empty set of members is removed, as in Redis.
                place.users.remove(&generation);
                return Left::Others;
            }
            if !(was_there && users.members.is_empty() && users.is_whole) {
                return Left::Others;
            }
            place.revoke(generation);
            Left::Last
        });
        self.0.announcer.announce(Some(slot));
        left
    }

    fn revoke(&self, slot: Slot, generation: u64) -> StoreFuture<'_, ()> {
        let revoked = self.step(slot, |place, _| {
            if generation > place.revoked {
                place.claim = None;
            }
            place.revoke(generation);
        });
        self.0.announcer.announce(Some(slot));
        revoked
    }

    fn changes(&self) -> Changes {
        self.0.announcer.subscribe()
    }
}
