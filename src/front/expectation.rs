//! What the answer to a request should say of the chain, and what follows if it says another.
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
    /// The one that the request bears.
    session: Option<Arc<LiveSession>>,
    /// Whether the body names the chain. A wrong answer then says nothing of the session.
    is_in_body: bool,
}

impl InFlightRequest {
    /// `None` if neither a session nor the body brings a chain.
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
        Some(Expectation {
            manager: self.clone(),
            defaults: session.partition.defaults.clone(),
            session: Some(session),
            is_in_body: false,
        })
    }
}

impl Expectation {
    /// Takes up what the answer says: the chain that was asked for is noted in its proof.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongDefaults`] if it is another chain. The session is then used no more.
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

    /// What a layer further down has noted of the session, or what is known of it here.
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

    /// Counts a wrong session: if one after another is wrong, the next is created later. One that was replaced already does not
    /// count.
    fn count(&self, session: &Arc<LiveSession>, now: Reading) {
        let core = self.manager.core();
        let partition = &session.partition;
        // Its uses up to here are counted.
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
        // A session that may have been deleted, or has expired, says nothing of the others.
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

/// Text of the server's is shown only if it is known.
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
