//! What stands for requests on their way, for as long as anybody holds it.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::manager::SessionManager;
use crate::{
    clock::{Reading, Span},
    driver::by_hand::ByHand,
    hot::{memo::Home, session::LiveSession},
    model::{
        inlining::{InlineDefaults, Inlined, NotInlined},
        partition::Partition,
    },
    secret::ApiKey,
};

/// Stands for one request, or for all that were given a session by the same memo. A request in flight is a handle too.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) manager: SessionManager,
    pub(crate) bears: Bears,
    /// While this goes on, the session has not expired. A wall clock that was set back in between hides an expiry. It is over
    /// from the start where the answer is to be looked at.
    pub(crate) young: Span,
    /// Where it stands for one request.
    pub(crate) sent: Option<Sent>,
    /// What became of the defaults in the body, once that is known. Where it stands for one request.
    pub(crate) inlined: OnceLock<Inlined>,
    /// The answer came from another origin. Of a request without a session: sessions know it by themselves.
    pub(crate) leaked: AtomicBool,
}

/// How things stood when a request was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Reading,
    /// How many signs there had been.
    pub(crate) signs: u64,
    /// How many requests its session had been given to, this one included.
    pub(crate) uses: u64,
}

/// What the request bears, and how it is counted.
#[derive(Debug)]
pub(crate) enum Bears {
    /// A session, which counts the references to this token: whoever has one, apart from the memo that hands them out, is a
    /// request.
    Remembered(Arc<LiveSession>),
    /// A session, in which this one request is counted.
    Session(Arc<LiveSession>),
    /// None, as its answer does not depend on one. Its body has the defaults of this partition, where it has any.
    Inline(Arc<Partition>),
    /// No session of ours; what comes of it still tells how the server is.
    Nothing {
        why: Bare,
        /// The API key, if it was put in.
        key: Option<ApiKey>,
        /// What it does to a session.
        by_hand: Option<ByHand>,
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
    /// It, or [`OnNoSession`](crate::model::settings::OnNoSession), said so.
    Without,
}

impl Token {
    /// For one request. `None` if the session is not to be used any more.
    pub(crate) fn on(
        session: &Arc<LiveSession>,
        manager: &SessionManager,
        now: Reading,
    ) -> Option<Arc<Self>> {
        session.in_flight.enter().then(|| {
            session.used(now);
            let sent = Sent {
                at: now,
                signs: manager.core().suspicion.signs(),
                uses: session.uses(),
            };
            Arc::new(Self {
                manager: manager.clone(),
                bears: Bears::Session(session.clone()),
                young: Span::default(),
                sent: Some(sent),
                inlined: OnceLock::new(),
                leaked: AtomicBool::new(false),
            })
        })
    }

    /// For requests that are given it there.
    pub(crate) fn remembered(
        session: &Arc<LiveSession>,
        manager: &SessionManager,
        home: Home,
        young: Span,
    ) -> Arc<Self> {
        let token = Arc::new(Self {
            manager: manager.clone(),
            bears: Bears::Remembered(session.clone()),
            young,
            sent: None,
            inlined: OnceLock::new(),
            leaked: AtomicBool::new(false),
        });
        session.in_flight.count_by(&token, home);
        token
    }

    pub(crate) fn session(&self) -> Option<&Arc<LiveSession>> {
        match &self.bears {
            Bears::Remembered(session) | Bears::Session(session) => Some(session),
            Bears::Inline(_) | Bears::Nothing { .. } => None,
        }
    }

    pub(crate) fn is_leaked(&self) -> bool {
        self.leaked.load(Ordering::Acquire)
    }

    pub(crate) fn is_for_one(&self) -> bool {
        !matches!(self.bears, Bears::Remembered(_))
    }

    /// What became of the defaults in its body.
    pub(crate) fn inlined(&self) -> Inlined {
        let by_setting = || match self.manager.core().settings.inline.defaults {
            InlineDefaults::Off => Inlined::Off,
            InlineDefaults::WithoutSession if self.session().is_some() => Inlined::Off,
            // Whoever has a body to look at notes what became of it.
            InlineDefaults::WithoutSession | InlineDefaults::Always => NotInlined::NoType.into(),
        };
        self.inlined.get().copied().unwrap_or_else(by_setting)
    }

    /// Whether an answer that is there now is in time, by the cheap wall clock alone.
    #[inline]
    pub(crate) fn is_young(&self) -> bool {
        self.manager.core().goes_on(self.young)
    }

    /// The request may still be on its way.
    pub(crate) fn linger(&self, until: Duration) {
        match &self.bears {
            Bears::Remembered(session) | Bears::Session(session) => {
                session.in_flight.linger(until);
            }
            Bears::Inline(_) => {}
            Bears::Nothing { by_hand, .. } => {
                if let Some(by_hand) = by_hand {
                    by_hand.linger(until);
                }
            }
        }
    }

    /// One request less. The last one says so to who waits for the session's end; a memo that hands the token out is one of
    /// its holders, and lets go of it when the session is retired.
    #[inline]
    pub(crate) fn release(self: Arc<Self>) {
        if let Some(last) = Arc::into_inner(self) {
            last.end();
        }
    }

    #[cold]
    fn end(self) {
        let (session, may_be_over) = match &self.bears {
            // One that is retired at this very moment is looked at from time to time.
            Bears::Remembered(session) => (session, session.in_flight.is_retired()),
            Bears::Session(session) => (session, session.in_flight.leave()),
            Bears::Inline(_) | Bears::Nothing { .. } => return,
        };
        if may_be_over {
            self.manager.core().released(session);
        }
    }
}
