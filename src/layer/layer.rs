//! What all services of one layer share.

use std::sync::Arc;

use tower_layer::Layer;

use super::{ReplayLayer, SessionService};
use crate::{
    api::SessionDefaults,
    checked::CheckedLayer,
    error::Error,
    front::{
        admit::Admission, in_flight::InFlightRequest, manager::SessionManager, message::Outgoing,
        remember::Memory,
    },
    model::{inlining::InlineDefaults, partition::HashedDefaults},
    scope::{Glance, Scope, Unaddressed},
};

/// Puts sessions on requests: a [`tower_layer::Layer`], and with the feature `reqwest-middleware` also a
/// `reqwest_middleware::Middleware`.
///
/// If a request cannot get a live session, it is not sent and fails with an [`Error`]:
///
/// * [`InvalidRequest`](crate::ErrorKind::InvalidRequest) if the request carries a session id or API key that the
///   server would misread, or a session id that is not known here (see [`ForeignIds`](crate::ForeignIds)),
/// * [`InvalidRequest`](crate::ErrorKind::InvalidRequest) if the request looks like Sipher's but goes elsewhere, and
///   [`Outside::Refuse`](crate::Outside) is set,
/// * [`NoApiKey`](crate::ErrorKind::NoApiKey) if the request carries no API key and none is configured,
/// * [`Shutdown`](crate::ErrorKind::Shutdown) once the manager shuts down,
/// * [`Timeout`](crate::ErrorKind::Timeout) after `max_wait`,
/// * or the error that kept the session from being created.
///
/// # Which API key counts
///
/// A request gets the session of the API key that it carries, as the server reads that key:
///
/// * `X-API-Key` wins over `Authorization: Bearer`. An empty `X-API-Key` counts as none.
/// * A request with neither gets the configured key, as `X-API-Key`. So does a request with `Authorization: Basic` or
///   another scheme, from which the server takes no key.
/// * The server reads `Bearer` in this letter case only. A request with `Authorization: bearer` and the like fails,
///   unless it has an `X-API-Key`.
/// * A request that has either header twice fails.
///
/// See the [module](crate::layer) for an example.
#[derive(Clone, Debug)]
pub struct SessionLayer(Arc<Shared>);

/// What all services of a layer share. One allocation, so that a clone of a service is cheap: services are cloned for
/// each request.
#[derive(Debug)]
struct Shared {
    /// Stands before `manager`, so that it is dropped first. `manager` may be the last handle, and the last handle must
    /// not be dropped under the lock of a memo.
    memory: Memory,
    manager: SessionManager,
    defaults: Option<HashedDefaults>,
    proves: bool,
    /// Whether defaults may have to be put into bodies.
    inlines: bool,
    unaddressed: Unaddressed,
}

impl SessionLayer {
    /// Makes a layer that uses the manager's defaults.
    pub fn new(sessions: SessionManager) -> Self {
        let inline = sessions.core().settings.inline;
        Self(Arc::new(Shared {
            memory: Memory::new(),
            manager: sessions,
            defaults: None,
            proves: false,
            inlines: inline.defaults != InlineDefaults::Off,
            unaddressed: Unaddressed::Elsewhere,
        }))
    }

    /// Makes this layer use exactly these defaults instead of the manager's.
    ///
    /// Use this also if you pass `reqwest::Request`s to the tower service. Defaults in their extensions have no effect,
    /// because only reqwest can read those.
    #[must_use]
    pub fn defaults(self, defaults: SessionDefaults) -> Self {
        let defaults = Some(HashedDefaults::new(defaults));
        self.changed(|shared| shared.defaults = defaults)
    }

    /// Adds a [`Proof`](crate::Proof) to the extensions of every response, which says which session the request was
    /// sent with. Off by default.
    #[must_use]
    pub fn with_proof(self) -> Self {
        self.changed(|shared| shared.proves = true)
    }

    /// Says that the inner service sends requests with a relative URI, such as `GET /v1/scan`, to Sipher. Without
    /// this, such a request gets no session, whatever its `Host` says.
    ///
    /// Use this in stacks where a layer further down adds the address. **If the inner service sends such a request
    /// elsewhere, the API key and session id go there too.**
    ///
    /// The added address has to be that of `base_url`, because answers are compared with it. Some requests are still
    /// left alone: one that names another origin, `CONNECT`, `OPTIONS *`, and a path that begins with `//`, from
    /// which a host could be read. With `reqwest` this changes nothing, because its requests always have an absolute
    /// URL.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), sipher_session::BoxError> {
    /// use http::Request;
    /// use http_body_util::Full;
    /// use sipher_session::{
    ///     SessionLayer, SessionManager,
    ///     api::{Bytes, Transport},
    ///     testing::{FakeSipher, Tier},
    /// };
    /// use tower::{ServiceBuilder, ServiceExt};
    ///
    /// let sipher = FakeSipher::new(); // takes requests for whichever host
    /// let sessions = SessionManager::builder()
    ///     .api_key(sipher.api_key(Tier::Pro))
    ///     .transport(Transport::new(sipher.clone()))
    ///     .build()?;
    /// let http = ServiceBuilder::new()
    ///     .layer(SessionLayer::new(sessions).inner_is_sipher())
    ///     .service(sipher.clone());
    /// http.oneshot(Request::get("/v1/backends").body(Full::<Bytes>::default())?).await?;
    /// sipher.assert_every_call_had_a_session();
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn inner_is_sipher(self) -> Self {
        self.changed(|shared| shared.unaddressed = Unaddressed::Sipher)
    }

