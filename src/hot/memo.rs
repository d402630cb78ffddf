//! What a layer remembers from one request to the next, so that a hit costs little more than a constant header.
//!
//! A request with the same credentials as one before it gets the same session again, here and without further ado.
//! Everything else is decided in `admit`; this file only repeats a decision that was made there less than [`SPAN`] ago.
//! It is as good as that decision, because
//!
//! * whatever ends a session or makes it suspect has it [forgotten](forget) here before it goes on: who is told
//!   that it has ended, starts after that;
//! * what is remembered ends, by both clocks, with the shortest of `SPAN`, the time until its renewal is due, and the
//!   time for which the id may be sent;
//! * it is not in flight: only who else holds its token is.
//!
//! Each thread has a place of its own, with its own copy of the header's value: threads that count one and the same
//! reference counter up and down are slower together than one of them alone.

mod hash;
mod place;

use std::{
    fmt::Debug,
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
    clock::Ticks,
    headers::{self, API_KEY, Credentials, KeyHeader, SESSION_ID},
};

/// For how long a decision is repeated before it is made anew. The cache learns as often that a session is in use, and the
/// answer to the request that makes it anew is looked at.
pub(crate) const SPAN: Duration = Duration::from_millis(250);

/// What one layer remembers. `T` stands for the requests that were given a session by the same memo.
#[derive(Debug)]
pub(crate) struct Memory<T>(OnceLock<Arc<Places<T>>>);

/// Requests with these credentials get this session.
#[derive(Debug)]
struct Memo<T> {
    header: KeyHeader,
    credentials: Zeroizing<Box<[u8]>>,
    /// What is put in.
    id: HeaderValue,
    /// Where the request has none.
    key: Option<HeaderValue>,
    token: Arc<T>,
    /// What the token bears.
    session: Arc<LiveSession>,
    since: Ticks,
    /// In nanoseconds.
    good_for: u64,
    /// Requests that have got it and are not counted with the session yet.
    uses: u64,
}

/// A decision that may be remembered.
pub(crate) struct Decision<'a> {
    pub(crate) session: &'a Arc<LiveSession>,
    /// Those of the request that it was made for.
    pub(crate) credentials: Credentials<'a>,
    /// What was put in with the session.
    pub(crate) key: Option<&'a HeaderValue>,
}

impl<T: Debug + Send + Sync + 'static> Memory<T> {
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
    ) -> Option<Arc<T>> {
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
        Some(memo.token.clone())
    }

    /// Notes a decision, if it is not made for the first time. `may_repeat` says since when it holds, and for how long. `token` makes
    /// what stands for requests that are given the session there, unless the decision holds no more. It is called under the lock, once
    /// the home is known: what ends the session from here on finds the memo.
    #[cold]
    pub(crate) fn remember(
        &self,
        memos: &Memos,
        decision: &Decision<'_>,
        may_repeat: impl Fn() -> (Ticks, Duration),
        token: impl FnOnce(Home) -> Option<Arc<T>>,
    ) {
        let &Decision {
            session,
            credentials,
            key,
        } = decision;
        let places = self.0.get_or_init(|| memos.open());
        let mut state = places.here();
        if let Some(memo) = state.memo(credentials)
            && Arc::ptr_eq(&memo.session, session)
        {
            memo.renew(may_repeat());
            return;
        }
        if !state.was_found(credentials) {
            return;
        }
        let Some(token) = token(places.home(credentials)) else {
            return;
        };
        session.in_flight.remembered(true);
        let (since, good_for) = may_repeat();
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

impl<T> Drop for Memory<T> {
    /// Its sessions are not held any longer, whoever else may still be looking at the places.
    fn drop(&mut self) {
        if let Some(places) = self.0.get() {
            places.clear();
        }
    }
}

impl<T> Memo<T> {
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

impl<T> Drop for Memo<T> {
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
