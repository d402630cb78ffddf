//! Passes what is seen of the server to [`evidence`](crate::engine::evidence), for all API keys, and carries out what
//! that decides.

use std::{
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;

use super::{core::Core, question::Asking};
use crate::{
    api::Stamp,
    clock::{Reading, millis},
    engine::evidence::{Evidence, Fate, Overheard, Reaction, window::Exchange},
    headers,
    hot::session::LiveSession,
    lock::Lock,
    model::{
        event::Event,
        evidence::{Cause, Made},
    },
};

/// The shortest time between two looks at the headers of answers, in milliseconds. A layer that wants a proof looks
/// at each answer.
const LOOK: u64 = 250;

/// What is known about the server, and the free question that is under way.
#[derive(Debug)]
pub(crate) struct Inquiry {
    evidence: Lock<Evidence>,
    /// When a request has to consult the evidence next, by each of the two clocks, in milliseconds.
    look_at: [AtomicU64; 2],
    /// When the headers of an answer were last looked at, in milliseconds of monotonic time.
    looked_at: AtomicU64,
    /// The question that is under way.
    asking: Lock<Option<Asking>>,
    /// Set when it turns out that the server answers other calls, while `GET /v1/health` alone cannot be reached.
    /// Cleared when that is acted on.
    is_there: AtomicBool,
    pub(crate) asked: AtomicU64,
}

impl Inquiry {
    pub(crate) fn new(verify_after: Duration) -> Self {
        Self {
            evidence: Lock::new(Evidence::new(verify_after)),
            look_at: [const { AtomicU64::new(0) }; 2],
            looked_at: AtomicU64::new(0),
            asking: Lock::default(),
            is_there: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        }
    }

    /// Returns how often the server was asked for its health.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn evidence(&self) -> MutexGuard<'_, Evidence> {
        self.evidence.lock()
    }

    pub(crate) fn asking(&self) -> MutexGuard<'_, Option<Asking>> {
        self.asking.lock()
    }

    /// Changes the evidence, and updates when requests have to consult it next.
    pub(crate) fn with<T>(&self, now: Reading, change: impl FnOnce(&mut Evidence) -> T) -> T {
        let mut evidence = self.evidence();
        let outcome = change(&mut evidence);
        let wait = evidence.look_in(now);
        if evidence.take_news_of_presence() {
            self.is_there.store(true, Ordering::Release);
        }
        for (at, clock) in self.look_at.iter().zip([now.monotonic, now.wall]) {
            at.store(millis(clock.saturating_add(wait)), Ordering::Relaxed);
        }
        outcome
    }

    fn takes_news_of_presence(&self) -> bool {
        self.is_there.load(Ordering::Acquire) && self.is_there.swap(false, Ordering::AcqRel)
    }

    fn is_to_look(&self, now: Reading) -> bool {
        let is_due =
            |(at, clock): (&AtomicU64, Duration)| at.load(Ordering::Relaxed) <= millis(clock);
        self.look_at
            .iter()
            .zip([now.monotonic, now.wall])
            .any(is_due)
    }

    pub(crate) fn is_due(&self, now: Reading) -> bool {
        self.evidence().may_ask_in(now).is_zero()
    }

    /// Returns whether to examine the headers of this answer. That is one answer in 250 ms at most.
    fn takes_a_look(&self, now: Reading) -> bool {
        let (now, last) = (
            millis(now.monotonic),
            self.looked_at.load(Ordering::Relaxed),
        );
        (now >= last.saturating_add(LOOK) || now < last)
            && self
                .looked_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl Core {
    /// Called before a request gets a session. Returns whether the request has to wait until the server has been
    /// asked.
    pub(crate) fn is_held(self: &Arc<Self>, now: Reading) -> bool {
        if !self.inquiry.is_to_look(now) {
            return false;
        }
        let reaction = self.inquiry.with(now, |evidence| evidence.look(now));
        self.react(reaction, Cause::Unproven);
        reaction == Reaction::Hold
    }

    /// Notes an observation that the server may have restarted, and asks the server at once.
    pub(crate) fn saw(self: &Arc<Self>, cause: Cause) {
        let reaction = self.raise(cause);
        self.react(reaction, cause);
    }

    /// Returns whether a failed session call should stop requests from using sessions, even if the call was made in
    /// place of `GET /v1/health`. It need not if all sessions are suspect already, or if health alone cannot be
    /// reached.
    pub(crate) fn is_sign_to_others(&self) -> bool {
        let signs = self.suspicion.signs();
        let is_used = || {
            let sessions = self.sessions();
            self.has_heard() || sessions.iter().any(|session| !session.is_suspect(signs))
        };
        let (says_no_more, is_asking) = {
            let evidence = self.inquiry.evidence();
            (evidence.says_no_more(), evidence.is_asking())
        };
        // If a question is under way, the failure counts: the server may have answered the question before it.
        !says_no_more && (is_asking || is_used())
    }

    /// Notes an observation that the server may have restarted. The next request asks the server.
    pub(crate) fn note(&self, cause: Cause) {
        let reaction = self.raise(cause);
        self.hold(reaction, cause);
    }

    fn raise(&self, cause: Cause) -> Reaction {
        let now = self.now();
        self.inquiry
            .with(now, |evidence| evidence.raise(cause, now))
    }

    fn react(self: &Arc<Self>, reaction: Reaction, cause: Cause) {
        self.hold(reaction, cause);
        if reaction != Reaction::Nothing {
            self.ask_at_once();
        }
    }

    fn hold(&self, reaction: Reaction, cause: Cause) {
        if self.inquiry.takes_news_of_presence() {
            self.health_alone_is_away();
        }
        if reaction == Reaction::Hold {
            self.suspect(cause >= Cause::Sign);
        }
    }

    /// Examines the head of an answer. Returns whether it proves that the server's process is still the same, or `None`
    /// if the head was not examined.
    pub(crate) fn examine(
        self: &Arc<Self>,
        headers: &HeaderMap,
        sent: Reading,
        wants_proof: bool,
    ) -> Option<bool> {
        let received = self.now();
        if !(wants_proof || self.inquiry.takes_a_look(received)) {
            return None;
        }
        let (proves, reaction) = self.inquiry.with(received, |evidence| {
            let of_date = headers::date(headers).map(|date| evidence.see_date(date, received));
            let stamp = Stamp::of(headers);
            let seen = stamp.map(|stamp| evidence.see(stamp, Exchange { sent, received }));
            let (proves, of_window) = seen.unwrap_or((false, Reaction::Nothing));
            (proves, of_window.max(of_date.unwrap_or(Reaction::Nothing)))
        });
        self.react(reaction, Cause::Sign);
        Some(proves)
    }

    /// Examines the head of an answer to a request without a session. Returns whether it did: without `wants_proof`,
    /// most heads are skipped.
    pub(crate) fn overhear(
        self: &Arc<Self>,
        answer: Overheard,
        sent: Reading,
        wants_proof: bool,
    ) -> bool {
        let is_looked_at = wants_proof || self.inquiry.takes_a_look(self.now());
        if is_looked_at {
            let reaction = self.notice(answer, sent);
            self.react(reaction, Cause::Sign);
        }
        is_looked_at
    }

    /// Examines the head of the answer to a session call. Used if the result of the call says nothing about the
    /// server's process.
    pub(crate) fn saw_session_call(&self, stamp: Option<Stamp>, sent: Reading) {
        if let Some(stamp) = stamp {
            let is_public = false;
            let reaction = self.notice(Overheard { stamp, is_public }, sent);
            // Do not ask the server now: the next request does so.
            self.hold(reaction, Cause::Sign);
        }
    }

    fn notice(&self, answer: Overheard, sent: Reading) -> Reaction {
        let received = self.now();
        let exchange = Exchange { sent, received };
        self.inquiry
            .with(received, |evidence| evidence.overhear(answer, exchange))
    }

    /// Notes that a session was created at `made_at` by the server's clock.
    pub(crate) fn saw_create(
        self: &Arc<Self>,
        headers: &HeaderMap,
        sent: Reading,
        made_at: Duration,
    ) {
        // `has_sessions` also finds sessions that were evicted while in use, because they come back.
        let (received, is_first) = (self.now(), !self.has_sessions());
        let exchange = Exchange { sent, received };
        let reaction = self.inquiry.with(received, |evidence| {
            evidence.see_clock(made_at, exchange);
            evidence.created(Stamp::of(headers), exchange, is_first)
        });
        self.react(reaction, Cause::Sign);
    }

    /// Returns what happened to a session, if the server was asked after the last sign of a restart.
    pub(crate) fn judge(&self, session: &LiveSession, now: Reading) -> Option<Fate> {
        let (made, signs) = (session.made(now), self.suspicion.signs());
        let evidence = self.inquiry.evidence();
        let fate = evidence.judge(&made, signs)?;
        let is_in_doubt = fate == Fate::Alive && evidence.proven_at(&made).is_none();
        // The session was idle for so long that the server is asked for it anyway. Its fate is in doubt as well, so let
        // the request wait for that answer.
        Some(if is_in_doubt && session.is_out_of_sight(now) {
            Fate::Unclear
        } else {
            fate
        })
    }

    /// Marks a session as not affected by the first `signs` signs of a restart. `before` is a time, and how many
    /// requests had got the session until then. These requests are proved if the server was asked after that time.
    /// Later ones are not: another process of the server may have answered them.
    pub(crate) fn clears(&self, session: &LiveSession, signs: u64, before: Option<(Reading, u64)>) {
        session.goes_on(signs);
        let asked = self.inquiry.evidence().proven_at(&session.made(self.now()));
        let is_proven = |at: Reading| asked.is_some_and(|asked| asked.monotonic >= at.monotonic);
        if let Some((at, uses)) = before.filter(|(at, _)| is_proven(*at)) {
            session.process_proven(signs, at, uses);
        }
    }

    /// Returns whether the server itself has answered after the last sign of a restart. If not, sessions that are still
    /// used are in doubt.
    pub(crate) fn has_heard(&self) -> bool {
        let signs = self.suspicion.signs();
        self.inquiry.evidence().was_told(signs)
    }

    /// Checks whether the server has been asked since a session became suspect. If the session is alive, removes the
    /// suspicion. Returns whether it did.
    pub(crate) fn is_cleared(&self, session: &LiveSession, now: Reading) -> bool {
        let signs = self.suspicion.signs();
        let goes_on = self.judge(session, now) == Some(Fate::Alive);
        if goes_on {
            session.goes_on(signs);
        }
        goes_on
    }

    /// Returns the server's clock at `now`, if it is known.
    pub(crate) fn servers_clock(&self, now: Reading) -> Option<Duration> {
        self.inquiry.evidence().clock(now)
    }

    /// Returns whether a session of another process of the fleet was created by the server's process that is known
    /// here.
    pub(crate) fn vouches_for(&self, made: &Made) -> bool {
        self.inquiry.evidence().vouches_for(made)
    }

    /// Returns whether this session certainly belongs to the server process that answers now. If so, an answer that
    /// proves this process also proves the session's process. It is not certain if several processes share the server's
    /// address, or if the server may have restarted just after the create.
    pub(crate) fn is_process_of(&self, session: &LiveSession) -> bool {
        let made = session.made(self.now());
        self.inquiry.evidence().is_process_of(&made)
    }

    /// Notes that the server was asked for a session and has it. If the server has the oldest session, it has all
    /// younger ones, too.
    pub(crate) fn saw_get(
        self: &Arc<Self>,
        session: &LiveSession,
        head: &HeaderMap,
        sent: Reading,
    ) {
        let received = self.now();
        let (stamp, exchange) = (Stamp::of(head), Exchange { sent, received });
        self.inquiry
            .with(received, |evidence| evidence.call_answered(sent));
        if !self.is_oldest(session, received) {
            let found = |evidence: &mut Evidence| evidence.found(stamp, exchange);
            let reaction = self.inquiry.with(received, found);
            return self.react(reaction, Cause::Hint);
        }
        self.inquiry.with(received, |evidence| {
            if let Some(stamp) = stamp {
                evidence.knows(stamp, exchange);
            }
            evidence.goes_on(received);
        });
    }

    pub(crate) fn is_oldest(&self, session: &LiveSession, now: Reading) -> bool {
        let made = session.made(now);
        // Compare by the local clock as well: the server's clock may have been set back between two creates.
        let is_older =
            |other: Made| other.at < made.at || other.born.monotonic < made.born.monotonic;
        let sessions = self.sessions();
        let others = sessions.iter().filter(|other| other.is_usable(now));
        !others.map(|other| other.made(now)).any(is_older)
    }

    /// Makes all sessions suspect: no request gets one before the server has been asked. Emits [`Event::Suspected`] for
    /// the first sign, if `is_told`. Returns how many signs there have been.
    pub(crate) fn suspect(&self, is_told: bool) -> u64 {
        let (signs, is_first) = self.suspicion.raise(self.now(), is_told);
        self.memos.forget_all();
        if is_first {
            self.emit(Event::Suspected {
                // Not moka's entry count, which lags behind.
                live_sessions: self.live.iter().count() as u64,
            });
        }
        signs
    }
}