    /// Makes a changed layer with an empty memory. The decisions that this layer remembers may be wrong for the
    /// changed one.
    fn changed(&self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Shared {
            memory: Memory::new(),
            manager: self.0.manager.clone(),
            defaults: self.0.defaults.clone(),
            proves: self.0.proves,
            inlines: self.0.inlines,
            unaddressed: self.0.unaddressed,
        };
        change(&mut shared);
        Self(Arc::new(shared))
    }

    /// Makes a layer that sends a request a second time if the first sending met a sign that the server restarts. See
    /// [`ReplayLayer`]. Without this, nothing is sent twice.
    pub fn replay_once(self) -> ReplayLayer {
        ReplayLayer::new(self)
    }

    /// Makes a layer that compares answers with the session. Some answers name the chain that was used. If it is not
    /// the session's chain, the caller gets an error instead of the answer. See [`checked`](crate::checked). The layer
    /// also adds a [proof](Self::with_proof). Without this, no answer is read.
    ///
    /// Turn this on where money depends on the answer. The layer then reads the answers of three routes to their end.
    pub fn checked(self) -> CheckedLayer {
        CheckedLayer::over(self)
    }

    #[cfg(all(test, feature = "testing"))]
    pub(crate) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    pub(crate) fn proves(&self) -> bool {
        self.0.proves
    }

    /// Returns whether defaults may be put into bodies.
    #[inline]
    pub(crate) fn inlines(&self) -> bool {
        self.0.inlines
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.0.manager
    }

    /// Returns which kind of request this is, by its address.
    pub(crate) fn scope<R: Outgoing>(&self, request: &R) -> Scope {
        self.0.manager.scope(request, self.0.unaddressed)
    }

    /// Decides whether a request is sent now or has to wait, and puts in the headers that are at hand.
    #[allow(clippy::inline_always)] // called in several places, and one of them runs for nearly every request
    #[inline(always)]
    pub(crate) fn admit<R: Outgoing>(&self, request: &mut R) -> Result<Admission, Error> {
        let glance = self.0.manager.glance(request);
        if glance == Some(Glance::Sipher)
            && let Some(in_flight) = self.recall(request)
        {
            return Ok(Admission::Send(in_flight));
        }
        self.admit_otherwise(request, glance)
    }

    /// Puts in the headers that an earlier request with the same credentials got, if that decision may still be
    /// repeated.
    #[allow(clippy::inline_always)] // called in two places, and the first one runs for nearly every request
    #[inline(always)]
    fn recall<R: Outgoing>(&self, request: &mut R) -> Option<InFlightRequest> {
        let Shared {
            manager, memory, ..
        } = &*self.0;
        if request.speaks_for_itself() {
            return None;
        }
        let token = memory.recall(request.headers_mut(), || manager.core().recent())?;
        Some(InFlightRequest::by(token))
    }

    /// Decides about a request for which no decision is remembered, or which is not below the base URL.
    #[inline(never)]
    fn admit_otherwise<R: Outgoing>(
        &self,
        request: &mut R,
        by_base: Option<Glance>,
    ) -> Result<Admission, Error> {
        if by_base == Some(Glance::Elsewhere) {
            match self.0.manager.glance_again(request) {
                Some(Glance::Elsewhere) => return Ok(Admission::pass()),
                Some(Glance::Sipher) => {
                    if let Some(in_flight) = self.recall(request) {
                        return Ok(Admission::Send(in_flight));
                    }
                }
                _ => {}
            }
        }
        self.look_and_admit(request)
    }

    fn look_and_admit<R: Outgoing>(&self, request: &mut R) -> Result<Admission, Error> {
        let (scope, defaults) = (self.scope(request), self.0.defaults.as_ref());
        // A proof needs to know when its own request was sent, so no decision is remembered.
        let memory = (!self.0.proves).then_some(&self.0.memory);
        self.0.manager.admit(scope, request, defaults, memory)
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::with(inner, self.clone())
    }
}
