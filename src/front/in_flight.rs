//! A request on its way, and what comes of it.
//!
//! A session must not be deleted while the server may still be reading a request that bears it: the server looks the
//! id up only once the whole body has arrived. So whoever sends the id holds a [`Token`] from the moment the header is put
//! in until the head of the response is there.

use std::{
    error::Error as StdError,
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

use http::{HeaderMap, StatusCode};

use super::{
    leak,
    manager::SessionManager,
    message::Incoming,
    token::{Bare, Bears, Sent, Token},
};
use crate::{
    api::{SessionDefaults, Stamp},
    clock::Span,
    driver::client_error,
    engine::evidence::Overheard,
    error::Error,
    headers,
    headers::SESSION_ID,
    model::{
        evidence::Cause,
        inlining::Inlined,
        proof::{Doubt, Proof},
        sign,
    },
};

/// No status below speaks against the server.
const LEAST_SIGN: u16 = 410;

/// A request on its way to Sipher, until what comes of it is known. Holds nothing once that is so, nor if nothing is to be
/// learnt from it.
///
/// One that is merely dropped counts for another `linger`: it may still be on its way.
#[derive(Debug, Default)]
pub(crate) struct InFlightRequest(Option<Arc<Token>>);

impl InFlightRequest {
    #[inline]
    pub(crate) fn by(token: Arc<Token>) -> Self {
        Self(Some(token))
    }

    /// A request without a session of ours. Its answer takes a place in a rate-limit window, like those of requests that bear
    /// sessions. Unseen, the windows of two processes could pass for one.
    pub(crate) fn bare(manager: SessionManager, bears: Bears) -> Self {
        let core = manager.core();
        let sent = core.settings.inline.makes_sessions.then(|| Sent {
            at: core.now(),
            signs: core.suspicion.signs(),
            uses: 0,
        });
        Self::by(Arc::new(Token {
            manager,
            bears,
            young: Span::default(),
            sent,
            inlined: OnceLock::new(),
            leaked: AtomicBool::new(false),
        }))
    }

    /// Puts the session in, if there is one. In place of any other: the server ignores two session ids, even equal ones.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) if there is no room for it. The request does not go out.
    pub(crate) fn put_into(self, headers: &mut HeaderMap) -> Result<Self, Error> {
        let unsent = Unsent::from(self);
        if let Some(session) = unsent.token().and_then(Token::session) {
            headers::put(headers, SESSION_ID, session.id.to_header())?;
        }
        Ok(unsent.send())
    }

    /// The head of the response is there. What it proves is put in if `prove` says so. One that was there `at_once`, when it
    /// was first asked for, is late only if nobody asked for long.
    #[inline]
    pub(crate) fn complete(&mut self, response: &mut impl Incoming, prove: bool, at_once: bool) {
        let Some(token) = &self.0 else { return };
        response.answered_from(|target| token.was_answered_from(target));
        if response.status().as_u16() >= LEAST_SIGN {
            token.saw_status(response.status(), Some(response.headers()));
        }
        // A proof is asked of no request that a memo has let pass: its token is not young.
        if !(at_once && token.is_young()) {
            token.answered(response, prove);
        }
        self.release();
    }

    /// It failed without a response.
    #[cold]
    pub(crate) fn fail(&mut self, error: &(dyn StdError + 'static)) {
        let Some(token) = &self.0 else { return };
        if let Some(target) = leak::given_up_at(error) {
            token.was_answered_from(target);
        }
        token.saw_error(error);
        self.linger();
    }

    /// The caller has had enough, perhaps because no answer came.
    #[cold]
    fn given_up(&mut self) {
        if let Some(token) = &self.0 {
            token.saw(Cause::Hint);
        }
        self.linger();
    }

    /// Nobody knows whether the server is still reading.
    #[cold]
    fn linger(&mut self) {
        let Some(token) = &self.0 else { return };
        token.linger(token.manager.core().linger_until());
        self.release();
    }

    /// The head of the response is there, and that is all that is known.
    pub(crate) fn answered(&mut self) {
        let Some(token) = &self.0 else { return };
        token.succeeded(None);
        self.release();
    }

    /// Last of all: what comes before it asks users' clocks and subscribers, and may panic.
    #[inline]
    fn release(&mut self) {
        if let Some(token) = self.0.take() {
            token.release();
        }
    }

    /// Whether anything is to be learnt from it.
    #[inline]
    pub(crate) fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// What its session fills in. `None` if it bears no session of this manager's.
    pub(crate) fn defaults(&self) -> Option<Arc<SessionDefaults>> {
        let session = self.token()?.session()?;
        Some(session.partition.defaults.clone())
    }

    /// Whether its session may still be sent.
    pub(crate) fn is_in_order(&self) -> bool {
        let Some(token) = &self.0 else { return true };
        let core = token.manager.core();
        token
            .session()
            .is_none_or(|session| core.is_good(session, core.now()))
    }

    /// Notes, and counts, what became of the defaults in its body.
    pub(crate) fn note(&self, inlined: Inlined) {
        let Some(token) = &self.0 else { return };
        token.manager.core().observer.inlined(inlined);
        // What a memo has let pass shares its token with others, and nobody asks for its proof.
        if token.is_for_one() {
            let _ = token.inlined.set(inlined);
        }
    }

    pub(crate) fn token(&self) -> Option<&Token> {
        self.0.as_deref()
    }
}

/// A request that has what it goes out with, and may not go out after all: if this is dropped, nobody has to be told.
#[derive(Debug)]
pub(crate) struct Unsent(InFlightRequest);

impl From<InFlightRequest> for Unsent {
    fn from(request: InFlightRequest) -> Self {
        Self(request)
    }
}

impl Unsent {
    /// It goes out.
    pub(crate) fn send(mut self) -> InFlightRequest {
        std::mem::take(&mut self.0)
    }
}

impl std::ops::Deref for Unsent {
    type Target = InFlightRequest;

    fn deref(&self) -> &InFlightRequest {
        &self.0
    }
}

impl Drop for Unsent {
    /// Nothing was answered: a session that ended while a body was read has met no late answer.
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Drop for InFlightRequest {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.given_up();
        }
    }
}

/// Put into a response whose headers were looked at, so that another layer of the same manager does not take it for a second
/// answer of the same window.
#[derive(Clone, Copy, Debug)]
struct Examined {
    core: usize,
    proves: bool,
}

impl Token {
    /// The head of the response is there.
    #[inline(never)]
    fn answered(&self, response: &mut impl Incoming, prove: bool) {
        let core = Arc::as_ptr(self.manager.core()).addr();
        let seen = response.extensions_mut().get::<Examined>().copied();
        let seen = seen.filter(|seen| seen.core == core);
        let proves = seen.map(|seen| seen.proves);
        let proves = proves.or_else(|| self.look_at(response.headers(), prove));
        if let (None, Some(proves)) = (seen, proves) {
            response.extensions_mut().insert(Examined { core, proves });
        }
        let proves = self.learn(proves);
        if prove && let Some(proof) = self.proof(proves) {
            proof.note(response.extensions_mut());
        }
        self.succeeded(Some((response.status(), response.headers())));
    }

    /// Looks at what an answer says of the server; returns whether it proves that the session's process goes on.
    pub(crate) fn examine(&self, headers: &HeaderMap) -> bool {
        self.learn(self.look_at(headers, true))
    }

    fn look_at(&self, headers: &HeaderMap, wants_proof: bool) -> Option<bool> {
        let (core, sent) = (self.manager.core(), self.sent?.at);
        if !matches!(self.bears, Bears::Nothing { .. }) {
            return core.examine(headers, sent, wants_proof);
        }
        let (stamp, is_public) = (Stamp::of(headers)?, self.is_public());
        let is_looked_at = core.overhear(Overheard { stamp, is_public }, sent, wants_proof);
        is_looked_at.then_some(false)
    }

    /// What follows for the session where an answer proves the process.
    fn learn(&self, proves: Option<bool>) -> bool {
        let (Some(sent), Some(true)) = (self.sent, proves) else {
            return false;
        };
        let Some(session) = self.session() else {
            return true;
        };
        // An answer to a request from before a restart may come when the new process is known by its window.
        let is_its = self.manager.core().is_process_of(session);
        if is_its {
            session.process_proven(sent.signs, sent.at, sent.uses);
        }
        is_its
    }

    /// Nobody's session has to do with it: it is answered also where Solana is away, or by a cache.
    fn is_public(&self) -> bool {
        let why = match &self.bears {
            Bears::Nothing { why, .. } => Some(why),
            Bears::Remembered(_) | Bears::Session(_) | Bears::Inline(_) => None,
        };
        matches!(why, Some(Bare::Public))
    }

    #[cold]
    pub(crate) fn saw_status(&self, status: StatusCode, headers: Option<&HeaderMap>) {
        if let Some(cause) = sign::in_status(status, headers) {
            self.saw(cause);
        }
    }

    fn saw_error(&self, error: &(dyn StdError + 'static)) {
        if let Some(cause) = client_error::in_error(error) {
            self.saw(cause);
        }
    }

    fn saw(&self, cause: Cause) {
        if !self.is_public() {
            self.manager.core().saw(cause);
        }
    }

    pub(crate) fn proof(&self, proves: bool) -> Option<Proof> {
        match &self.bears {
            Bears::Remembered(session) | Bears::Session(session) => {
                let proof = Proof::of(session, self.manager.core(), proves);
                Some(proof.with(self.inlined()))
            }
            Bears::Inline(_) => Some(Proof::Inline {
                inlined: self.inlined(),
                doubt: self.is_leaked().then_some(Doubt::Leaked),
            }),
            Bears::Nothing { why, .. } => match why {
                Bare::Public | Bare::SessionCall => None,
                Bare::OwnSession => Some(Proof::OwnSession),
                // What opted out has nothing noted.
                Bare::Without => {
                    let became = self.inlined.get().copied();
                    Some(Proof::without(became.unwrap_or_default()))
                }
            },
        }
    }

    /// The head of the response is there, as far as it is known.
    fn succeeded(&self, head: Option<(StatusCode, &HeaderMap)>) {
        match &self.bears {
            Bears::Remembered(session) | Bears::Session(session) => {
                self.manager.core().answered(session);
            }
            Bears::Inline(_) => {}
            Bears::Nothing { by_hand, .. } => {
                if let Some((by_hand, (status, headers))) = by_hand.as_ref().zip(head) {
                    by_hand.answered(self.manager.core(), status, headers);
                }
            }
        }
    }
}
