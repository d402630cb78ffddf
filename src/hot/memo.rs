//! Remembers, for each layer, which session a request got. So a hit costs little more than a constant header. One
//! remembered decision is called a memo.
//!
//! A request with the same credentials as an earlier one gets the same session again, without another decision. All
//! decisions are made in `admit`. This file only repeats one that is less than [`SPAN`] old. A repeated decision is
//! as safe as the original one, for three reasons:
//!
//! * A thread that ends a session, or makes it suspect, first [forgets](forget) it here. Only then does it report the
//!   end. So a request that starts after the report finds no memo.
//! * A memo expires after the shortest of three spans, by both clocks: `SPAN`, the time until the renewal is due, and
//!   the time for which the id may be sent.
//! * A memo does not count as a request in flight. Only the requests that hold its token count.
//!
//! Each thread has a place of its own, with its own copy of the header's value. If threads shared one reference
//! counter, all of them together would be slower than one thread alone.

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

/// For how long a decision is repeated before it is made again. When it is made again, the cache learns that the
/// session is in use, and the headers of that request's answer are examined.
pub(crate) const SPAN: Duration = Duration::from_millis(250);

/// What one layer remembers. A `T` is a token: it stands for the requests that got a session from one memo.
#[derive(Debug)]
pub(crate) struct Memory<T>(OnceLock<Arc<Places<T>>>);

/// One remembered decision: requests with these credentials get this session.
#[derive(Debug)]
struct Memo<T> {
    header: KeyHeader,
    credentials: Zeroizing<Box<[u8]>>,
    /// The session id that is put into the request.
    id: HeaderValue,
    /// The API key that is put into the request, if the request has none.
    key: Option<HeaderValue>,
    token: Arc<T>,
    /// The session that the token stands for.
    session: Arc<LiveSession>,
    since: Ticks,
    /// For how long the memo holds after `since`, in nanoseconds.
    good_for: u64,
    /// Requests that got the session from this memo and are not yet added to the session's own count.
    uses: u64,
}

/// A decision that may be remembered.
pub(crate) struct Decision<'a> {
    pub(crate) session: &'a Arc<LiveSession>,
    /// The credentials of the request that the decision was made for.
    pub(crate) credentials: Credentials<'a>,
    /// The API key that was put in together with the session.
    pub(crate) key: Option<&'a HeaderValue>,
}

impl<T: Debug + Send + Sync + 'static> Memory<T> {
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Repeats the last decision for the request's credentials, if its memo has not expired: puts the same headers in.
    #[allow(clippy::inline_always)] // called in two places, and the first one runs for nearly every request
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
        // If the header map is full, return `None`. The request is then decided anew, and that reports the error.
        if let Some(key) = &memo.key {
            headers.try_insert(API_KEY, key.clone()).ok()?;
        }
        headers.try_insert(SESSION_ID, memo.id.clone()).ok()?;
        memo.uses += 1;
        Some(memo.token.clone())
    }

    /// Remembers a decision, if this thread's place has seen the request's credentials before.
    ///
    /// `may_repeat` returns since when the decision holds, and for how long.
    ///
    /// `token` makes the token for the requests that get the session from this memo, and tells the session where the
    /// memo is kept. It returns `None` if the decision no longer holds. It is called under the lock of this thread's
    /// place. So a thread that ends the session from here on waits for that lock, and then finds the memo.
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
    /// Drops all memos, and so their sessions. Another thread may still hold a reference to the places.
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
        // If the clock was set back, the memo counts as very old.
        now.are_within(self.good_for, self.since)
    }

    fn renew(&mut self, (since, good_for): (Ticks, Duration)) {
        self.since = since;
        self.good_for = nanos(good_for);
        self.settle();
    }

    /// Adds the uses of this memo to the session's count.
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

/// Copies a value so that the copy shares no reference counter with the original.
fn own(value: &HeaderValue) -> HeaderValue {
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).expect("it was one before");
    // Mark it sensitive even if the request's own key was not: otherwise `Debug` shows it.
    copy.set_sensitive(true);
    counted(copy)
}

/// Allocates the value's reference counter now. Otherwise the first clone, on a request, would allocate it.
#[allow(clippy::needless_pass_by_value)] // the clone is the only value that is left
fn counted(value: HeaderValue) -> HeaderValue {
    value.clone()
}
