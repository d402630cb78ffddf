//! What one request needs before it may be sent. Every rule is here once, for all kinds of clients.

use std::{error::Error as StdError, future::Future, pin::Pin, sync::Arc};

use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    Lease, Proof, SessionManager,
    identity::Identity,
    leak,
    memo::Memory,
    partition::{HashedDefaults, KeyId, Partition, PartitionId},
    suspicion,
};
use crate::{
    api::SessionDefaults,
    error::{Error, ErrorKind},
    followed,
    headers::{self, API_KEY},
    scope::{Place, Scope, Target, Unaddressed},
    secret::ApiKey,
};

/// Put into a request's extensions, sends it without a session: the server's own defaults apply.
///
/// The API key is still put in.
///
/// ```
/// use sipher_session::NoSession;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(NoSession);
/// ```
#[allow(clippy::exhaustive_structs)] // says all it will ever say
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoSession;

/// What happens to a request for which no session can be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnNoSession {
    /// It is not sent, and fails with the error that says why.
    #[default]
    Fail,
    /// It is sent without a session, so that **the server's own defaults apply**: another chain, and less privacy than
    /// was asked for. [`Stats::sent_without`](crate::Stats) counts these requests, and
    /// [`Event::SendingWithout`](crate::Event) tells of each cause. A manager that shuts down, and a request that is
    /// wrong in itself, fail all the same.
    SendWithout,
}

/// A request of any client's, as far as this crate looks at it.
pub(crate) trait Outgoing {
    /// Where it goes, if it says so.
    fn target(&self) -> Option<Target<'_>>;
    /// The same, not yet taken apart.
    fn place(&self) -> Option<Place<'_>>;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// What its sender says about it, where the client has room for that.
    fn extensions(&self) -> Option<&Extensions>;
}

/// A request on its way to Sipher, until what comes of it is known.
pub(crate) enum InFlightRequest {
    /// It bears a session.
    Leased(Lease),
    /// It bears none of ours; what comes of it still tells how the server is.
    Bare {
        manager: SessionManager,
        why: Bare,
        /// The API key, if it was put in.
        key: Option<ApiKey>,
    },
}

/// Why a request bears no session of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bare {
    /// It is about sessions itself.
    SessionCall,
    /// It bore an id of its own.
    OwnSession,
    /// It, or [`OnNoSession`], said so.
    Without,
}

impl InFlightRequest {
    /// Puts the session in, if there is one.
    pub(crate) fn inject(&self, headers: &mut HeaderMap) {
        if let Self::Leased(lease) = self {
            lease.inject(headers);
        }
    }

    pub(crate) fn into_lease(self) -> Option<Lease> {
        match self {
            Self::Leased(lease) => Some(lease),
            Self::Bare { .. } => None,
        }
    }

    /// The head of the response is there. What it proves is put in if `prove` says so; one that was there `at_once` is not
    /// late.
    pub(crate) fn complete(self, response: &mut impl Incoming, prove: bool, at_once: bool) {
        if let Some(target) = response.answered_from() {
            self.was_answered_from(target);
        }
        let status = response.status();
        self.manager().saw_status(status);
        if let Some(proof) = prove.then(|| self.proof()).flatten() {
            response.extensions_mut().insert(proof);
        }
        match self {
            Self::Leased(lease) if at_once => lease.complete_at_once(),
            Self::Leased(lease) => lease.complete(),
            Self::Bare { .. } => {}
        }
    }

    fn proof(&self) -> Option<Proof> {
        match self {
            Self::Leased(lease) => Some(lease.proof()),
            Self::Bare { why, .. } => match why {
                Bare::SessionCall => None,
                Bare::OwnSession => Some(Proof::OwnSession),
                Bare::Without => Some(Proof::Without),
            },
        }
    }

    /// It failed without a response.
    pub(crate) fn fail(self, error: &(dyn StdError + 'static)) {
        if let Some(target) = leak::given_up_at(error) {
            self.was_answered_from(target);
        }
        match self {
            Self::Leased(lease) => lease.fail(error),
            Self::Bare { manager, .. } => manager.saw_error(error),
        }
    }
}

impl SessionManager {
    pub(crate) fn saw_status(&self, status: StatusCode) {
        if suspicion::in_status(status) {
            self.core().suspect();
        }
    }

