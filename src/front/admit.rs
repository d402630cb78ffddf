//! Decides about one request before it is sent. All kinds of clients use these rules.

use std::{future::Future, pin::Pin, sync::Arc};

use http::HeaderValue;

use super::{
    foreign,
    foreign::Verdict,
    in_flight::InFlightRequest,
    manager::SessionManager,
    message::Outgoing,
    token::{Bare, Bears},
    waiting::{Waiting, Wanted},
};
use crate::{
    driver::{by_hand::ByHand, core::Core, known_ids::IdHash},
    error::{Error, ErrorKind},
    front::remember::Memory,
    headers::{self, API_KEY, SESSION_ID},
    model::{
        identity::Identity,
        partition::{HashedDefaults, KeyId, Partition, PartitionId},
        settings::ForeignIds,
    },
    scope::{Glance, Scope, Unaddressed},
    secret::ApiKey,
};

/// A request that may be sent, now or as soon as it has a session.
pub(crate) enum Admission {
    /// Send the request as it is now.
    Send(InFlightRequest),
    /// Wait for a session and put its id in. Then send the request.
    Wait(Waiting),
}

/// The boxed wait for a session. It borrows neither the request nor the service.
pub(crate) type AdmissionFuture = Pin<Box<dyn Future<Output = Result<Admission, Error>> + Send>>;

impl Admission {
    /// Sends the request as it is, and learns nothing from its answer.
    #[inline]
    pub(crate) fn pass() -> Self {
        Self::Send(InFlightRequest::default())
    }
}

/// What has to be put into a request's headers.
enum Need {
    Key {
        key: Option<HeaderValue>,
        why: Bare,
        /// Keeps the session whose id the caller has put in from being deleted while the request uses it.
        hold: Option<ByHand>,
    },
    Session {
        id: PartitionId,
        key: Option<HeaderValue>,
        brought: Brought,
    },
}

/// The session id that a request already carries, compared with the session that the request gets.
enum Brought {
    None,
    /// The id is replaced by the id of the session.
    Replaced,
    /// The id must be that of the session which the request gets. Otherwise the request is refused.
    Same(IdHash),
}

impl SessionManager {
    /// Compares a request's URL with the base URL, quickly. Returns `None` if the request does not say where it goes.
    #[inline]
    pub(crate) fn glance<R: Outgoing>(&self, request: &R) -> Option<Glance> {
        let base = &self.core().settings.base;
        Some(base.glance(request.place()?))
    }

    /// Returns which kind of request this is, judged by its URL.
    pub(crate) fn scope<R: Outgoing>(&self, request: &R, unaddressed: Unaddressed) -> Scope {
        let settings = &self.core().settings;
        let by_base = settings.base.scope(request.target(), unaddressed);
        settings.aliases.scope(request.target(), by_base)
    }

    /// Decides whether a request of this scope is sent now or has to wait. Puts API key and session id into its headers
    /// if they are at hand. `layer` has the defaults of the request's layer, and `memory` what that layer remembers.
    pub(crate) fn admit<R: Outgoing>(
        &self,
        scope: Scope,
        request: &mut R,
        layer: Option<&HashedDefaults>,
        memory: Option<&Memory>,
    ) -> Result<Admission, Error> {
        let is_session_call = match scope {
            Scope::Elsewhere => {
                self.look_outside(request)?;
                return Ok(Admission::pass());
            }
            Scope::Public => return Ok(Admission::Send(self.bare(Bare::Public, None, None))),
            Scope::SessionCall => true,
            Scope::Sipher => false,
        };
        // Read this flag before the defaults. The first look at the store sets the defaults and then the flag. If the
        // defaults were read first, a look that ends between the two reads would set the flag, and this request would
        // use the older defaults.
        let has_looked = self.core().fleet.has_looked();
        let identity = self.identity();
        let need = need(self.core(), &identity, is_session_call, request, layer)?;
        // Find out only now whether the request changes or deletes a session, because `ByHand::of` stops the use of
        // that session. A request that was refused above is not sent, so it must not do that.
        let by_hand = request
            .method_and_path()
            .and_then(|(method, path)| ByHand::of(self.core(), method, path));
        let (id, key, brought) = match need {
            Need::Key { key, why, hold } => {
                let added = identity.key().filter(|_| key.is_some()).cloned();
                put_key(request, key)?;
                let request = self.bare(why, added, by_hand.or(hold));
                return Ok(Admission::Send(request));
            }
            Need::Session { id, key, brought } => (id, key, brought),
        };
        if !matches!(brought, Brought::None) {
            // Remove the id that the request came with. With `SendWithout` the request may be sent without a session,
            // and then no other id would overwrite that one.
            request.headers_mut().remove(SESSION_ID);
        }
        if let Some(by_hand) = by_hand {
            // From here on, the request counts as in flight for the session that it carries. The session that it
            // changes or deletes only lingers, because nobody watches the outcome of that change.
            by_hand.linger(self.core().linger_until());
        }
        let is_of_manager = layer.is_none() && request.own_defaults().is_none();
        if let Brought::Same(brought) = brought {
            let wanted = if is_of_manager {
                Wanted::OfManager(key_of(&identity, request)?)
            } else {
                Wanted::Session(partition(&identity, request, layer)?)
            };
            put_key(request, key)?;
            let waiting = Waiting::new(self, wanted).that_brought(brought);
            let waiting = waiting.of_request(request);
            return Ok(Admission::Wait(waiting));
        }
        if !has_looked && is_of_manager {
            let wanted = Wanted::OfManager(key_of(&identity, request)?);
            put_key(request, key)?;
            let waiting = Waiting::new(self, wanted).of_request(request);
            return Ok(Admission::Wait(waiting));
        }
        if let Some(lease) = self.try_lease(id) {
            if let Some(memory) = memory
                && !request.speaks_for_itself()
                && let Some(credentials) = headers::credentials(request.headers())
            {
                lease.remember(memory, credentials, &identity, key.as_ref());
            }
            put_key(request, key)?;
            let in_flight = lease.into_request().put_into(request.headers_mut())?;
            return Ok(Admission::Send(in_flight));
        }
        let wanted = if is_of_manager && !self.core().fleet.knows_defaults(self.core(), &identity) {
            Wanted::OfManager(key_of(&identity, request)?)
        } else {
            Wanted::Session(partition(&identity, request, layer)?)
        };
        put_key(request, key)?;
        let waiting = Waiting::new(self, wanted).of_request(request);
        Ok(Admission::Wait(waiting))
    }

