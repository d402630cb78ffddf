//! What one request needs before it may be sent. Every rule is here once, for all kinds of clients.

use std::{future::Future, pin::Pin, sync::Arc};

use http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    Lease, SessionManager,
    identity::Identity,
    partition::{HashedDefaults, KeyId, Partition, PartitionId},
};
use crate::{
    api::SessionDefaults,
    error::{Error, ErrorKind},
    headers::{self, API_KEY},
    scope::{Scope, Target},
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
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// What its sender says about it, where the client has room for that.
    fn extensions(&self) -> Option<&Extensions>;
}

/// A response of any client's, as far as this crate looks at it.
pub(crate) trait Incoming {
    fn status(&self) -> StatusCode;
}

impl<B> Incoming for http::Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }
}

/// A request that may go out, now or as soon as there is a session for it.
pub(crate) enum Admission {
    /// As it is.
    Pass,
    /// With the session that has been put in.
    Leased(Lease),
    /// Once this has brought a lease, which the caller then puts in; without one it goes as it is.
    Wait(LeaseFuture),
}

/// Holds no borrow of the request or of the service.
pub(crate) type LeaseFuture = Pin<Box<dyn Future<Output = Result<Option<Lease>, Error>> + Send>>;

/// What is to be put into a request's headers.
enum Need {
    Nothing,
    Key(Option<HeaderValue>),
    Session {
        id: PartitionId,
        key: Option<HeaderValue>,
    },
}

impl SessionManager {
    /// Decides about a request, and puts in what is at hand. `layer` are the defaults of the layer that it passes.
    pub(crate) fn admit<R: Outgoing>(
        &self,
        request: &mut R,
        layer: Option<&HashedDefaults>,
    ) -> Result<Admission, Error> {
        let scope = self.core().settings.base.scope(request.target());
        self.admit_in(scope, request, layer)
    }

    pub(crate) fn admit_in<R: Outgoing>(
        &self,
        scope: Scope,
        request: &mut R,
        layer: Option<&HashedDefaults>,
    ) -> Result<Admission, Error> {
        let identity = self.identity();
        let (id, key) = match need(&identity, scope, request, layer)? {
            Need::Nothing => return Ok(Admission::Pass),
            Need::Key(key) => {
                put_key(request, key);
                return Ok(Admission::Pass);
            }
            Need::Session { id, key } => (id, key),
        };
        if let Some(lease) = self.try_lease(id) {
            put_key(request, key);
            lease.inject(request.headers_mut());
            return Ok(Admission::Leased(lease));
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
    let opted_out = request
        .extensions()
        .is_some_and(|e| e.get::<NoSession>().is_some());
    if scope == Scope::SessionCall || headers::bears_session_id(request.headers())? || opted_out {
        let key = identity.key_header().filter(|_| own_key.is_none());
        return Ok(Need::Key(key));
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
        Target::of_uri(self.uri())
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