    pub(crate) fn saw_error(&self, error: &(dyn StdError + 'static)) {
        if suspicion::in_error(error) {
            self.core().suspect();
        }
    }
}

/// A response of any client's, as far as this crate looks at it.
pub(crate) trait Incoming {
    fn status(&self) -> StatusCode;
    /// Where it came from, if it says so: elsewhere than the request was sent to if the client followed redirects.
    fn answered_from(&self) -> Option<Target<'_>>;
    fn extensions_mut(&mut self) -> &mut Extensions;
}

impl<B> Incoming for http::Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn answered_from(&self) -> Option<Target<'_>> {
        Target::of_uri(followed::last_uri(self.extensions())?)
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions_mut()
    }
}

/// A request that may go out, now or as soon as there is a session for it.
pub(crate) enum Admission {
    /// As it is, and nothing is to be learnt from what comes of it.
    Pass,
    /// As it is now.
    Send(InFlightRequest),
    /// Once this is ready, which is then put in.
    Wait(AdmissionFuture),
}

/// Holds no borrow of the request or of the service.
pub(crate) type AdmissionFuture =
    Pin<Box<dyn Future<Output = Result<InFlightRequest, Error>> + Send>>;

/// What is to be put into a request's headers.
enum Need {
    Nothing,
    Key {
        key: Option<HeaderValue>,
        why: Bare,
    },
    Session {
        id: PartitionId,
        key: Option<HeaderValue>,
    },
}

impl SessionManager {
    /// Decides about a request, and puts in what is at hand. `layer` are the defaults of the layer that it passes, and
    /// `unaddressed` is what that takes for Sipher's.
    pub(crate) fn admit<R: Outgoing>(
        &self,
        request: &mut R,
        layer: Option<&HashedDefaults>,
        unaddressed: Unaddressed,
        memory: &Memory,
    ) -> Result<Admission, Error> {
        if let Some(lease) = self.recall(request, memory) {
            return Ok(Admission::Send(InFlightRequest::Leased(lease)));
        }
        let scope = self.scope(request, unaddressed);
        self.admit_in(scope, request, layer, Some(memory))
    }

    /// The way of a request that is in every respect like the one before it. What it does not cover, `admit_in` does.
    #[inline]
    fn recall<R: Outgoing>(&self, request: &mut R, memory: &Memory) -> Option<Lease> {
        let core = self.core();
        if !core.settings.base.is_plainly_ours(request.place()?) || speaks_for_itself(request) {
            return None;
        }
        memory.recall(request.headers_mut(), || core.recent())
    }

    /// Which kind of request it is, by where it goes.
    pub(crate) fn scope<R: Outgoing>(&self, request: &R, unaddressed: Unaddressed) -> Scope {
        let base = &self.core().settings.base;
        base.scope(request.target(), unaddressed)
    }

    pub(crate) fn admit_in<R: Outgoing>(
        &self,
        scope: Scope,
        request: &mut R,
        layer: Option<&HashedDefaults>,
        memory: Option<&Memory>,
    ) -> Result<Admission, Error> {
        let identity = self.identity();
        let (id, key) = match need(&identity, scope, request, layer)? {
            Need::Nothing => return Ok(Admission::Pass),
            Need::Key { key, why } => {
                let bare = InFlightRequest::Bare {
                    manager: self.clone(),
                    why,
                    key: identity.key().filter(|_| key.is_some()).cloned(),
                };
                put_key(request, key);
                return Ok(Admission::Send(bare));
            }
            Need::Session { id, key } => (id, key),
        };
        if let Some(lease) = self.try_lease(id) {
            if let Some(memory) = memory
                && !speaks_for_itself(request)
                && let Some(credentials) = headers::credentials(request.headers())
            {
                let may_repeat = self.core().may_repeat(lease.live());
                let decided_by = (&identity, key.as_ref());
                memory.remember(&lease, credentials, decided_by, may_repeat);
            }
            put_key(request, key);
            lease.inject(request.headers_mut());
            return Ok(Admission::Send(InFlightRequest::Leased(lease)));
        }
        let partition = partition(&identity, request, layer)?;
        put_key(request, key);
        Ok(Admission::Wait(Box::pin(
            self.clone().lease_or_without(partition),
        )))
    }
}

