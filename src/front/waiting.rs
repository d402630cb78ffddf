//! A request that waits for a session.

use std::sync::Arc;

use super::{
    admit::{Admission, AdmissionFuture},
    in_flight::InFlightRequest,
    manager::SessionManager,
    message::Outgoing,
    patience::Limit,
    token::{Bare, Bears},
};
use crate::{
    api::SessionDefaults,
    driver::{known_ids::IdHash, stage::Stage, whose::Whose},
    error::{Error, ErrorKind},
    model::{
        inlining::{InlineDefaults, Inlined, NotInlined},
        partition::Partition,
        settings::OnNoSession,
    },
    secret::ApiKey,
};

/// What a request waits for.
pub(crate) enum Wanted {
    Session(Arc<Partition>),
    /// A session of this API key with the manager's defaults, which must first be read from the fleet's store.
    OfManager(ApiKey),
}

impl Wanted {
    pub(crate) fn partition(&self) -> Option<&Arc<Partition>> {
        match self {
            Self::Session(partition) => Some(partition),
            Self::OfManager(_) => None,
        }
    }

    pub(crate) fn key(&self) -> &ApiKey {
        match self {
            Self::Session(partition) => &partition.key,
            Self::OfManager(key) => key,
        }
    }
}

/// A request without a session. It can wait for one, or go without one if its body names all defaults.
pub(crate) struct Waiting {
    manager: SessionManager,
    wanted: Wanted,
    /// The session id that the request came with. The session must have this id.
    brought: Option<IdHash>,
    /// Why the body does not name all defaults, if merging was tried.
    inlined: Inlined,
    /// Whether to create a session for later requests.
    sees_to_one: bool,
    /// The request's own limit on its wait, if it has one.
    limit: Option<Limit>,
}

impl Waiting {
    pub(crate) fn new(manager: &SessionManager, wanted: Wanted) -> Self {
        let manager = manager.clone();
        Self {
            manager,
            wanted,
            brought: None,
            inlined: Inlined::Off,
            sees_to_one: true,
            limit: None,
        }
    }

    /// Takes over the limit that the request sets for its wait.
    pub(crate) fn of_request<R: Outgoing>(self, request: &R) -> Self {
        let core = self.manager.core();
        let limit = Limit::of(request, &core.settings, core.uptime());
        Self { limit, ..self }
    }

    pub(crate) fn that_brought(self, id: IdHash) -> Self {
        let brought = Some(id);
        Self { brought, ..self }
    }

    pub(crate) fn unless_inlined(self, inlined: Inlined) -> Self {
        Self { inlined, ..self }
    }

    /// Returns a wait for another session, for a request whose session ended before the request was sent.
    pub(crate) fn instead_of(request: &InFlightRequest) -> Option<Self> {
        let token = request.token()?;
        let partition = token.session()?.partition.clone();
        let waiting = Self::new(&token.manager, Wanted::Session(partition));
        // Start no create for later requests: if the defaults were changed meanwhile, no later request needs a session
        // like this one.
        let sees_to_one = false;
        Some(Self {
            sees_to_one,
            ..waiting
        })
    }

    /// Returns the request with a session, if there is one by now.
    pub(crate) fn session_at_hand(&self) -> Option<InFlightRequest> {
        let lease = self.manager.try_lease(self.partition()?.id)?;
        Some(lease.into_request())
    }

    /// Returns the defaults that the session will have. Returns `None` if they are not known yet, or if the request
    /// must get one particular session.
    pub(crate) fn defaults(&self) -> Option<Arc<SessionDefaults>> {
        Some(self.partition()?.defaults.clone())
    }

    fn partition(&self) -> Option<&Arc<Partition>> {
        match &self.wanted {
            Wanted::Session(partition) if self.brought.is_none() => Some(partition),
            Wanted::Session(_) | Wanted::OfManager(_) => None,
        }
    }

    /// Waits until there is a session, or until it is certain that there is none. If defaults may go into bodies, also
    /// returns once the defaults are known.
    pub(crate) fn wait(self) -> AdmissionFuture {
        let inlines = self.manager.core().settings.inline.defaults != InlineDefaults::Off;
        Box::pin(async move {
            match (self.brought, self.inlined, &self.wanted) {
                (None, _, Wanted::OfManager(_)) if inlines => return self.look_up().await,
                (None, Inlined::Not { reason }, _) => self.wait_as(reason).await,
                _ => self.for_headers().await,
            }
            .map(Admission::Send)
        })
    }

