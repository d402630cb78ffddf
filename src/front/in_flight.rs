//! A request in flight, and what its outcome says.
//!
//! A session must not be deleted while the server may still be reading a request that carries its id: the server looks
//! the id up only after the whole body has arrived. So each request holds a [`Token`] from the moment its header is put
//! in until the head of its response has arrived.

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

/// No status below this one is a sign of trouble.
const LEAST_SIGN: u16 = 410;

/// A request to Sipher, until its outcome is known. It holds no token after that, and none at all if nothing can be
/// learnt from its answer.
///
/// If it is dropped without an outcome, the request counts as in flight for another `linger`: the server may still be
/// reading it.
#[derive(Debug, Default)]
pub(crate) struct InFlightRequest(Option<Arc<Token>>);

impl InFlightRequest {
    #[inline]
    pub(crate) fn by(token: Arc<Token>) -> Self {
        Self(Some(token))
    }

    /// Creates a request that carries no session of the manager. Its answer is still examined, because it counts in a
    /// rate-limit window. These windows show which process of the server answers. If such answers were left out, two
    /// processes could look like one.
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

    /// Puts the session id into the headers, if there is a session. Replaces any other id: the server ignores the
    /// header if it occurs twice, even with equal ids.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) if there is no room for another header. The
    /// request is then not sent.
    pub(crate) fn put_into(self, headers: &mut HeaderMap) -> Result<Self, Error> {
        let unsent = Unsent::from(self);
        if let Some(session) = unsent.token().and_then(Token::session) {
            headers::put(headers, SESSION_ID, session.id.to_header())?;
        }
        Ok(unsent.send())
    }

    /// Ends the request when the head of its response has arrived. With `prove`, puts the proof into the response.
    ///
    /// `at_once` says that the response was ready when it was first polled. Such a response is late only if its caller
    /// polled it late.
    #[inline]
    pub(crate) fn complete(&mut self, response: &mut impl Incoming, prove: bool, at_once: bool) {
        let Some(token) = &self.0 else { return };
        response.answered_from(|target| token.was_answered_from(target));
        if response.status().as_u16() >= LEAST_SIGN {
            token.saw_status(response.status(), Some(response.headers()));
        }
        // Skip the rest if the response was ready at once and the session has certainly not expired (the token is
        // young). So only requests that a memo let pass are skipped. A request that needs a proof has a token of its
        // own, which is never young.
        if !(at_once && token.is_young()) {
            token.answered(response, prove);
        }
        self.release();
    }

    /// Ends the request when it failed without a response.
    #[cold]
    pub(crate) fn fail(&mut self, error: &(dyn StdError + 'static)) {
        let Some(token) = &self.0 else { return };
        if let Some(target) = leak::given_up_at(error) {
            token.was_answered_from(target);
        }
        token.saw_error(error);
        self.linger();
    }

    /// Ends the request when its caller dropped it, perhaps because no answer came.
    #[cold]
    fn given_up(&mut self) {
        if let Some(token) = &self.0 {
            token.saw(Cause::Hint);
        }
        self.linger();
    }

    /// Lets the session linger, because the server may still be reading the request.
    #[cold]
    fn linger(&mut self) {
        let Some(token) = &self.0 else { return };
        token.linger(token.manager.core().linger_until());
        self.release();
    }

    /// Ends the request when the head of its response has arrived and nothing else is known about it.
    pub(crate) fn answered(&mut self) {
        let Some(token) = &self.0 else { return };
        token.succeeded(None);
        self.release();
    }

    /// Releases the token. Always the last step: the steps before it call users' clocks and subscribers, which may
    /// panic. Then dropping the request still counts it as in flight for another `linger`.
    #[inline]
    fn release(&mut self) {
        if let Some(token) = self.0.take() {
            token.release();
        }
    }

    /// Returns whether something can be learnt from the outcome.
    #[inline]
    pub(crate) fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the defaults of the request's session. Returns `None` if the request carries no session of this manager.
    pub(crate) fn defaults(&self) -> Option<Arc<SessionDefaults>> {
        let session = self.token()?.session()?;
        Some(session.partition.defaults.clone())
    }

    /// Returns whether the session may still be sent.
    pub(crate) fn is_in_order(&self) -> bool {
        let Some(token) = &self.0 else { return true };
        let core = token.manager.core();
        token
            .session()
            .is_none_or(|session| core.is_good(session, core.now()))
    }

    /// Records and counts whether the defaults were put into the body.
    pub(crate) fn note(&self, inlined: Inlined) {
        let Some(token) = &self.0 else { return };
        token.manager.core().observer.inlined(inlined);
        // Requests that a memo let pass share one token, and nobody asks for their proof.
        if token.is_for_one() {
            let _ = token.inlined.set(inlined);
        }
    }

    pub(crate) fn token(&self) -> Option<&Token> {
        self.0.as_deref()
    }
}

/// A request that is ready to be sent but may be stopped. If it is dropped, it ends without a linger and without a sign
/// of trouble.
#[derive(Debug)]
pub(crate) struct Unsent(InFlightRequest);

impl From<InFlightRequest> for Unsent {
    fn from(request: InFlightRequest) -> Self {
        Self(request)
    }
}

impl Unsent {
    /// Marks the request as sent.
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
    /// Releases the token without an outcome, because no answer came. So if the session ended while a body was read, no
    /// late answer is reported.
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

/// Marks a response whose headers were examined. Otherwise a second layer of the same manager would take the response
/// for a second answer in the same window.
#[derive(Clone, Copy, Debug)]
struct Examined {
    core: usize,
    proves: bool,
}

impl Token {
    /// Examines the head of the response, and puts the proof in with `prove`.
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

    /// Examines an answer's headers. Returns whether they prove that the process which has the session is still
    /// running.
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

    /// Updates the session after an answer. Returns whether the answer proves that the server process with this session
    /// still runs.
    fn learn(&self, proves: Option<bool>) -> bool {
        let (Some(sent), Some(true)) = (self.sent, proves) else {
            return false;
        };
        let Some(session) = self.session() else {
            return true;
        };
        // Example: a request was sent before a restart, and the new process answers it. If the rate-limit window of the
        // new process is known by now, the answer proves the new process, and not the one that has this session.
        let is_its = self.manager.core().is_process_of(session);
        if is_its {
            // Leave out the other requests in flight: they may have been sent earlier, and another process may still
            // answer them.
            let others = session.in_flight.count().saturating_sub(1) as u64;
            let uses = sent.uses.saturating_sub(others);
            session.process_proven(sent.signs, sent.at, uses);
        }
        is_its
    }

    /// Returns whether the path is public. No session is needed there. Its failures are no signs: health fails while
    /// Solana is away, and a cache may answer.
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
                // Nothing was recorded for a request with `NoSession`.
                Bare::Without => {
                    let became = self.inlined.get().copied();
                    Some(Proof::without(became.unwrap_or_default()))
                }
            },
        }
    }

    /// Ends the request after the head of its response has arrived. `head` is `None` if the caller did not pass it.
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
