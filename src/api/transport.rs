//! How session calls reach the server.
//!
//! Session calls do not use the wrapped client: each `poll_ready` of a tower service allows one call, which is the
//! user's request. They never pass through the session layer, because the layer would wait for itself.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use sipher_session::api::{Bytes, Transport};
//!
//! // Any tower service for `http` requests will do, such as hyper-util's client.
//! let service = tower::service_fn(|_: Request<Full<Bytes>>| async {
//!     Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::new())))
//! });
//! let transport = Transport::new(service);
//! # let _ = transport;
//! ```

use std::{
    error::Error as StdError,
    fmt,
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower_service::Service;

use crate::{error::BoxError, followed, lock::Lock, scope::Target};

/// The longest answer that is read, in bytes. Real ones are below one kilobyte.
const MAX_BODY: usize = 64 * 1024;

type Exchange = Pin<Box<dyn Future<Output = Result<Response<Bytes>, BoxError>> + Send>>;

/// The client for session calls: a `reqwest::Client`, or any tower service for `http` requests.
///
/// The client should not follow redirects, because they would take the API key along. If an answer is known to come
/// from another origin, the call fails.
///
/// The server closes connections that were idle for 5 s. The client should close its pooled connections earlier.
/// Otherwise it may send a call on a connection that the server is closing. Such a call fails, and nobody knows whether
/// the server carried it out.
#[derive(Clone)]
pub struct Transport {
    exchange: Arc<dyn Fn(Request<Full<Bytes>>) -> Exchange + Send + Sync>,
    /// The fake server behind the transport, if that is known.
    #[cfg(feature = "testing")]
    fake: Option<usize>,
}

impl Transport {
    /// Uses a tower service. The service is cloned for each call, and driven to readiness before the call.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        #[cfg(feature = "testing")]
        let fake = crate::testing::FakeSipher::identity_in(&service);
        // A lock is needed because a service that is `Clone + Send` need not be `Sync`.
        let service = Lock::new(service);
        let exchange = Arc::new(move |request: Request<Full<Bytes>>| -> Exchange {
            let mut service = service.lock().clone();
            Box::pin(async move {
                poll_fn(|cx| service.poll_ready(cx))
                    .await
                    .map_err(|e| NotSent(e.into()))?;
                let asked = request.uri().clone();
                let response = service.call(request).await.map_err(Into::into)?;
                let mut redirected = None;
                followed::each_uri(response.extensions(), |from| {
                    let (from, asked) = (Target::of_uri(from), Target::of_uri(&asked));
                    if !from.zip(asked).is_some_and(|(from, asked)| from.is(&asked)) {
                        redirected = Some(Redirected::to(from));
                    }
                });
                if let Some(redirected) = redirected {
                    return Err(redirected.into());
                }
                read(response).await
            })
        });
        Self {
            exchange,
            #[cfg(feature = "testing")]
            fake,
        }
    }

    /// Returns whether both certainly lead to the same server, given equal base URLs. With the feature `testing`, two
    /// different services count as two servers: tests that run side by side each have a fake server, all at one URL and
    /// with equal ids.
    pub(crate) fn leads_to_same(&self, other: &Self) -> bool {
        #[cfg(feature = "testing")]
        let is_same = self.fake.is_some() && self.fake == other.fake;
        #[cfg(not(feature = "testing"))]
        let is_same = true;
        is_same || Arc::ptr_eq(&self.exchange, &other.exchange)
    }

    /// Returns whether both may lead to one server, given equal base URLs.
    pub(crate) fn may_lead_to_same(&self, other: &Self) -> bool {
        #[cfg(feature = "testing")]
        let is_other = self.fake.is_some() && other.fake.is_some() && self.fake != other.fake;
        #[cfg(not(feature = "testing"))]
        let is_other = !self.leads_to_same(other);
        !is_other
    }

    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, BoxError> {
        let exchange = caught(|| (self.exchange)(request)).map_err(NotSent)?;
        Caught(exchange).await
    }
}

/// An exchange whose panic becomes an error. Requests that wait for a session then fail, and the next call comes after
/// a cooldown.
struct Caught(Exchange);

impl Future for Caught {
    type Output = Result<Response<Bytes>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match caught(|| self.0.as_mut().poll(context)) {
            Ok(poll) => poll,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// Runs `work` and turns a panic into an error. This is unwind safe: an exchange owns its data and is not polled again,
/// and each call gets a clone of the service. The panic's message is dropped, since it may contain a secret.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, BoxError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "the transport panicked".into())
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

async fn read<B>(response: Response<B>) -> Result<Response<Bytes>, BoxError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (head, body) = response.into_parts();
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        // Sipher's answers are shorter. Without the body, the status and headers still say what kind of answer it is.
        Err(error) if error.is::<LengthLimitError>() => {
            let mut response = Response::from_parts(head, Bytes::new());
            response.headers_mut().remove(header::CONTENT_TYPE);
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

/// A failure before anything of the request was sent.
#[derive(Debug)]
pub(crate) struct NotSent(pub(crate) BoxError);

impl NotSent {
    /// Returns whether the server certainly never saw the request that failed with this error.
    pub(crate) fn is_cause_of(error: &(dyn StdError + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<Self>() || was_refused(error) || found_no_way(error) {
                return true;
            }
            next = error.source();
        }
        false
    }
}

/// Returns whether the connection was refused. Other socket errors also occur on open connections, on which the request
/// may have been sent.
fn was_refused(error: &(dyn StdError + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Returns whether hyper-util's client could not connect: no name, no route, or no handshake. So nothing was sent.
#[cfg(feature = "hyper")]
fn found_no_way(error: &(dyn StdError + 'static)) -> bool {
    let client = error.downcast_ref::<hyper_util::client::legacy::Error>();
    client.is_some_and(hyper_util::client::legacy::Error::is_connect)
}

#[cfg(not(feature = "hyper"))]
fn found_no_way(_: &(dyn StdError + 'static)) -> bool {
    false
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was not sent")
    }
}

impl StdError for NotSent {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// The client followed a redirect, so the answer comes from another origin than the one that was asked.
#[derive(Debug)]
pub(crate) struct Redirected {
    /// The origin of the last hop, if it is known.
    to: Option<String>,
}

impl Redirected {
    pub(crate) fn to(target: Option<Target<'_>>) -> Self {
        let origin = target.and_then(|target| target.origin);
        Self {
            to: origin.map(|origin| origin.to_string()),
        }
    }
}

impl fmt::Display for Redirected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = self.to.as_deref().unwrap_or("an unknown origin");
        write!(
            f,
            "the client for session calls followed a redirect to {to}, with the API key"
        )
    }
}

impl StdError for Redirected {}