fn need<R: Outgoing>(
    identity: &Identity,
    scope: Scope,
    request: &R,
    layer: Option<&HashedDefaults>,
) -> Result<Need, Error> {
    match scope {
        Scope::Elsewhere | Scope::Public => return Ok(Need::Nothing),
        Scope::SessionCall | Scope::Sipher => {}
    }
    let own_key = headers::api_key(request.headers())?;
    let only_the_key = |why| {
        let key = identity.key_header().filter(|_| own_key.is_none());
        Ok(Need::Key { key, why })
    };
    if scope == Scope::SessionCall {
        return only_the_key(Bare::SessionCall);
    }
    if headers::bears_session_id(request.headers())? {
        return only_the_key(Bare::OwnSession);
    }
    if opted_out(request) {
        return only_the_key(Bare::Without);
    }
    let key_id = match own_key {
        Some(key) => KeyId::of(key),
        None => identity.key_id().ok_or_else(no_api_key)?,
    };
    let key = identity.key_header().filter(|_| own_key.is_none());
    let id = match own_defaults(request) {
        Some(defaults) => HashedDefaults::partition_of(key_id, defaults),
        None => layer.unwrap_or(identity.defaults()).with_key(key_id),
    };
    Ok(Need::Session { id, key })
}

/// The same decision once more, with everything that a create needs to know.
fn partition<R: Outgoing>(
    identity: &Identity,
    request: &R,
    layer: Option<&HashedDefaults>,
) -> Result<Arc<Partition>, Error> {
    let key = match headers::api_key(request.headers())? {
        Some(key) => ApiKey::from(key),
        None => identity.key().cloned().ok_or_else(no_api_key)?,
    };
    let own = own_defaults(request).map(|defaults| HashedDefaults::new(defaults.clone()));
    let defaults = own.as_ref().or(layer).unwrap_or(identity.defaults());
    // The manager's own settings have been checked: what is wrong is the request's, or its layer's.
    Partition::new(key, defaults)
        .map_err(|error| Error::new(ErrorKind::InvalidRequest, error.to_string()))
}

/// Whether a request says by its extensions what is to become of it.
fn speaks_for_itself<R: Outgoing>(request: &R) -> bool {
    let extensions = request
        .extensions()
        .filter(|extensions| !extensions.is_empty());
    extensions.is_some_and(|extensions| {
        extensions.get::<NoSession>().is_some() || extensions.get::<SessionDefaults>().is_some()
    })
}

fn opted_out<R: Outgoing>(request: &R) -> bool {
    let extensions = request.extensions();
    extensions.is_some_and(|extensions| extensions.get::<NoSession>().is_some())
}

fn own_defaults<R: Outgoing>(request: &R) -> Option<&SessionDefaults> {
    request.extensions()?.get()
}

fn put_key<R: Outgoing>(request: &mut R, key: Option<HeaderValue>) {
    if let Some(key) = key {
        request.headers_mut().insert(API_KEY, key);
    }
}

pub(crate) fn no_api_key() -> Error {
    Error::new(
        ErrorKind::NoApiKey,
        "the request bears no API key, and none is configured",
    )
}

/// Headers on their own, of a request that is certain to be Sipher's.
impl Outgoing for HeaderMap {
    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn place(&self) -> Option<Place<'_>> {
        None
    }

    fn headers(&self) -> &HeaderMap {
        self
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self
    }

    fn extensions(&self) -> Option<&Extensions> {
        None
    }
}

impl<B> Outgoing for http::Request<B> {
    fn target(&self) -> Option<Target<'_>> {
        // Its headers are for a proxy, whatever its URI looks like.
        if self.method() == Method::CONNECT {
            return None;
        }
        Target::of_uri(self.uri())
    }

    fn place(&self) -> Option<Place<'_>> {
        if self.method() == Method::CONNECT {
            return None;
        }
        Place::of_uri(self.uri())
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions())
    }
}