    /// Waits for a session for headers alone, without a body to merge defaults into.
    pub(crate) async fn for_headers(self) -> Result<InFlightRequest, Error> {
        let (manager, limit) = (self.manager, self.limit);
        if let Some(id) = self.brought {
            manager.lease_if_it_is(id, self.wanted, limit).await
        } else {
            manager.lease_or_without(self.wanted, limit).await
        }
    }

    async fn look_up(self) -> Result<Admission, Error> {
        let key = self.wanted.key().clone();
        match self.manager.look_up(self.wanted, self.limit).await {
            Ok(partition) => {
                let wanted = Wanted::Session(partition);
                Ok(Admission::Wait(Self { wanted, ..self }))
            }
            Err(error) => self.manager.without(key, error).map(Admission::Send),
        }
    }

    async fn wait_as(self, reason: NotInlined) -> Result<InFlightRequest, Error> {
        let manager = self.manager.clone();
        let makes_sessions = manager.core().settings.inline.makes_sessions;
        let leased = self.manager.lease_or_without(self.wanted, self.limit);
        match leased.await {
            Ok(request) => {
                if request.defaults().is_none() {
                    request.note(reason.into());
                }
                Ok(request)
            }
            Err(error) if !makes_sessions && error.kind() != ErrorKind::Shutdown => {
                Err(not_inlined(&manager, reason))
            }
            Err(error) => Err(error),
        }
    }

    /// Starts a create for later requests.
    pub(crate) fn see_to_one(self) -> Self {
        let core = self.manager.core();
        if let Some(partition) = self.partition().filter(|_| self.sees_to_one)
            && core.settings.inline.makes_sessions
        {
            // If the create cannot start, events report the cause. This request does not fail for it.
            core.see_to(partition);
        }
        let sees_to_one = false;
        Self {
            sees_to_one,
            ..self
        }
    }

    /// Sends the request without a session, because its answer does not depend on one. A session is created in the
    /// background for later requests.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Shutdown`](crate::ErrorKind::Shutdown) if the manager is shutting down.
    pub(crate) fn go_without(self) -> Result<InFlightRequest, Error> {
        if self.manager.core().stage() != Stage::Open {
            return Err(Error::shutdown());
        }
        let waiting = self.see_to_one();
        let Some(partition) = waiting.partition().cloned() else {
            return Ok(InFlightRequest::default());
        };
        let bears = Bears::Inline(partition);
        Ok(InFlightRequest::bare(waiting.manager, bears))
    }
}

impl SessionManager {
    /// Waits for a session. If there is none, [`OnNoSession`] decides whether the request is sent without one.
    pub(crate) async fn lease_or_without(
        self,
        wanted: Wanted,
        limit: Option<Limit>,
    ) -> Result<InFlightRequest, Error> {
        let key = wanted.key().clone();
        match self.lease_on(wanted, limit).await {
            Ok(lease) => Ok(lease.into_request()),
            Err(error) => self.without(key, error),
        }
    }

    fn without(self, key: ApiKey, error: Error) -> Result<InFlightRequest, Error> {
        match self.core().settings.on_no_session {
            _ if error.kind() == ErrorKind::Shutdown => Err(error),
            OnNoSession::Fail => Err(error),
            OnNoSession::SendWithout => {
                self.core().observer.sent_without(&key, &error);
                let bears = Bears::Nothing {
                    why: Bare::Without,
                    key: Some(key),
                    by_hand: None,
                };
                Ok(InFlightRequest::bare(self, bears))
            }
        }
    }
}

impl SessionManager {
    pub(crate) fn whose(&self, wanted: &Wanted) -> Whose {
        match wanted {
            Wanted::Session(partition) => Whose::of(partition),
            Wanted::OfManager(key) => Whose {
                key: key.clone(),
                defaults: self.identity().defaults().defaults.clone(),
            },
        }
    }
}

/// Returns the error of a request whose defaults can only be sent in its body, and whose body cannot be merged.
#[cold]
pub(crate) fn not_inlined(manager: &SessionManager, reason: NotInlined) -> Error {
    manager.core().observer.inlined(reason.into());
    let text = format!(
        "its defaults cannot be put into its body: {reason}; expected a plain JSON object in UTF-8"
    );
    Error::new(ErrorKind::InvalidRequest, text)
}
