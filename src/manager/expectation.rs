//! What the answer to a request should say of the chain, and what follows if it says another.
//!
//! The answer itself is the best evidence that a session applied: no replica, eviction or cache on the way can fake it.

use std::sync::Arc;

use http::{Extensions, HeaderMap};

use super::{
    Doubt, Proof, SessionManager,
    check::lost,
    event::RetireReason,
    in_flight::InFlightRequest,
    partition::KeyId,
    session::{LiveSession, Loss},
};
use crate::{
    api::{Chain, KeptId, SessionId},
    error::{Error, ErrorKind},
    headers::{self, SESSION_ID},
};

/// The session that a request bears, whose chain its answer has to name.
#[derive(Debug)]
pub(crate) struct Expectation {
    manager: SessionManager,
    session: Arc<LiveSession>,
}

impl InFlightRequest {
    /// `None` if the request bears no session of this manager's, or one that says nothing of the chain.
    pub(crate) fn expectation(&self) -> Option<Expectation> {
        let token = self.token()?;
        let session = token.session()?.clone();
        let manager = token.manager.clone();
        let says_chain = session.partition.defaults.chain.is_some();
        says_chain.then_some(Expectation { manager, session })
    }
}

impl SessionManager {
    /// What to expect of a request that a layer further up has given a session of this manager's, with its key.
    pub(crate) fn expectation_of(&self, headers: &HeaderMap) -> Option<Expectation> {
        let id = headers.get(SESSION_ID)?.to_str().ok()?;
        let id = KeptId::from(&SessionId::parse(id.trim())?);
        let key = KeyId::of(headers::api_key(headers).ok()??);
        let core = self.core();
        let sessions = core.sessions().into_iter();
        let mut sessions = sessions.chain(core.retirement.sessions());
        let session =
            sessions.find(|session| session.id == id && session.partition.key_id == key)?;
        let manager = self.clone();
        Some(Expectation { manager, session })
    }
}

impl Expectation {
    /// Takes up what the answer says: the chain that was asked for is noted in its proof.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongDefaults`] if it is another chain. The session is then used no more.
    pub(crate) fn meet(&self, answered: &str, extensions: &mut Extensions) -> Result<(), Error> {
        let Some(expected) = &self.session.partition.defaults.chain else {
            return Ok(());
        };
        if expected.as_str() != answered {
            return Err(self.fail(expected, shown(answered)));
        }
        let noted = extensions.get::<Proof>().copied();
        let proof = noted.filter(|proof| proof.session() == Some(self.session.reference()));
        let proof = proof.unwrap_or_else(|| Proof::of(&self.session, self.manager.core(), true));
        if let Some(confirmed) = proof.confirmed() {
            self.manager.core().observer.confirmed();
            extensions.insert(confirmed);
        }
        Ok(())
    }

    #[cold]
    fn fail(&self, expected: &Chain, answered: Chain) -> Error {
        let (core, session) = (self.manager.core(), self.session.reference());
        let text = format!(
            "answered under other defaults: for chain `{answered}`, where session {} has `{expected}`",
            session.fingerprint
        );
        core.observer
            .wrong_defaults(&self.session, expected, answered);
        self.lose();
        Error::new(ErrorKind::WrongDefaults, text)
    }

    fn lose(&self) {
        let (core, session) = (self.manager.core(), &self.session);
        let now = core.now();
        // A session that may have been deleted, or has expired, says nothing of the others.
        let may_be_deleted = session.is_delete_sent()
            || (session.membership().is_some() && session.in_flight.is_retired());
        let is_sign = !may_be_deleted && !session.life.left(now).is_zero();
        session.set_lost();
        if is_sign {
            core.suspect_others(session);
        }
        if core.retire_this(RetireReason::Lost, session) {
            core.emit(lost(session, Loss::Session, now));
        }
    }
}

/// Text of the server's is shown only if it is known.
fn shown(answered: &str) -> Chain {
    match Chain::from(answered) {
        Chain::Other(_) => Chain::from("unknown"),
        known => known,
    }
}

impl Proof {
    fn session(&self) -> Option<super::SessionRef> {
        match self {
            Self::Session { session, .. } | Self::Confirmed { session, .. } => Some(*session),
            Self::Inline { .. } | Self::Neither { .. } | Self::OwnSession | Self::Without => None,
        }
    }

    /// The same where the answer names the session's chain. `None` if the answer may be another server's.
    fn confirmed(self) -> Option<Self> {
        match self {
            Self::Session {
                doubt: Some(Doubt::Leaked),
                ..
            } => None,
            Self::Session {
                session,
                age,
                left,
                inlined,
                ..
            } => Some(Self::Confirmed {
                session,
                age,
                left,
                inlined,
            }),
            other => Some(other),
        }
    }

    /// Puts it into a response, unless a layer further down has confirmed the same session by the answer itself.
    pub(super) fn note(self, extensions: &mut Extensions) {
        let noted = extensions.get::<Self>();
        let is_confirmed = noted.is_some_and(|noted| {
            matches!(noted, Self::Confirmed { .. }) && noted.session() == self.session()
        });
        if !is_confirmed {
            extensions.insert(self);
        }
    }
}
