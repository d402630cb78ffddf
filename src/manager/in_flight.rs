//! A request on its way, and what comes of it.

use std::error::Error as StdError;

use http::{HeaderMap, StatusCode};

use super::{Lease, Proof, SessionManager, leak, message::Incoming, suspicion};
use crate::secret::ApiKey;

/// A request on its way to Sipher, until what comes of it is known.
pub(crate) enum InFlightRequest {
    /// It bears a session.
    Leased(Lease),
    /// It bears none of ours; what comes of it still tells how the server is.
    Bare {
        manager: SessionManager,
        why: Bare,
        /// The API key, if it was put in.
        key: Option<ApiKey>,
    },
}

/// Why a request bears no session of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bare {
    /// Nobody's key or session has to do with it.
    Public,
    /// It is about sessions itself.
    SessionCall,
    /// It bore an id of its own.
    OwnSession,
    /// It, or [`OnNoSession`], said so.
    Without,
}

impl InFlightRequest {
    /// Puts the session in, if there is one.
    pub(crate) fn inject(&self, headers: &mut HeaderMap) {
        if let Self::Leased(lease) = self {
            lease.inject(headers);
        }
    }

    pub(crate) fn into_lease(self) -> Option<Lease> {
        match self {
            Self::Leased(lease) => Some(lease),
            Self::Bare { .. } => None,
        }
    }

    /// The head of the response is there. What it proves is put in if `prove` says so; one that was there `at_once` is not
    /// late.
    #[inline]
    pub(crate) fn complete(self, response: &mut impl Incoming, prove: bool, at_once: bool) {
        if let Some(target) = response.answered_from() {
            self.was_answered_from(target);
        }
        let status = response.status();
        self.manager().saw_status(status);
        if let Some(proof) = prove.then(|| self.proof()).flatten() {
            response.extensions_mut().insert(proof);
        }
        match self {
            Self::Leased(lease) if at_once => lease.complete_at_once(),
            Self::Leased(lease) => lease.complete(),
            Self::Bare { .. } => {}
        }
    }

    pub(super) fn manager(&self) -> &SessionManager {
        match self {
            Self::Leased(lease) => lease.manager(),
            Self::Bare { manager, .. } => manager,
        }
    }

    fn proof(&self) -> Option<Proof> {
        match self {
            Self::Leased(lease) => Some(lease.proof()),
            Self::Bare { why, .. } => match why {
                Bare::Public | Bare::SessionCall => None,
                Bare::OwnSession => Some(Proof::OwnSession),
                Bare::Without => Some(Proof::Without),
            },
        }
    }

    /// It failed without a response.
    pub(crate) fn fail(self, error: &(dyn StdError + 'static)) {
        if let Some(target) = leak::given_up_at(error) {
            self.was_answered_from(target);
        }
        match self {
            Self::Leased(lease) => lease.fail(error),
            Self::Bare { manager, .. } => manager.saw_error(error),
        }
    }
}

impl SessionManager {
    pub(crate) fn saw_status(&self, status: StatusCode) {
        if suspicion::in_status(status) {
            self.core().suspect();
        }
    }

    pub(crate) fn saw_error(&self, error: &(dyn StdError + 'static)) {
        if suspicion::in_error(error) {
            self.core().suspect();
        }
    }
}