    /// Returns a request that carries no session of the manager. Its answer is still examined, since it may show that
    /// the server has restarted.
    fn bare(&self, why: Bare, key: Option<ApiKey>, by_hand: Option<ByHand>) -> InFlightRequest {
        InFlightRequest::bare(self.clone(), Bears::Nothing { why, key, by_hand })
    }
}

fn need<R: Outgoing>(
    core: &Core,
    identity: &Identity,
    is_session_call: bool,
    request: &R,
    layer: Option<&HashedDefaults>,
) -> Result<Need, Error> {
    let own_key = headers::api_key(request.headers())?;
    let only_the_key = |why| {
        let key = identity.key_header().filter(|_| own_key.is_none());
        let hold = None;
        Ok(Need::Key { key, why, hold })
    };
    if is_session_call {
        return only_the_key(Bare::SessionCall);
    }
    let brought = headers::session_id(request.headers());
    // The id is malformed, or there are two. The server would ignore it, so `Replace` puts in another one.
    let is_replaced = brought.is_err()
        && core.settings.foreign_ids == ForeignIds::Replace
        && !request.opted_out();
    let brought = if is_replaced { None } else { brought? };
    if brought.is_none() && request.opted_out() {
        return only_the_key(Bare::Without);
    }
    let key_id = match own_key.map(KeyId::of).or(identity.key_id()) {
        Some(key_id) => key_id,
        None if brought.is_some() && core.settings.foreign_ids == ForeignIds::Keep => {
            return only_the_key(Bare::OwnSession);
        }
        None => return Err(no_api_key()),
    };
    let key = identity.key_header().filter(|_| own_key.is_none());
    let id = match request.own_defaults() {
        Some(defaults) => HashedDefaults::partition_of(key_id, defaults),
        None => layer.unwrap_or(identity.defaults()).with_key(key_id),
    };
    let Some(brought) = brought else {
        let brought = if is_replaced {
            Brought::Replaced
        } else {
            Brought::None
        };
        return Ok(Need::Session { id, key, brought });
    };
    let brought = IdHash::of(brought);
    let (origin, voucher) = core.origin_of(brought, key_id, id);
    let policy = core.settings.foreign_ids;
    let brought = match foreign::judge(&origin, policy, request.opted_out()) {
        Verdict::GetsOurs => Brought::Replaced,
        Verdict::GetsOursIfSame => Brought::Same(brought),
        Verdict::Refused(why) => return Err(foreign::refused(why)),
        Verdict::Keeps => {
            let hold = voucher.and_then(|voucher| voucher.0).map(ByHand::bearing);
            let why = Bare::OwnSession;
            return Ok(Need::Key { key, why, hold });
        }
    };
    Ok(Need::Session { id, key, brought })
}

/// Returns the request's partition, with the API key and the defaults that a create needs. `need` has chosen the same
/// ones, but returns only their hash.
fn partition<R: Outgoing>(
    identity: &Identity,
    request: &R,
    layer: Option<&HashedDefaults>,
) -> Result<Arc<Partition>, Error> {
    let key = key_of(identity, request)?;
    let own = request.own_defaults();
    let own = own.map(|defaults| HashedDefaults::new(defaults.clone()));
    let defaults = own.as_ref().or(layer).unwrap_or(identity.defaults());
    // The manager's own defaults were checked when it was built. So the wrong ones are the request's or its layer's.
    Partition::new(key, defaults)
        .map_err(|error| Error::new(ErrorKind::InvalidRequest, error.to_string()))
}

/// Returns the API key that a request carries, or else the configured one.
fn key_of<R: Outgoing>(identity: &Identity, request: &R) -> Result<ApiKey, Error> {
    match headers::api_key(request.headers())? {
        Some(key) => Ok(ApiKey::from(key)),
        None => identity.key().cloned().ok_or_else(no_api_key),
    }
}

fn put_key<R: Outgoing>(request: &mut R, key: Option<HeaderValue>) -> Result<(), Error> {
    match key {
        Some(key) => headers::put(request.headers_mut(), API_KEY, key),
        None => Ok(()),
    }
}

pub(crate) fn no_api_key() -> Error {
    Error::new(
        ErrorKind::NoApiKey,
        "the request has no API key, and none is configured",
    )
}
