//! What a layer remembers from one request to the next, so that a hit costs little more than a constant header.
//!
//! A request with the same credentials as the one before it gets the same session again, here and without further ado.
//! Everything else is decided in `admit`; this room only repeats a decision that was made there less than [`SPAN`] ago.
//! It is as good as that decision, because
//!
//! * whatever ends a session or makes it suspect has it [forgotten](Memos::forget) here before it goes on: who is told
//!   that it has ended, starts after that;
//! * what is remembered ends, by both clocks, with the shortest of `SPAN`, the time until its renewal is due, and the
//!   time for which the id may be sent;
//! * it is not in flight: only who else holds its [`Token`] is.
//!
//! Each thread has a place of its own, with its own copy of the header's value: threads that count one and the same
//! reference counter up and down are slower together than one of them alone.

use std::{
    cell::Cell,
    mem,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use http::{HeaderMap, HeaderValue};

use super::{
    identity::Identity,
    lease::{Lease, Token},
    partition::PartitionId,
    session::LiveSession,
};
use crate::{
    clock::Reading,
    headers::{self, API_KEY, Credentials, SESSION_ID},
};

/// For how long a decision is repeated before it is made anew. The cache learns as often that a session is in use.
pub(crate) const SPAN: Duration = Duration::from_secs(1);

/// What one layer remembers.
#[derive(Debug)]
pub(crate) struct Memory(OnceLock<Arc<Places>>);

/// One for each thread that is likely to run at once. More threads than that share some, which costs only time.
#[derive(Debug)]
struct Places(Box<[Place]>);

/// On cache lines that no other has a share in.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    memo: Option<Memo>,
    /// What was found last. It is remembered when it is found twice in a row.
    found: Option<PartitionId>,
}

/// Requests with these credentials get this session.
#[derive(Debug)]
struct Memo {
    credentials: Credentials<HeaderValue>,
    /// What is put in.
    id: HeaderValue,
    /// Where the request has none.
    key: Option<HeaderValue>,
    token: Arc<Token>,
    since: Reading,
    good_for: Duration,
    /// Requests that have got it and are not counted with the session yet.
    uses: u64,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Repeats the last decision, if it was about a request like this one and still holds: puts the headers in.
    #[inline]
    pub(crate) fn recall(
        &self,
        headers: &mut HeaderMap,
        now: impl FnOnce() -> Reading,
    ) -> Option<Lease> {
        let mut state = self.0.get()?.here();
        let memo = state.memo.as_mut()?;
        if memo.credentials.as_ref() != headers::credentials(headers)? || !memo.holds(now()) {
            return None;
        }
        memo.uses += 1;
        if let Some(key) = &memo.key {
            headers.insert(API_KEY, key.clone());
        }
        headers.insert(SESSION_ID, memo.id.clone());
        Some(Lease::by(memo.token.clone()))
    }

    /// Notes a decision, if it is made for the second time in a row. `identity` is what it was made by, and `key` is put
    /// in with the session.
    #[cold]
    pub(crate) fn remember(
        &self,
        lease: &Lease,
        credentials: Credentials<&HeaderValue>,
        identity: &Arc<Identity>,
        key: Option<&HeaderValue>,
    ) {
        let (session, core) = (lease.live(), lease.manager().core());
        let places = self.0.get_or_init(|| core.memos.open());
        let mut state = places.here();
        if let Some(memo) = &mut state.memo
            && Arc::ptr_eq(memo.token.session(), session)
            && memo.credentials.as_ref() == credentials
        {
            (memo.since, memo.good_for) = core.may_repeat(session);
            memo.settle();
            return;
        }
        let id = session.partition.id;
        // Looked at under the lock: what ends it from here on finds the memo.
        if state.found.replace(id) != Some(id) || !core.is_in_order(session) {
            return;
        }
        // After a change of the manager's key or defaults, what was decided before it is not for those who come later.
        if !Arc::ptr_eq(identity, &lease.manager().identity()) {
            return;
        }
        let (since, good_for) = core.may_repeat(session);
        session.in_flight.remembered(true);
        state.memo = Some(Memo {
            credentials: credentials.map(own),
            id: own(&session.header),
            key: key.map(own),
            token: lease.to_token(),
            since,
            good_for,
            uses: 0,
        });
    }
}

impl Drop for Memory {
    /// Its sessions are not held any longer, whoever else may still be looking at the places.
    fn drop(&mut self) {
        if let Some(places) = self.0.get() {
            places.clear(|_| true);
        }
    }
}

impl Places {
    /// The place of this thread.
    #[inline]
    fn here(&self) -> MutexGuard<'_, State> {
        self.0[number() & (self.0.len() - 1)].lock()
    }

    fn clear(&self, is_meant: impl Fn(&Token) -> bool) {
        for place in &self.0 {
            let mut state = place.lock();
            // Let go of under the lock: whoever drops the memory waits for it, and so has the last handle.
            state.memo.take_if(|memo| is_meant(&memo.token));
        }
    }
}

