//! What "in flight" means.
//!
//! A session must not be deleted while the server may still be reading a request that bears it: the server looks the
//! id up only once the whole body has arrived. So everyone who sends the id holds a [`Lease`] on it from the moment
//! the header is put in until the head of the response is there.

use std::{error::Error as StdError, fmt, sync::Arc};

use http::{HeaderMap, HeaderValue, StatusCode};

use super::{Proof, SessionManager, memo::Home, session::LiveSession};
use crate::{Session, clock::Reading, headers::SESSION_ID};

/// One request's hold on a session: as long as it exists, the session is not deleted.
///
/// [`complete`](Self::complete) it when the head of the response is there. A lease that is merely dropped counts for
/// another `linger`, because a request that was given up may still be on its way.
#[must_use = "the session may be deleted as soon as its lease is gone"]
pub struct Lease {
    /// Until it is completed or dropped.
    hold: Option<Hold>,
}

enum Hold {
    /// Counted in the session.
    Session {
        session: Arc<LiveSession>,
        manager: SessionManager,
    },
    /// Counted by the references to it.
    Token(Arc<Token>),
}

impl Hold {
    fn live(&self) -> &Arc<LiveSession> {
        match self {
            Self::Session { session, .. } => session,
            Self::Token(token) => &token.session,
        }
    }

    fn manager(&self) -> &SessionManager {
        match self {
            Self::Session { manager, .. } => manager,
            Self::Token(token) => &token.manager,
        }
    }

    #[inline]
    fn release(self) {
        match self {
            // One that is retired at this very moment is looked at from time to time.
            Self::Token(token) if !token.session.in_flight.is_retired() => drop(token),
            hold => hold.release_and_wake(),
        }
    }

    #[cold]
    fn linger(self) {
        let until = self.manager().core().linger_until();
        self.live().in_flight.linger(until);
        self.release();
    }

    #[inline(never)]
    fn release_and_wake(self) {
        let (session, manager) = match self {
            Self::Session { session, manager } => {
                if !session.in_flight.leave() {
                    return;
                }
                (session, manager)
            }
            Self::Token(token) => {
                let held = (token.session.clone(), token.manager.clone());
                drop(token);
                held
            }
        };
        manager.core().released(&session);
    }
}

/// Stands for any number of requests of one thread that use a session: whoever holds it, apart from the memo that hands it
/// out, is one of them.
#[derive(Debug)]
pub(crate) struct Token {
    session: Arc<LiveSession>,
    /// A request in flight is a handle too.
    manager: SessionManager,
}

impl Token {
    pub(crate) fn session(&self) -> &Arc<LiveSession> {
        &self.session
    }
}

impl Lease {
    /// `None` if the session is not to be used any more.
    pub(crate) fn on(
        session: &Arc<LiveSession>,
        manager: &SessionManager,
        now: Reading,
    ) -> Option<Self> {
        session.in_flight.enter().then(|| {
            session.used(now);
            let (session, manager) = (session.clone(), manager.clone());
            let hold = Some(Hold::Session { session, manager });
            Self { hold }
        })
    }

    pub(crate) fn by(token: Arc<Token>) -> Self {
        let hold = Some(Hold::Token(token));
        Self { hold }
    }

    /// A token for more of the same, which are given it there.
    pub(crate) fn to_token(&self, home: Home) -> Arc<Token> {
        let token = Arc::new(Token {
            session: self.live().clone(),
            manager: self.manager().clone(),
        });
        self.live().in_flight.count_by(&token, home);
        token
    }

    /// Returns the session.
    pub fn session(&self) -> Session {
        Session::new(self.live().clone(), self.manager().core().clock())
    }

    /// Says that the head of the response is there.
    ///
    /// A status that tells of a server in trouble (410, 502, 503, 504) makes every session suspect:
    /// [`complete_with`](Self::complete_with) looks at it.
    pub fn complete(self) {
        self.manager().core().answered(self.live());
        self.complete_at_once();
    }

    #[inline]
    pub(crate) fn complete_at_once(mut self) {
        if let Some(hold) = self.hold.take() {
            hold.release();
        }
    }

    /// Returns what can be said of the session as of now. When the head of the response is there, and before
    /// [`complete`](Self::complete), it is what the response proves.
    pub fn proof(&self) -> Proof {
        Proof::of(self.live(), self.manager().core())
    }

    /// Says that the head of the response is there, with this status.
    pub fn complete_with(self, status: StatusCode) {
        self.manager().saw_status(status);
        self.complete();
    }

    /// Says that the request failed without a response.
    ///
    /// A connection that could not be made, or broke, makes every session suspect. As nobody knows whether the server is
    /// still reading, the request counts for another `linger`.
    pub fn fail(self, error: &(dyn StdError + 'static)) {
        self.manager().saw_error(error);
    }

    pub(crate) fn live(&self) -> &Arc<LiveSession> {
        self.held().live()
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        self.held().manager()
    }

    fn held(&self) -> &Hold {
        self.hold.as_ref().expect("it is held until it is dropped")
    }

    pub(crate) fn inject(&self, headers: &mut HeaderMap) {
        put_session(headers, self.live().id.to_header());
    }
}

/// In place of any other: the server ignores two session ids, even equal ones.
fn put_session(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(SESSION_ID, id);
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.linger();
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("session", self.live())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_takes_the_place_of_any_other() {
        let mut headers = HeaderMap::new();
        put_session(&mut headers, HeaderValue::from_static("one"));
        put_session(&mut headers, HeaderValue::from_static("two"));
        assert!(headers.get_all(SESSION_ID).iter().eq(["two"]));
    }
}
