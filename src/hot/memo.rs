//! What a layer remembers from one request to the next, so that a hit costs little more than a constant header.
//!
//! A request with the same credentials as one before it gets the same session again, here and without further ado.
//! Everything else is decided in `admit`; this room only repeats a decision that was made there less than [`SPAN`] ago.
//! It is as good as that decision, because
//!
//! * whatever ends a session or makes it suspect has it [forgotten](forget) here before it goes on: who is told
//!   that it has ended, starts after that;
//! * what is remembered ends, by both clocks, with the shortest of `SPAN`, the time until its renewal is due, and the
//!   time for which the id may be sent;
//! * it is not in flight: only who else holds its [`Token`] is.
//!
//! Each thread has a place of its own, with its own copy of the header's value: threads that count one and the same
//! reference counter up and down are slower together than one of them alone.

mod hash;
mod place;

use std::{
    mem,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, HeaderValue};
use secrecy::zeroize::Zeroizing;

use self::place::Places;
pub(crate) use self::place::{Home, Memos, forget};
use super::session::LiveSession;
use crate::{
    clock::{Span, Ticks},
    front::{in_flight::InFlightRequest, lease::Lease, token::Token},
    headers::{self, API_KEY, Credentials, KeyHeader, SESSION_ID},
    model::identity::Identity,
};

/// For how long a decision is repeated before it is made anew. The cache learns as often that a session is in use, and the
/// answer to the request that makes it anew is looked at.
pub(crate) const SPAN: Duration = Duration::from_millis(250);

/// What one layer remembers.
#[derive(Debug)]
pub(crate) struct Memory(OnceLock<Arc<Places>>);

/// Requests with these credentials get this session.
#[derive(Debug)]
struct Memo {
    header: KeyHeader,
    credentials: Zeroizing<Box<[u8]>>,
    /// What is put in.
    id: HeaderValue,
    /// Where the request has none.
    key: Option<HeaderValue>,
    token: Arc<Token>,
    /// What the token bears.
    session: Arc<LiveSession>,
    since: Ticks,
    /// In nanoseconds.
    good_for: u64,
    /// Requests that have got it and are not counted with the session yet.
    uses: u64,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Repeats the last decision about a request like this one, if it still holds: puts the headers in.
    #[allow(clippy::inline_always)] // at two places, and the first one is on the way of nearly every request
    #[inline(always)]
    pub(crate) fn recall(
        &self,
        headers: &mut HeaderMap,
        now: impl FnOnce() -> Ticks,
    ) -> Option<InFlightRequest> {
        let mut state = self.0.get()?.here();
        let memo = state.memo(headers::credentials(headers)?)?;
        if !memo.holds(now()) {
            return None;
        }
        // Where there is no room for it, the longer way says so.
        if let Some(key) = &memo.key {
            headers.try_insert(API_KEY, key.clone()).ok()?;
        }
        headers.try_insert(SESSION_ID, memo.id.clone()).ok()?;
        memo.uses += 1;
        Some(InFlightRequest::by(memo.token.clone()))
    }

    /// Notes a decision, if it is not made for the first time. `identity` is what it was made by, and `key` is put in with
    /// the session.
    #[cold]
    pub(crate) fn remember(
        &self,
        lease: &Lease,
        credentials: Credentials<'_>,
        identity: &Arc<Identity>,
        key: Option<&HeaderValue>,
    ) {
        let (session, manager) = (lease.live(), lease.manager());
        let core = manager.core();
        let places = self.0.get_or_init(|| core.memos.open());
        let mut state = places.here();
        if let Some(memo) = state.memo(credentials)
            && Arc::ptr_eq(&memo.session, session)
        {
            memo.renew(core.may_repeat(session));
            return;
        }
        if !state.was_found(credentials) {
            return;
        }
        let now = core.now();
        let young = Span::from(now, session.life.left(now));
        let token = Token::remembered(session, manager, places.home(credentials), young);
        // Looked at under the lock, and once its home is known: what ends it from here on finds the memo.
        if !core.is_in_order(session) {
            return;
        }
        // After a change of the manager's key or defaults, what was decided before it is not for those who come later.
        if !Arc::ptr_eq(identity, &manager.identity()) {
            return;
        }
        session.in_flight.remembered(true);
        let (since, good_for) = core.may_repeat(session);
        let memo = Memo {
            header: credentials.header,
            credentials: Zeroizing::new(credentials.value.as_bytes().into()),
            id: counted(session.id.to_header()),
            key: key.map(own),
            token,
            session: session.clone(),
            since,
            good_for: nanos(good_for),
            uses: 0,
        };
        state.put(credentials, memo);
    }
}

