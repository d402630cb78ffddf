//! A request that is certain to bear a session.

use std::{error::Error as StdError, fmt, sync::Arc};

use http::StatusCode;

use super::{
    Proof, SessionManager, in_flight::InFlightRequest, session::LiveSession, token::Token,
};
use crate::{
    Session,
    clock::{Reading, Span},
};

/// One request's hold on a session: as long as it exists, the session is not deleted.
///
/// [`complete`](Self::complete) it when the head of the response is there. A lease that is merely dropped counts for
/// another `linger`, because a request that was given up may still be on its way.
#[must_use = "the session may be deleted as soon as its lease is gone"]
pub struct Lease(InFlightRequest);

impl Lease {
    /// `None` if the session is not to be used any more.
    pub(super) fn on(
        session: &Arc<LiveSession>,
        manager: &SessionManager,
        now: Reading,
    ) -> Option<Self> {
        let token = Token::on(session, manager, now)?;
        Some(Self(InFlightRequest::by(token)))
    }

    /// `None` if the request bears no session.
    pub(super) fn of(request: InFlightRequest) -> Option<Self> {
        request.token()?.session()?;
        Some(Self(request))
    }

    pub(super) fn into_request(self) -> InFlightRequest {
        self.0
    }

    /// Returns the session.
    pub fn session(&self) -> Session {
        Session::new(self.live().clone(), self.manager().core().clock())
    }

    /// Says that the head of the response is there.
    ///
    /// A status that tells of a server in trouble (410, 502, 503, 504) makes every session suspect:
    /// [`complete_with`](Self::complete_with) looks at it.
    pub fn complete(mut self) {
        self.0.answered();
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
    /// still reading, the request counts for another `linger`. A redirect that `reqwest` would not follow to elsewhere has
    /// taken the id there, so the session ends.
    pub fn fail(mut self, error: &(dyn StdError + 'static)) {
        self.0.fail(error);
    }

    pub(super) fn live(&self) -> &Arc<LiveSession> {
        self.token().session().expect("it bears one")
    }

    pub(super) fn young(&self) -> Span {
        self.token().young
    }

    pub(super) fn manager(&self) -> &SessionManager {
        &self.token().manager
    }

    fn token(&self) -> &Token {
        self.0.token().expect("it is held until it is completed")
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("session", self.live())
            .finish_non_exhaustive()
    }
}
