//! The token of requests in flight. A request is in flight for as long as it holds a token.

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

/// Represents one request, or all requests that got their session from the same memo. A request in flight keeps the
/// manager alive, like a handle.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) manager: SessionManager,
    pub(crate) bears: Bears,
    /// While this span lasts, the session has not expired, by the cheap wall clock. If that clock was set back, an
    /// expiry may go unnoticed. The span is empty if each answer has to be examined.
    pub(crate) young: Span,
    /// Set if the token represents one request.
    pub(crate) sent: Option<Sent>,
    /// What became of the defaults in the body, once that is known. Only if the token represents one request.
    pub(crate) inlined: OnceLock<Inlined>,
    /// Whether the answer came from another origin. Used only without a session: a session records its leaks itself.
    pub(crate) leaked: AtomicBool,
}

/// The state of things when a request was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Reading,
    /// How many signs of trouble there had been.
    pub(crate) signs: u64,
    /// How many requests had got the session, including this one.
    pub(crate) uses: u64,
}

/// What the request carries, and how it is counted as in flight.
#[derive(Debug)]
pub(crate) enum Bears {
    /// A session from a memo. Many requests share this token, and the session counts the references to it. One
    /// reference belongs to the memo, each other one to a request.
    Remembered(Arc<LiveSession>),
    /// The session of one request, which has been added to the session's count.
    Session(Arc<LiveSession>),
    /// No session, because the answer does not depend on one. If the request has a body, the body has the defaults of
    /// this partition.
    Inline(Arc<Partition>),
    /// No session of the manager. The outcome may still show that the server has restarted.
    Nothing {
        why: Bare,
        /// The API key, if the manager put it in.
        key: Option<ApiKey>,
        /// The session that the request changes or deletes, or whose id the caller has put in.
        by_hand: Option<ByHand>,
    },
}

/// Why a request carries no session of the manager.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bare {
    /// The path is public: it needs neither key nor session.
    Public,
    /// It is a session call.
    SessionCall,
    /// The caller has put in a session id that is kept.
    OwnSession,
    /// The caller, or [`OnNoSession`](crate::model::settings::OnNoSession), asked for it.
    Without,
}

impl Token {
    /// Creates a token for one request. Returns `None` if the session must not be used any more.
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

    /// Creates a token for all requests that get the session from the memo at `home`.
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

    /// Returns what became of the defaults in the request's body.
    pub(crate) fn inlined(&self) -> Inlined {
        let by_setting = || match self.manager.core().settings.inline.defaults {
            InlineDefaults::Off => Inlined::Off,
            InlineDefaults::WithoutSession if self.session().is_some() => Inlined::Off,
            // The result is recorded if a body was examined. So this request had no JSON body.
            InlineDefaults::WithoutSession | InlineDefaults::Always => NotInlined::NoType.into(),
        };
        self.inlined.get().copied().unwrap_or_else(by_setting)
    }

    /// Returns whether an answer that arrives now is in time. Reads only the cheap wall clock.
    #[inline]
    pub(crate) fn is_young(&self) -> bool {
        self.manager.core().goes_on(self.young)
    }

    /// Counts the request as in flight until `until`, because the server may still be reading it.
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

    /// Ends one request. The last holder of the token wakes the task that waits to delete the session. The memo also
    /// holds the token, and drops it when the session is retired.
    #[inline]
    pub(crate) fn release(self: Arc<Self>) {
        if let Some(last) = Arc::into_inner(self) {
            last.end();
        }
    }

    #[cold]
    fn end(self) {
        let (session, may_be_over) = match &self.bears {
            // Another thread may retire the session at this moment, unseen here. Then nobody is woken. But the task
            // that deletes sessions also looks at this session regularly.
            Bears::Remembered(session) => (session, session.in_flight.is_retired()),
            Bears::Session(session) => (session, session.in_flight.leave()),
            Bears::Inline(_) | Bears::Nothing { .. } => return,
        };
        if may_be_over {
            self.manager.core().released(session);
        }
    }
}