impl Drop for Memory {
    /// Its sessions are not held any longer, whoever else may still be looking at the places.
    fn drop(&mut self) {
        if let Some(places) = self.0.get() {
            places.clear();
        }
    }
}

impl Memo {
    #[inline]
    fn is_about(&self, credentials: Credentials<'_>) -> bool {
        self.header == credentials.header && **self.credentials == *credentials.value.as_bytes()
    }

    #[inline]
    fn holds(&self, now: Ticks) -> bool {
        // A clock that was set back makes it very old.
        now.are_within(self.good_for, self.since)
    }

    fn renew(&mut self, (since, good_for): (Ticks, Duration)) {
        self.since = since;
        self.good_for = nanos(good_for);
        self.settle();
    }

    /// Counts its uses with the session.
    fn settle(&mut self) {
        self.session.add_uses(mem::take(&mut self.uses));
    }
}

impl Drop for Memo {
    fn drop(&mut self) {
        self.settle();
        self.session.in_flight.remembered(false);
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A copy that shares no reference counter with the original.
fn own(value: &HeaderValue) -> HeaderValue {
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).expect("it was one before");
    // Also where the request's own key was not marked: it shows in `Debug` otherwise.
    copy.set_sensitive(true);
    counted(copy)
}

/// The first clone of a value allocates its counter: here, and not on a request.
#[allow(clippy::needless_pass_by_value)] // the clone is the only one there is
fn counted(value: HeaderValue) -> HeaderValue {
    value.clone()
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
            memory.remember(lease, Credentials::NONE, identity, None);
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

    /// A session may end, or become suspect, after it was given to a request and before that is noted.
    #[tokio::test(start_paused = true)]
    async fn a_session_that_has_ended_or_is_suspect_meanwhile_is_not_remembered() {
        let (manager, memory) = (manager(), Memory::new());
        let identity = manager.identity();
        let suspect: fn(&SessionManager) = |manager| {
            manager.core().suspect(true);
        };
        let invalidate: fn(&SessionManager) = |manager| assert!(manager.invalidate(1));
        for end in [suspect, invalidate] {
            let lease = lease(&manager, &identity).await;
            end(&manager);
            assert!(!repeats(&memory, &lease, &identity));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_is_repeated_for_a_second_and_then_made_anew() {
        let (manager, memory) = (manager(), Memory::new());
        let identity = manager.identity();
        let lease = lease(&manager, &identity).await;
        let is_repeated = || {
            let now = || manager.core().recent();
            memory.recall(&mut HeaderMap::new(), now).is_some()
        };
        assert!(repeats(&memory, &lease, &identity));
        for _ in 0..3 {
            tokio::time::advance(SPAN.mul_f64(0.8)).await;
            assert!(is_repeated());
            tokio::time::advance(SPAN.mul_f64(0.3)).await;
            assert!(!is_repeated());
            memory.remember(&lease, Credentials::NONE, &identity, None);
            assert!(is_repeated());
        }
    }

    /// A session may be remembered and forgotten a thousand times.
    #[tokio::test(start_paused = true)]
    async fn a_session_keeps_no_homes_of_what_is_not_remembered_any_more() {
        let (manager, memory) = (manager(), Memory::new());
        let identity = manager.identity();
        let lease = lease(&manager, &identity).await;
        for _ in 0..10 {
            assert!(repeats(&memory, &lease, &identity));
            manager.core().memos.forget_all();
        }
        assert_eq!(lease.live().in_flight.homes().len(), 1);
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
        let gate = core.gate();
        let dropped = thread::spawn(move || drop(layer));
        // It has come so far that it waits for the gate.
        while handles.strong_count() > 0 {
            thread::yield_now();
        }
        let (forgotten, is_forgotten) = mpsc::channel();
        let forgetful = core.clone();
        thread::spawn(move || {
            forgetful.memos.forget_all();
            forgotten.send(())
        });
        let waited = is_forgotten.recv_timeout(Duration::from_secs(10));
        drop(gate);
        dropped.join().unwrap();
        assert!(waited.is_ok(), "whoever holds the gate may forget");
    }
}
