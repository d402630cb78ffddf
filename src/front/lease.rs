//! A request that is certain to bear a session.

use std::{error::Error as StdError, fmt, sync::Arc};

use http::{HeaderMap, StatusCode};

use super::{in_flight::InFlightRequest, manager::SessionManager, token::Token};
use crate::{
    clock::Reading,
    hot::session::{LiveSession, Session},
    model::proof::Proof,
};

/// One request's hold on a session: as long as it exists, the session is not deleted.
///
/// [`complete`](Self::complete) it when the head of the response is there. A lease that is merely dropped counts for
/// another `linger`, because a request that was given up may still be on its way.
#[must_use = "the session may be deleted as soon as its lease is gone"]
pub struct Lease(InFlightRequest);

impl Lease {
    /// `None` if the session is not to be used any more.
    pub(crate) fn on(
        session: &Arc<LiveSession>,
        manager: &SessionManager,
        now: Reading,
    ) -> Option<Self> {
        let token = Token::on(session, manager, now)?;
        Some(Self(InFlightRequest::by(token)))
    }

    /// `None` if the request bears no session.
    pub(crate) fn of(request: InFlightRequest) -> Option<Self> {
        request.token()?.session()?;
        Some(Self(request))
    }

    pub(crate) fn into_request(self) -> InFlightRequest {
        self.0
    }

    /// Returns the session.
    pub fn session(&self) -> Session {
        Session::new(self.live().clone(), self.manager().core().clock())
    }

    /// Says that the head of the response is there.
    ///
    /// What the response says of the server is lost: [`complete_with_head`](Self::complete_with_head) looks at it.
    pub fn complete(mut self) {
        self.0.answered();
    }

    /// Returns what can be said of the session as of now, without the response:
    /// [`complete_with_head`](Self::complete_with_head) returns what that proves.
    pub fn proof(&self) -> Proof {
        Proof::of(self.live(), self.manager().core(), false)
    }

    /// Says that the head of the response is there, with this status.
    ///
    /// A 5xx makes every session suspect, also if Sipher's application wrote it: its headers would say so.
    /// [`complete_with_head`](Self::complete_with_head) looks at them.
    pub fn complete_with(self, status: StatusCode) {
        self.token().saw_status(status, None);
        self.complete();
    }

    /// Says that the head of the response is there, with this status and these headers. Returns what it proves.
    pub fn complete_with_head(self, status: StatusCode, headers: &HeaderMap) -> Proof {
        let token = self.token();
        token.saw_status(status, Some(headers));
        let proves = token.examine(headers);
        let proof = Proof::of(self.live(), self.manager().core(), proves);
        self.complete();
        proof
    }

    /// Says that the request failed without a response.
    ///
    /// A connection that could not be made, or broke, makes every session suspect. As nobody knows whether the server is
    /// still reading, the request counts for another `linger`. A redirect that `reqwest` would not follow to elsewhere has
    /// taken the id there, so the session ends.
    pub fn fail(mut self, error: &(dyn StdError + 'static)) {
        self.0.fail(error);
    }

    pub(crate) fn live(&self) -> &Arc<LiveSession> {
        self.token().session().expect("it bears one")
    }

    pub(crate) fn manager(&self) -> &SessionManager {
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
