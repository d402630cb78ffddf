//! A layer that does both: it checks answers, and sends a request a second time after a sign of a restart.

use tower_layer::Layer;

use super::{Checked, CheckedLayer};
use crate::{
    api::SessionDefaults,
    layer::{Replay, ReplayLayer, SessionLayer},
};

/// A [`ReplayLayer`] that checks its answers like a [`CheckedLayer`]. Made by
/// [`SessionLayer::replay_once`](crate::SessionLayer::replay_once) and
/// [`SessionLayer::checked`](crate::SessionLayer::checked), in either order.
///
/// A request whose answer was withheld is not sent again, because the server has carried it out.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), sipher_session::BoxError> {
/// # use http::Request;
/// # use http_body_util::Full;
/// # use sipher_session::{Chain, SessionDefaults, SessionManager, api::{Bytes, Transport}, testing::{FakeSipher, TestClock, Tier}};
/// use sipher_session::{Proof, SessionLayer, testing::{Fault, Target, What}};
/// use tower::{Layer, ServiceExt};
///
/// # let sipher = FakeSipher::new();
/// # let sessions = SessionManager::builder()
/// #     .api_key(sipher.api_key(Tier::Pro)).defaults(SessionDefaults::new().chain(Chain::Near))
/// #     .transport(Transport::new(sipher.clone())).clock(TestClock::new()).build()?;
/// let service = SessionLayer::new(sessions).replay_once().checked().layer(sipher.clone());
/// sipher.fault(Fault::new(What::Status(503)).on(Target::Others)); // it restarts
/// sipher.restart();
///
/// let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
///     .header("content-type", "application/json")
///     .body(Full::<Bytes>::from("{}"))?;
/// let response = service.oneshot(request).await?;
/// assert!(matches!(response.extensions().get(), Some(Proof::Confirmed { .. })));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct CheckedReplayLayer {
    /// `outer` chooses the session, `inner` reads the answer.
    outer: ReplayLayer,
    inner: CheckedLayer,
}

impl CheckedReplayLayer {
    pub(crate) fn over(layer: SessionLayer) -> Self {
        Self {
            inner: layer.clone().checked(),
            outer: layer.with_proof().replay_once(),
        }
    }

    fn changed(self, change: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        Self::over(change(self.outer.into_layer()))
    }

    /// Makes this layer use exactly these defaults instead of the manager's, like [`SessionLayer::defaults`].
    #[must_use]
    pub fn defaults(self, defaults: SessionDefaults) -> Self {
        self.changed(|layer| layer.defaults(defaults))
    }

    /// Changes nothing: a checked layer always adds a proof. The method exists so that the order of calls does not
    /// matter.
    #[must_use]
    pub fn with_proof(self) -> Self {
        self
    }

    /// Says that the inner service sends requests with a relative URI to Sipher, like
    /// [`SessionLayer::inner_is_sipher`].
    #[must_use]
    pub fn inner_is_sipher(self) -> Self {
        self.changed(SessionLayer::inner_is_sipher)
    }

    /// Changes nothing: the layer checks already.
    #[must_use]
    pub fn checked(self) -> Self {
        self
    }

    /// Changes nothing: the layer replays already, once.
    #[must_use]
    pub fn replay_once(self) -> Self {
        self
    }

    #[cfg(feature = "reqwest-middleware")]
    pub(super) fn inner(&self) -> &CheckedLayer {
        &self.inner
    }
}

impl<S> Layer<S> for CheckedReplayLayer {
    type Service = Replay<Checked<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        Layer::layer(&self.outer, Layer::layer(&self.inner, inner))
    }
}
