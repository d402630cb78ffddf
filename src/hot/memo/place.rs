//! Where memos are kept. A memo is one remembered decision: requests with these credentials get this session. Each
//! thread has a place of its own. The place holds a first memo, which is all that most layers need, and more memos for
//! other API keys.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt::Debug,
    hash::BuildHasherDefault,
    sync::{
        Arc, LazyLock, MutexGuard, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    Memo,
    hash::{AsItIs, hash},
};
use crate::{headers::Credentials, hot::session::LiveSession, lock::Lock};

/// How many API keys one place remembers at most. Each takes half a kilobyte. With one key more, the place forgets all
/// of them except the key of its first memo.
const MOST: usize = 1 << 14;

/// The places of one layer, about one for each CPU. If there are more threads, some of them share a place, and may wait
/// for each other.
#[derive(Debug)]
pub(super) struct Places<T>(Box<[Place<T>]>);

/// Aligned so that no two places share a cache line. Otherwise threads would slow each other down.
#[derive(Debug)]
#[repr(align(128))]
struct Place<T>(Lock<State<T>>);

#[derive(Debug)]
pub(super) struct State<T> {
    /// The first memo. It is compared before anything is hashed.
    first: Option<Memo<T>>,
    /// The memos of other keys, by the hash of their credentials.
    others: HashMap<u64, Memo<T>, BuildHasherDefault<AsItIs>>,
    /// Hashes of credentials that were seen once. A decision is remembered when its credentials are seen again.
    found: HashSet<u64, BuildHasherDefault<AsItIs>>,
}

impl<T> Places<T> {
    /// Locks the place of this thread.
    #[inline]
    pub(super) fn here(&self) -> MutexGuard<'_, State<T>> {
        self.0[number() & (self.0.len() - 1)].lock()
    }

    pub(super) fn clear(&self) {
        for place in &self.0 {
            let mut state = place.lock();
            // The memos are dropped under the lock, and each memo's token holds a handle of the manager. It is never
            // the last handle, whose drop would take other locks: whoever drops the `Memory` waits for this lock and
            // still holds a handle.
            state.first = None;
            state.begin_anew();
        }
    }
}

impl<T: Debug + Send + Sync + 'static> Places<T> {
    /// Returns where this thread keeps the memo for these credentials.
    pub(super) fn home(self: &Arc<Self>, credentials: Credentials<'_>) -> Home {
        let places: Arc<dyn Forget> = self.clone();
        Home {
            places: Arc::downgrade(&places),
            place: number() & (self.0.len() - 1),
            hash: hash(credentials),
        }
    }
}

/// The places of one layer, whatever the type of its tokens.
trait Forget: Debug + Send + Sync {
    fn forget(&self, place: usize, hash: u64, session: &Arc<LiveSession>);
    fn clear(&self);
}

impl<T: Debug + Send + Sync> Forget for Places<T> {
    fn forget(&self, place: usize, hash: u64, session: &Arc<LiveSession>) {
        self.0[place].lock().forget(hash, session);
    }

    fn clear(&self) {
        self.clear();
    }
}

impl<T> Default for Place<T> {
    fn default() -> Self {
        Self(Lock::new(State::default()))
    }
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self {
            first: None,
            others: HashMap::default(),
            found: HashSet::default(),
        }
    }
}

impl<T> Place<T> {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock()
    }
}

impl<T> State<T> {
    /// Returns the memo for these credentials, even if it has expired.
    #[allow(clippy::inline_always)] // runs for every request
    #[inline(always)]
    pub(super) fn memo(&mut self, credentials: Credentials<'_>) -> Option<&mut Memo<T>> {
        let first = self.first.as_ref()?;
        if first.is_about(credentials) {
            return self.first.as_mut();
        }
        let other = self.others.get_mut(&hash(credentials));
        other.filter(|other| other.is_about(credentials))
    }

    /// Returns whether these credentials were seen before, and notes them.
    pub(super) fn was_found(&mut self, credentials: Credentials<'_>) -> bool {
        let is_new = self.found.insert(hash(credentials));
        if is_new && self.found.len() > MOST {
            self.begin_anew();
        }
        !is_new
    }

