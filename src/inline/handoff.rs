//! What a session layer tells the inline layer below it about one request, and what it hears back.

use std::sync::{
    Arc, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    error::Error,
    front::{in_flight::InFlightRequest, manager::SessionManager, waiting::Waiting},
    lock::Lock,
    model::inlining::NotInlined,
};

/// A decision about one request, in its extensions. Its two ends share it: the session layer's future, and the inline
/// layer's, which puts back what the request was sent with.
#[derive(Clone)]
pub(crate) struct Handoff(Arc<Shared>);

struct Shared {
    manager: SessionManager,
    is_taken: AtomicBool,
    decision: Lock<Decision>,
}

/// What was decided, and later what the request was sent with.
pub(crate) enum Decision {
    /// The body stays as it is.
    Untouched,
    /// It bears this session, whose defaults are put in; or it was sent with it.
    Bears(InFlightRequest),
    /// It bears none yet.
    Open(Waiting),
}

impl Handoff {
    pub(crate) fn new(manager: &SessionManager, decision: Decision) -> Self {
        Self(Arc::new(Shared {
            manager: manager.clone(),
            is_taken: AtomicBool::new(false),
            decision: Lock::new(decision),
        }))
    }

    /// Whether the layer below has seen it.
    pub(crate) fn is_taken(&self) -> bool {
        self.0.is_taken.load(Ordering::Acquire)
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.0.manager
    }

    pub(crate) fn is_of(&self, manager: &SessionManager) -> bool {
        Arc::ptr_eq(self.0.manager.core(), manager.core())
    }

    /// What was decided. Once only: a request that is sent twice below the session layer needs
    /// a decision for each.
    pub(crate) fn take(&self) -> Option<Decision> {
        if self.0.is_taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(std::mem::replace(&mut *self.lock(), Decision::Untouched))
    }

    /// Notes what the request is sent with.
    pub(crate) fn put_back(&self, request: InFlightRequest) {
        *self.lock() = Decision::Bears(request);
    }

    /// The answer is there: what the request was sent with.
    pub(crate) fn close(&self) -> InFlightRequest {
        match std::mem::replace(&mut *self.lock(), Decision::Untouched) {
            Decision::Bears(request) => {
                if !self.is_taken() {
                    request.note(NotInlined::NoLayer.into());
                }
                request
            }
            Decision::Open(_) | Decision::Untouched => InFlightRequest::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Decision> {
        self.0.decision.lock()
    }
}

/// No session layer has said which session the request gets.
#[cold]
pub(crate) fn missing() -> Error {
    Error::config(
        "inline_defaults: no session layer has decided about the request, or it is sent a second time; expected an \
         `InlineDefaultsLayer` directly below the session layer of the same manager",
    )
}
