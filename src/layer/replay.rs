//! Sends a request a second time after a sign of a restart, if the user asked for that.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sipher_session::BoxError> {
//! # use http::Request;
//! # use http_body_util::Full;
//! # use sipher_session::{SessionManager, api::{Bytes, Transport}, testing::{FakeSipher, TestClock, Tier}};
//! use sipher_session::{SessionLayer, testing::{Fault, Target, What}};
//! use tower::{Layer, ServiceExt};
//!
//! # let sipher = FakeSipher::new();
//! # let sessions = SessionManager::builder()
//! #     .api_key(sipher.api_key(Tier::Pro)).transport(Transport::new(sipher.clone())).clock(TestClock::new()).build()?;
//! let service = SessionLayer::new(sessions).replay_once().layer(sipher.clone());
//! sipher.fault(Fault::new(What::Status(503)).on(Target::Others)); // it restarts
//! sipher.restart();
//!
//! let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
//!     .header("content-type", "application/json")
//!     .body(Full::<Bytes>::from("{}"))?;
//! assert_eq!(service.oneshot(request).await?.status(), 200);
//! # Ok(()) }
//! ```

use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{ResponseFuture, SessionLayer, SessionService};
use crate::{
    api::SessionDefaults,
    checked::CheckedReplayLayer,
    driver::client_error,
    error::{BoxError, Error},
    front::message::{Incoming, Outgoing},
    headers::SESSION_ID,
    inline::carrier::Carrier,
    model::{evidence::Cause, sign},
    scope::Scope,
};

/// A [`SessionLayer`] that sends a request a second time if the first sending met a sign that the server restarts.
/// Made by [`SessionLayer::replay_once`].
///
/// A sign is a connection that could not be made or broke, a 410, or a gateway's 502, 503, 504, 520 to 527 or 530.
/// For the second sending the layer decides anew, so the request carries a session that is known to be alive. A
/// request is replayed once at most. Only requests that get a session from this crate, and whose body can be cloned,
/// are replayed. A successful answer never causes a replay. A `reqwest` request's own timeout covers both sendings
/// together. A [`MaxWait`](crate::MaxWait) applies to each.
///
/// **The server may have carried the first sending out.** If that matters, do not use this layer, or give the request
/// an `Idempotency-Key`. The server accepts one, a UUID v4, on its routes for commitment, compliance, cspl,
/// governance, jito, swap and transfer. It accepts none for stealth keys, where a second sending does no harm.
#[derive(Clone, Debug)]
pub struct ReplayLayer(SessionLayer);

impl ReplayLayer {
    pub(super) fn new(layer: SessionLayer) -> Self {
        Self(layer)
    }

    /// Makes this layer use exactly these defaults instead of the manager's, like [`SessionLayer::defaults`].
    #[must_use]
    pub fn defaults(self, defaults: SessionDefaults) -> Self {
        Self(self.0.defaults(defaults))
    }

    /// Adds a [`Proof`](crate::Proof) to the extensions of every response, like [`SessionLayer::with_proof`].
    #[must_use]
    pub fn with_proof(self) -> Self {
        Self(self.0.with_proof())
    }

    /// Says that the inner service sends requests with a relative URI to Sipher, like
    /// [`SessionLayer::inner_is_sipher`].
    #[must_use]
    pub fn inner_is_sipher(self) -> Self {
        Self(self.0.inner_is_sipher())
    }

    /// Changes nothing: the layer replays already, once.
    #[must_use]
    pub fn replay_once(self) -> Self {
        self
    }

    /// Makes a layer that also checks the answers, like [`SessionLayer::checked`].
    pub fn checked(self) -> CheckedReplayLayer {
        CheckedReplayLayer::over(self.0)
    }

    pub(crate) fn into_layer(self) -> SessionLayer {
        self.0
    }

    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn layer(&self) -> &SessionLayer {
        &self.0
    }
}

impl SessionLayer {
    /// Returns a copy of the request for a second sending. `None` if the request gets no session of this manager, or
    /// cannot be copied.
    pub(crate) fn spare<R: Outgoing, T>(
        &self,
        request: &R,
        duplicate: impl FnOnce(&R) -> Option<T>,
    ) -> Option<T> {
        let gets_a_session = !request.opted_out()
            && !request.headers().contains_key(SESSION_ID)
            && self.scope(request) == Scope::Sipher;
        gets_a_session.then(|| duplicate(request)).flatten()
    }

    /// Keeps the spare copy of a request. Also notes when the first sending begins, if the request has a timeout of its
    /// own.
    pub(crate) fn sending<R: Outgoing>(&self, spare: R) -> Spare<R> {
        let uptime = || self.manager().core().uptime();
        let since = spare.own_timeout().map(|_| uptime());
        Spare {
            request: spare,
            since,
        }
    }

