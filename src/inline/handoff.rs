//! How a session layer and the inline layer below it pass each other the decision about one request.

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

/// The session layer's decision about one request. It is in the request's extensions, and the futures of both layers
/// share it. The inline layer takes the decision, and puts back the session with which the request was sent.
#[derive(Clone)]
pub(crate) struct Handoff(Arc<Shared>);

struct Shared {
    manager: SessionManager,
    is_taken: AtomicBool,
    decision: Lock<Decision>,
}

/// The session layer's decision. Once the request was sent: with which session.
pub(crate) enum Decision {
    /// The body must not change.
    Untouched,
    /// The request has this session, whose defaults go into the body. Once the request was sent: it was sent with this
    /// session.
    Bears(InFlightRequest),
    /// The request has no session yet, and may wait for one.
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

    /// Returns whether the layer below has taken the decision.
    pub(crate) fn is_taken(&self) -> bool {
        self.0.is_taken.load(Ordering::Acquire)
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.0.manager
    }

    pub(crate) fn is_of(&self, manager: &SessionManager) -> bool {
        Arc::ptr_eq(self.0.manager.core(), manager.core())
    }

    /// Takes the decision. Returns `None` the second time: a request that is sent twice below the session layer would
    /// need a decision for each sending.
    pub(crate) fn take(&self) -> Option<Decision> {
        if self.0.is_taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(std::mem::replace(&mut *self.lock(), Decision::Untouched))
    }

    /// Notes with which session the request is sent.
    pub(crate) fn put_back(&self, request: InFlightRequest) {
        *self.lock() = Decision::Bears(request);
    }

    /// Returns with which session the request was sent. Called when the response has arrived, or when its future is
    /// dropped.
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

/// The error if no session layer has chosen a session for the request.
#[cold]
pub(crate) fn missing() -> Error {
    Error::config(
        "inline_defaults: no session layer has decided about the request, or it is sent a second time; expected an \
         `InlineDefaultsLayer` directly below the session layer of the same manager",
    )
}
