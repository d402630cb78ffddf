//! A lease: a request that certainly carries a session.

use std::{error::Error as StdError, fmt, sync::Arc};

use http::{HeaderMap, StatusCode};

use super::{in_flight::InFlightRequest, manager::SessionManager, token::Token};
use crate::{
    clock::Reading,
    hot::session::{LiveSession, Session},
    model::proof::Proof,
};

/// Holds a session for one request. While the lease exists, the session is not deleted.
///
/// [`complete`](Self::complete) the lease when the head of the response has arrived. If it is only dropped, the request
/// counts as in flight for another `linger`, because the server may still be reading it.
#[must_use = "the session may be deleted as soon as its lease is gone"]
pub struct Lease(InFlightRequest);

impl Lease {
    /// Takes a lease on the session. Returns `None` if the session must not be used any more.
    pub(crate) fn on(
        session: &Arc<LiveSession>,
        manager: &SessionManager,
        now: Reading,
    ) -> Option<Self> {
        let token = Token::on(session, manager, now)?;
        Some(Self(InFlightRequest::by(token)))
    }

    /// Turns a request into a lease. Returns `None` if the request carries no session.
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

    /// Ends the lease when the head of the response has arrived.
    ///
    /// Prefer [`complete_with_head`](Self::complete_with_head): only that call examines what the response says about
    /// the server.
    pub fn complete(mut self) {
        self.0.answered();
    }

    /// Returns what is known about the session now, without the response. After the response,
    /// [`complete_with_head`](Self::complete_with_head) returns a stronger proof.
    pub fn proof(&self) -> Proof {
        Proof::of(self.live(), self.manager().core(), false)
    }

    /// Ends the lease when the head of the response has arrived with this status.
    ///
    /// The status is a sign that the server may have lost its sessions if it is 410, 502 to 504, 520 to 527 or 530 (see
    /// [`Event::Suspected`](crate::Event::Suspected)). That is so even if Sipher's application wrote the answer: only
    /// its headers would show that. Prefer [`complete_with_head`](Self::complete_with_head), which examines the
    /// headers.
    pub fn complete_with(self, status: StatusCode) {
        self.token().saw_status(status, None);
        self.complete();
    }

    /// Ends the lease when the head of the response has arrived with this status and these headers. Returns what they
    /// prove.
    pub fn complete_with_head(self, status: StatusCode, headers: &HeaderMap) -> Proof {
        let token = self.token();
        token.saw_status(status, Some(headers));
        let proves = token.examine(headers);
        let proof = Proof::of(self.live(), self.manager().core(), proves);
        self.complete();
        proof
    }

    /// Ends the lease when the request failed without a response.
    ///
    /// An error that is not known to be harmless, such as a broken connection, is a sign that the server may have lost
    /// its sessions (see [`Event::Suspected`](crate::Event::Suspected)). The request counts as in flight for another
    /// `linger`, because the server may still be reading it.
    ///
    /// If the error says that `reqwest` stopped following redirects at another origin, that origin has received the id.
    /// The session is then retired.
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
