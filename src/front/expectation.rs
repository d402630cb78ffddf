//! Compares the chain that an answer names with the chain that the request should have got.
//!
//! The answer itself is the best evidence that a session applied: no replica, eviction or cache on the way can fake it.

use std::sync::Arc;

use http::{Extensions, HeaderMap};

use super::{in_flight::InFlightRequest, manager::SessionManager, token::Bears};
use crate::{
    api::{Chain, KeptId, SessionDefaults, SessionId},
    clock::Reading,
    driver::check::lost,
    error::{Error, ErrorKind},
    headers,
    headers::SESSION_ID,
    hot::{
        memo,
        session::{LiveSession, Loss},
    },
    model::{
        inlining::Inlined,
        partition::KeyId,
        proof::{Doubt, Proof},
        reason::RetireReason,
    },
};

/// The chain that the answer to a request has to name.
#[derive(Debug)]
pub(crate) struct Expectation {
    manager: SessionManager,
    defaults: Arc<SessionDefaults>,
    /// The session that the request carries.
    session: Option<Arc<LiveSession>>,
    /// Whether the body names the chain. If so, a wrong answer says nothing about the session.
    is_in_body: bool,
}

impl InFlightRequest {
    /// Returns which chain the answer has to name. Returns `None` if neither a session nor the body sets a chain.
    pub(crate) fn expectation(&self) -> Option<Expectation> {
        let token = self.token()?;
        let is_in_body = token.inlined() == Inlined::Merged;
        let (partition, session) = match &token.bears {
            Bears::Remembered(session) | Bears::Session(session) => {
                (&session.partition, Some(session.clone()))
            }
            Bears::Inline(partition) if is_in_body => (partition, None),
            Bears::Inline(_) | Bears::Nothing { .. } => return None,
        };
        let defaults = partition.defaults.clone();
        let manager = token.manager.clone();
        defaults.chain.is_some().then_some(Expectation {
            manager,
            defaults,
            session,
            is_in_body,
        })
    }
}

impl SessionManager {
    /// Returns which chain to expect for a request that already carries a session of this manager and that session's
    /// API key, put in by an outer layer.
    pub(crate) fn expectation_of(&self, headers: &HeaderMap) -> Option<Expectation> {
        let id = headers.get(SESSION_ID)?.to_str().ok()?;
        let id = KeptId::from(&SessionId::parse(id.trim())?);
        let key = KeyId::of(headers::api_key(headers).ok()??);
        let core = self.core();
        let sessions = core.sessions().into_iter();
        let mut sessions = sessions.chain(core.retirement.sessions());
        let session =
            sessions.find(|session| session.id == id && session.partition.key_id == key)?;
        Some(Expectation {
            manager: self.clone(),
            defaults: session.partition.defaults.clone(),
            session: Some(session),
            is_in_body: false,
        })
    }
}

impl Expectation {
    /// Checks the chain that the answer names. If it is the expected one, the proof in the extensions is confirmed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongDefaults`] if the answer names another chain. The session is then not used any more.
    pub(crate) fn meet(&self, answered: &str, extensions: &mut Extensions) -> Result<(), Error> {
        let Some(expected) = &self.defaults.chain else {
            return Ok(());
        };
        if expected.as_str() != answered {
            return Err(self.fail(expected, shown(answered)));
        }
        let noted = extensions.get::<Proof>().copied();
        let confirmed = match &self.session {
            Some(session) => self.proof(session, noted).confirmed(),
            None => noted.filter(|noted| !noted.is_leaked()),
        };
        if let Some(confirmed) = confirmed {
            self.manager.core().observer.confirmed();
            extensions.insert(confirmed);
        }
        Ok(())
    }

    /// Returns the proof that an inner layer has put into the response for this session. Otherwise returns one from
    /// what is known here.
    fn proof(&self, session: &LiveSession, noted: Option<Proof>) -> Proof {
        let noted = noted.filter(|proof| proof.session() == Some(session.reference()));
        noted.unwrap_or_else(|| Proof::of(session, self.manager.core(), true))
    }

    #[cold]
    fn fail(&self, expected: &Chain, answered: Chain) -> Error {
        let observer = &self.manager.core().observer;
        let whose = match &self.session {
            Some(session) if !self.is_in_body => {
                format!("session {}", session.reference().fingerprint)
            }
            _ => "its body".to_owned(),
        };
        let text = format!(
            "answered under other defaults: for chain `{answered}`, where {whose} has `{expected}`"
        );
        let blamed = self.session.as_deref().filter(|_| !self.is_in_body);
        observer.wrong_defaults(blamed, expected, answered);
        if let Some(session) = self.session.as_ref().filter(|_| !self.is_in_body) {
            self.lose(session);
        }
        Error::new(ErrorKind::WrongDefaults, text)
    }

    /// Counts a session that was answered under other defaults. If one session after another is wrong, the next session
    /// is created only after a pause. A session that was already replaced does not count.
    fn count(&self, session: &Arc<LiveSession>, now: Reading) {
        let core = self.manager.core();
        let partition = &session.partition;
        // Remove the session's memos first: this adds the uses that they have counted to the session's count.
        memo::forget(session);
        let current = core.cached(partition.id);
        if current.is_some_and(|current| Arc::ptr_eq(&current, session)) {
            let what = (session.generation, session.uses());
            core.gate().answered_wrong(partition, what, now);
        }
    }

    fn lose(&self, session: &Arc<LiveSession>) {
        let core = self.manager.core();
        let now = core.now();
        // If the session may have been deleted, or has expired, its loss says nothing about the other sessions.
        let may_be_deleted =
            session.is_delete_sent() || (session.is_shared() && session.in_flight.is_retired());
        let is_sign = !may_be_deleted && !session.life.left(now).is_zero();
        session.set_lost();
        if is_sign {
            core.suspect_others(session);
        }
        self.count(session, now);
        if core.retire_this(RetireReason::Lost, session) {
            core.emit(lost(session, Loss::Session, now));
        }
    }
}

/// Returns the chain for display. Text of the server's is shown only if it is a chain that this crate knows.
fn shown(answered: &str) -> Chain {
    match Chain::from(answered) {
        Chain::Other(_) => Chain::from("unknown"),
        known => known,
    }
}

impl Proof {
    fn session(&self) -> Option<crate::model::session_ref::SessionRef> {
        match self {
            Self::Session { session, .. } | Self::Confirmed { session, .. } => Some(*session),
            Self::Inline { .. } | Self::Neither { .. } | Self::OwnSession | Self::Without => None,
        }
    }

    /// Returns the proof for an answer that names the session's chain. Returns `None` if the answer may come from
    /// another server.
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

    /// Puts the proof into a response, unless an inner layer has already confirmed the same session by the answer
    /// itself.
    pub(crate) fn note(self, extensions: &mut Extensions) {
        let noted = extensions.get::<Self>();
        let is_confirmed = noted.is_some_and(|noted| {
            matches!(noted, Self::Confirmed { .. }) && noted.session() == self.session()
        });
        if !is_confirmed {
            extensions.insert(self);
        }
    }
}