    pub(super) fn put(&mut self, credentials: Credentials<'_>, memo: Memo<T>) {
        let is_first = self
            .first
            .as_ref()
            .is_none_or(|first| first.is_about(credentials) || !first.holds(memo.since));
        let hash = hash(credentials);
        if is_first {
            self.others.remove(&hash);
            self.first = Some(memo);
        } else {
            self.others.insert(hash, memo);
        }
    }

    fn begin_anew(&mut self) {
        self.others = HashMap::default();
        self.found = HashSet::default();
    }

    fn forget(&mut self, hash: u64, session: &Arc<LiveSession>) {
        let is_meant = |memo: &Memo<T>| Arc::ptr_eq(&memo.session, session);
        self.first.take_if(|memo| is_meant(memo));
        if let Entry::Occupied(other) = self.others.entry(hash)
            && is_meant(other.get())
        {
            other.remove();
        }
    }
}

/// Where one memo is kept.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    places: Weak<dyn Forget>,
    place: usize,
    hash: u64,
}

/// Removes all memos of this session. From now on, no request gets the session without a new decision. Requests that
/// got the session from a memo earlier are counted as in flight, and all threads see that count.
pub(crate) fn forget(session: &Arc<LiveSession>) {
    for home in session.in_flight.homes() {
        if let Some(places) = home.places.upgrade() {
            places.forget(home.place, home.hash, session);
        }
    }
}

/// The places of all layers of one manager.
#[derive(Debug, Default)]
pub(crate) struct Memos(Lock<Vec<Weak<dyn Forget>>>);

impl Memos {
    pub(super) fn open<T: Debug + Send + Sync + 'static>(&self) -> Arc<Places<T>> {
        static COUNT: LazyLock<usize> = LazyLock::new(|| {
            let threads = thread::available_parallelism().map_or(1, usize::from);
            threads.next_power_of_two().clamp(2, 64)
        });
        let places = Arc::new(Places((0..*COUNT).map(|_| Place::default()).collect()));
        let mut all = self.all();
        all.retain(|places| places.strong_count() > 0);
        let memos: Arc<dyn Forget> = places.clone();
        all.push(Arc::downgrade(&memos));
        places
    }

    /// Forgets all memos of all layers.
    pub(crate) fn forget_all(&self) {
        for places in self.all().iter().filter_map(Weak::upgrade) {
            places.clear();
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<dyn Forget>>> {
        self.0.lock()
    }
}

/// Returns the number of this thread. Threads are numbered in the order in which they first ask.
#[inline]
fn number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static NUMBER: Cell<Option<usize>> = const { Cell::new(None) } }
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            let new = NEXT.fetch_add(1, Ordering::Relaxed);
            number.set(Some(new));
            new
        })
    })
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use http::HeaderValue;

    use super::*;
    use crate::headers::KeyHeader;

    #[test]
    fn a_place_knows_as_many_keys_as_it_may_and_begins_anew_with_one_more() {
        let mut state = State::<()>::default();
        let mut is_known = |key: usize| {
            let value = &HeaderValue::from(key);
            let header = KeyHeader::ApiKey;
            state.was_found(Credentials { header, value })
        };
        assert!((0..MOST).all(|key| !is_known(key)), "none twice");
        assert!((0..MOST).all(&mut is_known));
        assert!(!is_known(MOST));
        assert!((0..MOST).all(|key| !is_known(key)));
    }

    #[test]
    fn the_places_of_layers_that_are_gone_are_not_kept() {
        let memos = Memos::default();
        let kept = memos.open::<()>();
        for _ in 0..10 {
            drop(memos.open::<()>());
        }
        let last = memos.open::<()>();
        let all: Vec<_> = memos.all().iter().filter_map(Weak::upgrade).collect();
        assert_eq!(memos.all().len(), 2);
        let is = |one: &Arc<dyn Forget>, other| ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other));
        assert!(is(&all[0], &kept) && is(&all[1], &last));
    }
}
