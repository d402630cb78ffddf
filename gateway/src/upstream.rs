//! The client that talks to Sipher.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use pin_project_lite::pin_project;
use sipher_session::{BoxError, api::Transport, inline::InlineBody};
use tokio::time::{Instant, timeout_at};
use tower::Service;

use crate::{
    GatewayError, Limits,
    answer::Refusal,
    body::{AnswerBody, Progress, RequestBody},
    credentials::CameWith,
};

/// Sipher closes idle connections after 5 s. A request on a connection that is just being closed would be lost.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// The client for Sipher: callers' requests and session calls share its connections.
///
/// It follows no redirects, uses no proxy, and speaks HTTP/1.1, so that a broken connection concerns one request.
#[derive(Clone)]
pub struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, OutgoingBody>,
    timeout: Duration,
}

impl Upstream {
    /// Makes a client. Opens no connection.
    ///
    /// # Errors
    ///
    /// If the operating system has no root certificates.
    pub fn new(limits: &Limits) -> Result<Self, GatewayError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(limits.connect_timeout));
        let https = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| {
                let problem = format!(
                    "no root certificates are there ({error}); install `ca-certificates`, or set SSL_CERT_FILE"
                );
                GatewayError::new("base_url", problem)
            })?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(https);
        let timeout = limits.upstream_timeout;
        Ok(Self { client, timeout })
    }

    /// Returns the transport for a manager whose session calls go over the same connections.
    pub fn transport(&self) -> Transport {
        Transport::new(SessionCalls(self.clone()))
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

type Sent<B> = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

/// The innermost service: what arrives here is sent.
impl Service<Request<InlineBody<RequestBody>>> for Upstream {
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = Sent<AnswerBody>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<InlineBody<RequestBody>>) -> Self::Future {
        let (client, timeout) = (self.client.clone(), self.timeout);
        let progress = request.extensions_mut().remove::<Progress>();
        let came_with = request.extensions_mut().remove::<CameWith>();
        Box::pin(async move {
            if came_with.is_some_and(|key| !key.is_still_in(request.headers())) {
                // An answer and not an error: an error would look like trouble with Sipher to the layer above.
                let mut answer = Refusal::NoKey.into_answer();
                answer.extensions_mut().insert(NotSent);
                return Ok(answer);
            }
            let progress = progress.unwrap_or_else(Progress::new);
            progress.moved();
            let request = request.map(|body| OutgoingBody::Request { body });
            let answer = client.request(request);
            let answer = head(answer, &progress, timeout).await??;
            Ok(answer.map(|body| AnswerBody::of_sipher(body, timeout)))
        })
    }
}

/// In the extensions of an answer: it is the gateway's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotSent;

/// Waits for the head of an answer, at most `limit` from the last progress of the request.
async fn head<T>(
    answer: impl Future<Output = T>,
    progress: &Progress,
    limit: Duration,
) -> Result<T, HeadTimeout> {
    let mut answer = std::pin::pin!(answer);
    loop {
        let deadline = progress.last() + limit;
        if let Ok(answer) = timeout_at(deadline, &mut answer).await {
            return Ok(answer);
        }
        if progress.last() + limit <= Instant::now() {
            return Err(HeadTimeout(limit));
        }
    }
}

/// Sipher has not answered in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadTimeout(pub(crate) Duration);

impl fmt::Display for HeadTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = humantime::format_duration(self.0);
        write!(f, "no answer within {after}")
    }
}

impl Error for HeadTimeout {}

/// The same client, for session calls. Their manager limits how long they take.
#[derive(Clone)]
struct SessionCalls(Upstream);

impl Service<Request<Full<Bytes>>> for SessionCalls {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Sent<Incoming>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let request = request.map(|body| OutgoingBody::SessionCall { body });
        let answer = self.0.client.request(request);
        Box::pin(async move { Ok(answer.await?) })
    }
}

pin_project! {
    /// The bodies that go to Sipher. One type, so that all requests share one pool of connections.
    #[project = OutgoingProj]
    enum OutgoingBody {
        Request { #[pin] body: InlineBody<RequestBody> },
        SessionCall { #[pin] body: Full<Bytes> },
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            OutgoingProj::Request { body } => body.poll_frame(cx),
            OutgoingProj::SessionCall { body } => {
                body.poll_frame(cx).map_err(|never| match never {})
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Request { body } => body.is_end_stream(),
            Self::SessionCall { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Request { body } => body.size_hint(),
            Self::SessionCall { body } => body.size_hint(),
        }
    }
}