impl Place {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memo {
    #[inline]
    fn holds(&self, now: Reading) -> bool {
        // A clock that was set back makes it very old.
        let passed =
            |now: Duration, since: Duration| now.checked_sub(since).unwrap_or(Duration::MAX);
        passed(now.monotonic, self.since.monotonic) < self.good_for
            && passed(now.wall, self.since.wall) < self.good_for
    }

    /// Counts its uses with the session.
    fn settle(&mut self) {
        self.token.session().add_uses(mem::take(&mut self.uses));
    }
}

impl Drop for Memo {
    fn drop(&mut self) {
        self.settle();
        self.token.session().in_flight.remembered(false);
    }
}

/// All that is remembered of one manager's sessions.
#[derive(Debug, Default)]
pub(crate) struct Memos(Mutex<Vec<Weak<Places>>>);

impl Memos {
    fn open(&self) -> Arc<Places> {
        static COUNT: LazyLock<usize> = LazyLock::new(|| {
            let threads = thread::available_parallelism().map_or(1, usize::from);
            threads.next_power_of_two().clamp(2, 64)
        });
        let places = Arc::new(Places((0..*COUNT).map(|_| Place::default()).collect()));
        let mut all = self.all();
        all.retain(|places| places.strong_count() > 0);
        all.push(Arc::downgrade(&places));
        places
    }

    /// Nobody is given this session any more without its being looked at. Whoever has got it before is in flight from now
    /// on, and everybody can see that.
    pub(crate) fn forget(&self, session: &Arc<LiveSession>) {
        self.clear(|token| Arc::ptr_eq(token.session(), session));
    }

    /// The same for all of them.
    pub(crate) fn forget_all(&self) {
        self.clear(|_| true);
    }

    fn clear(&self, is_meant: impl Fn(&Token) -> bool) {
        for places in self.all().iter().filter_map(Weak::upgrade) {
            places.clear(&is_meant);
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<Places>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts up over the threads that ask.
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

/// A copy that shares no reference counter with the original.
fn own(value: &HeaderValue) -> HeaderValue {
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).expect("it was one before");
    // Also where the request's own key was not marked: it shows in `Debug` otherwise.
    copy.set_sensitive(true);
    // The first clone of a value allocates its counter: here, and not on a request.
    copy.clone()
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;
    use crate::{
        SessionDefaults, SessionLayer, SessionManager,
        api::{Chain, Transport},
        testing::{FakeSipher, TestClock, Tier},
    };

    fn manager() -> SessionManager {
        let sipher = FakeSipher::new();
        SessionManager::builder()
            .api_key(sipher.api_key(Tier::Pro))
            .transport(Transport::new(sipher))
            .clock(TestClock::new())
            .build()
            .unwrap()
    }

    async fn lease(manager: &SessionManager, identity: &Identity) -> Lease {
        let partition = identity.partition().unwrap().unwrap();
        manager.clone().lease(partition).await.unwrap()
    }

    /// Whether a decision that was made by this identity is repeated.
    fn repeats(memory: &Memory, lease: &Lease, identity: &Arc<Identity>) -> bool {
        for _ in 0..2 {
            memory.remember(lease, Credentials::None, identity, None);
        }
        let now = || lease.manager().core().recent();
        memory.recall(&mut HeaderMap::new(), now).is_some()
    }

    /// Others may use a session of the older defaults after a change; who says nothing may not be given it.
    #[tokio::test(start_paused = true)]
    async fn what_was_decided_before_a_change_is_not_remembered_after_it() {
        let (manager, memory) = (manager(), Memory::new());
        let older = manager.identity();
        assert!(repeats(&memory, &lease(&manager, &older).await, &older));
        let sui = SessionDefaults::new().chain(Chain::Sui);
        manager.replace_defaults(sui).await.unwrap();
        assert!(!repeats(&memory, &lease(&manager, &older).await, &older));
        let newer = manager.identity();
        assert!(repeats(&memory, &lease(&manager, &newer).await, &newer));
    }

    /// The last handle goes with the layer; nothing that it needs is locked by what the layer remembers.
    #[tokio::test(start_paused = true)]
    async fn the_last_handle_is_not_dropped_under_the_locks_of_a_memory() {
        let manager = manager();
        let (layer, identity) = (SessionLayer::new(manager.clone()), manager.identity());
        let lease = lease(&manager, &identity).await;
        assert!(repeats(layer.memory(), &lease, &identity));
        let (core, handles) = (manager.core().clone(), Arc::downgrade(&manager.0));
        drop((lease, manager));
        let ledger = core.ledger();
        let dropped = thread::spawn(move || drop(layer));
        // It has come so far that it waits for the ledger.
        while handles.strong_count() > 0 {
            thread::yield_now();
        }
        let (forgotten, is_forgotten) = mpsc::channel();
        let memos = core.memos.clone();
        thread::spawn(move || {
            memos.forget_all();
            forgotten.send(())
        });
        let waited = is_forgotten.recv_timeout(Duration::from_secs(10));
        drop(ledger);
        dropped.join().unwrap();
        assert!(waited.is_ok(), "whoever holds the ledger may forget");
    }
}
