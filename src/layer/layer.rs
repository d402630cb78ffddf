//! What is the same for every service that the layer wraps.

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
/// A request fails with an [`Error`] and is not sent when it cannot be given a live session:
///
/// * [`InvalidRequest`](crate::ErrorKind::InvalidRequest) if it bears a session id or API key that the server would not
///   read as it was meant, or a session id that is not known here (see [`ForeignIds`](crate::ForeignIds)),
/// * [`InvalidRequest`](crate::ErrorKind::InvalidRequest) if it looks like Sipher's and goes elsewhere, where
///   [`Outside::Refuse`](crate::Outside) is set,
/// * [`NoApiKey`](crate::ErrorKind::NoApiKey) if it bears none and none is configured,
/// * [`Shutdown`](crate::ErrorKind::Shutdown) once the manager shuts down,
/// * [`Timeout`](crate::ErrorKind::Timeout) after `max_wait`,
/// * and whatever kept the session from being created.
///
/// # Which API key counts
///
/// A request gets the session of the API key that it bears, as the server reads it:
///
/// * `X-API-Key` wins over `Authorization: Bearer`; an empty `X-API-Key` counts as none.
/// * A request with neither gets the configured key, as `X-API-Key`. So does one with `Authorization: Basic` or any other scheme, from
///   which the server takes no key.
/// * `Authorization: bearer`, in any other letter case than `Bearer`, is not read by the server: the request fails, unless it has an
///   `X-API-Key`.
/// * Either header twice fails.
///
/// See the [module](crate::layer) for an example.
#[derive(Clone, Debug)]
pub struct SessionLayer(Arc<Shared>);

/// In one allocation, as services are cloned for each request.
#[derive(Debug)]
struct Shared {
    /// Dropped before the manager, which may be the last handle: not under the locks of what is remembered.
    memory: Memory,
    manager: SessionManager,
    defaults: Option<HashedDefaults>,
    proves: bool,
    /// Whether bodies are to be looked at.
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

    /// Makes it a layer for exactly these defaults instead of the manager's.
    ///
    /// This is also the way for `reqwest::Request` as a tower request, whose extensions nobody else can see.
    #[must_use]
    pub fn defaults(self, defaults: SessionDefaults) -> Self {
        let defaults = Some(HashedDefaults::new(defaults));
        self.changed(|shared| shared.defaults = defaults)
    }

    /// Has every response say, by a [`Proof`](crate::Proof) in its extensions, which session its request was sent with.
    /// Defaults to none.
    #[must_use]
    pub fn with_proof(self) -> Self {
        self.changed(|shared| shared.proves = true)
    }

    /// Says that the inner service sends to Sipher whatever does not say where it goes, as in `GET /v1/scan`. Defaults
    /// to not so: such a request passes without a session, whatever its `Host` says.
    ///
    /// This is for stacks that put the address in further down. **If the inner service sends such a request elsewhere,
    /// API key and session id go there.** It has to be the address of `base_url`, which answers are compared with. A
    /// request that names another origin by itself is still left alone, and so are `CONNECT`, `OPTIONS *` and a path
    /// that begins with `//`, of which a host may be made. With `reqwest` this changes nothing: its requests all say
    /// where they go.
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

    /// Another one, which has found nothing yet: what was found for this one may be none of its business.
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

    /// Makes it a layer that sends a request once more where its first sending met a sign of a server that restarts: see
    /// [`ReplayLayer`]. Nothing is replayed without it.
    pub fn replay_once(self) -> ReplayLayer {
        ReplayLayer::new(self)
    }

    /// Makes it a layer that also reads the answer where it names the chain that was used, and withholds it where that is not
    /// the session's: see [`checked`](crate::checked). It [proves](Self::with_proof) as well. Nothing is read without it.
    ///
    /// Turn it on where money depends on the answer. It takes reading the answers of three routes to their end.
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

    /// Whether defaults may be put into bodies.
    #[inline]
    pub(crate) fn inlines(&self) -> bool {
        self.0.inlines
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.0.manager
    }

    /// Which kind of request it is, by where it goes.
    pub(crate) fn scope<R: Outgoing>(&self, request: &R) -> Scope {
        self.0.manager.scope(request, self.0.unaddressed)
    }

    /// Decides about a request, and puts in what is at hand.
    #[allow(clippy::inline_always)] // at several places, and one is on the way of nearly every request
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

    /// Repeats the decision about a request like this one.
    #[allow(clippy::inline_always)] // at two places, and the first one is on the way of nearly every request
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

    /// Decides about a request that is not like one before it, or that is not below the base URL.
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
        // A proof needs to know when its own request was sent.
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