    /// Returns whether to send the request a second time: the outcome of the first sending is a sign, and time is
    /// left in the request's own timeout. Counts the replay.
    pub(crate) fn replays_after<R: Outgoing>(
        &self,
        outcome: Result<(StatusCode, &HeaderMap), &(dyn StdError + 'static)>,
        spare: &mut Spare<R>,
    ) -> bool {
        let is_sign = match outcome {
            Ok((status, headers)) => sign::is_gateways(status, headers),
            // An error of this crate means that the request got no session and was not sent.
            Err(error) => {
                Error::find(error).is_none() && client_error::in_error(error) == Some(Cause::Broken)
            }
        };
        let is_replayed = is_sign && spare.has_time(self.manager().core().uptime());
        if is_replayed {
            self.manager().core().observer.replayed();
        }
        is_replayed
    }
}

/// A request that is kept for a second sending.
#[derive(Debug)]
pub(crate) struct Spare<R> {
    pub(crate) request: R,
    /// When the first sending began, in monotonic time. Set if the request has a timeout of its own.
    since: Option<Duration>,
}

impl<R: Outgoing> Spare<R> {
    fn has_time(&mut self, now: Duration) -> bool {
        let spent = self.since.map(|since| now.saturating_sub(since));
        self.request.shorten_timeout(spent.unwrap_or_default());
        self.request.own_timeout() != Some(Duration::ZERO)
    }
}

impl<S> Layer<S> for ReplayLayer {
    type Service = Replay<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Replay {
            inner: self.0.layer(inner),
        }
    }
}

/// A [`SessionService`] that may send a request a second time. See [`ReplayLayer`].
#[derive(Clone, Debug)]
pub struct Replay<S> {
    inner: SessionService<S>,
}

impl<S> Replay<S> {
    /// Returns the service that puts sessions on requests.
    pub fn get_ref(&self) -> &SessionService<S> {
        &self.inner
    }

    /// Returns the service that puts sessions on requests.
    pub fn get_mut(&mut self) -> &mut SessionService<S> {
        &mut self.inner
    }

    /// Returns the service that puts sessions on requests.
    pub fn into_inner(self) -> SessionService<S> {
        self.inner
    }

    pub(crate) fn respond<R>(&mut self, request: R) -> ReplayFuture<S, R>
    where
        R: Carrier + Replayable,
        S: Service<R> + Clone,
    {
        let spare = self.inner.layer().spare(&request, R::duplicate);
        let again = spare.map(|spare| (self.inner.clone(), self.inner.layer().sending(spare)));
        ReplayFuture {
            current: Some(self.inner.respond(request)),
            again,
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Replay<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    S::Error: Into<BoxError>,
    ReqBody: Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ReplayFuture<S, Request<ReqBody>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        self.respond(request)
    }
}

/// A request that may be copied, so that it can be sent twice.
pub(crate) trait Replayable: Sized {
    fn duplicate(&self) -> Option<Self>;
}

impl<B: Clone> Replayable for Request<B> {
    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }
}

pin_project! {
    /// The response of a [`Replay`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ReplayFuture<S, R>
    where
        S: Service<R>,
    {
        // `None` between the two sendings. The first future is dropped there, because it may hold a permit that the
        // second one needs.
        #[pin]
        current: Option<ResponseFuture<S, R>>,
        again: Option<(SessionService<S>, Spare<R>)>,
    }
}

impl<S, R> Future for ReplayFuture<S, R>
where
    S: Service<R> + Clone,
    S::Response: Incoming,
    S::Error: Into<BoxError>,
    R: Carrier,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let Some(current) = this.current.as_mut().as_pin_mut() else {
                let (service, _) = this.again.as_mut().expect("not polled after it was ready");
                ready!(service.get_mut().poll_ready(cx)).map_err(Into::into)?;
                let (mut service, spare) = this.again.take().expect("it was there just now");
                this.current.set(Some(service.respond(spare.request)));
                continue;
            };
            let response = ready!(current.poll(cx));
            let outcome = match &response {
                Ok(response) => Ok((response.status(), response.headers())),
                Err(error) => Err(&**error as &(dyn StdError + 'static)),
            };
            let again = this.again.as_mut();
            if !again.is_some_and(|(service, spare)| service.layer().replays_after(outcome, spare))
            {
                return Poll::Ready(response);
            }
            this.current.set(None);
        }
    }
}

impl<S: Service<R>, R> fmt::Debug for ReplayFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayFuture")
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}
