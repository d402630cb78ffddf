//! What is the same for every service that the layer wraps.

use std::sync::Arc;

use tower_layer::Layer;

use super::{ReplayLayer, SessionService};
use crate::{
    api::SessionDefaults,
    error::Error,
    manager::{
        SessionManager,
        admit::{Admission, Outgoing},
        memo::Memory,
        partition::HashedDefaults,
    },
};

/// Puts sessions on requests: a [`tower_layer::Layer`], and with the feature `reqwest-middleware` also a
/// `reqwest_middleware::Middleware`.
///
/// A request fails with an [`Error`] and is not sent when it cannot be given a live session:
///
/// * [`InvalidRequest`](crate::ErrorKind::InvalidRequest) if it bears a session id or API key that the server would not
///   read as it was meant,
/// * [`NoApiKey`](crate::ErrorKind::NoApiKey) if it bears none and none is configured,
/// * [`Shutdown`](crate::ErrorKind::Shutdown) once the manager shuts down,
/// * [`Timeout`](crate::ErrorKind::Timeout) after `max_wait`,
/// * and whatever kept the session from being created.
///
/// See the [module](crate::layer) for an example.
#[derive(Clone, Debug)]
pub struct SessionLayer {
    manager: SessionManager,
    defaults: Option<HashedDefaults>,
    proves: bool,
    memory: Arc<Memory>,
}

impl SessionLayer {
    /// Makes a layer that uses the manager's defaults.
    pub fn new(sessions: SessionManager) -> Self {
        Self {
            manager: sessions,
            defaults: None,
            proves: false,
            memory: Arc::new(Memory::new()),
        }
    }

    /// Makes it a layer for exactly these defaults instead of the manager's.
    ///
    /// This is also the way for `reqwest::Request` as a tower request, whose extensions nobody else can see.
    #[must_use]
    pub fn defaults(mut self, defaults: SessionDefaults) -> Self {
        self.defaults = Some(HashedDefaults::new(defaults));
        // What was found for others is none of its business.
        self.memory = Arc::new(Memory::new());
        self
    }

    /// Has every response say, by a [`Proof`](crate::Proof) in its extensions, which session its request was sent with.
    /// Defaults to none.
    #[must_use]
    pub fn with_proof(mut self) -> Self {
        self.proves = true;
        self
    }

    /// Makes it a layer that sends a request once more where its first sending met a sign of a server that restarts: see
    /// [`ReplayLayer`]. Nothing is replayed without it.
    pub fn replay_once(self) -> ReplayLayer {
        ReplayLayer::new(self)
    }

    pub(crate) fn proves(&self) -> bool {
        self.proves
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.manager
    }

    pub(crate) fn admit<R: Outgoing>(&self, request: &mut R) -> Result<Admission, Error> {
        self.manager
            .admit(request, self.defaults.as_ref(), &self.memory)
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::with(inner, self.clone())
    }
}
