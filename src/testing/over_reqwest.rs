//! [`FakeSipher`] in place of a `reqwest::Client`.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use ::reqwest::{Body, Request, Response, ResponseBuilderExt, Url};
use http::response::Builder;
use tokio::time::timeout;
use tower_service::Service;

use super::{FakeBody, FakeError, FakeSipher};

/// Takes the place of a `reqwest::Client` below a [`SessionLayer`](crate::SessionLayer). A request's own timeout
/// applies until the head of the answer has arrived.
impl Service<Request> for FakeSipher {
    type Response = Response;
    type Error = FakeError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, FakeError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FakeError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin(answer(self.clone(), request))
    }
}

async fn answer(mut sipher: FakeSipher, request: Request) -> Result<Response, FakeError> {
    let (url, limit) = (request.url().clone(), request.timeout().copied());
    let request = http::Request::<Body>::try_from(request).map_err(|_| FakeError::BrokenRequest)?;
    let answering = sipher.call(request);
    let answer = match limit {
        Some(limit) => timeout(limit, answering)
            .await
            .unwrap_or(Err(FakeError::TimedOut)),
        None => answering.await,
    };
    Ok(answered_from(url, answer?))
}

/// Builds the response with its URL, which the layer examines.
fn answered_from(url: Url, answer: http::Response<FakeBody>) -> Response {
    let (head, body) = answer.into_parts();
    let mut answer = Builder::new()
        .url(url)
        .body(Body::wrap(body))
        .expect("nothing in it can be wrong");
    *answer.status_mut() = head.status;
    *answer.headers_mut() = head.headers;
    answer.extensions_mut().extend(head.extensions);
    answer.into()
}

#[cfg(feature = "reqwest-middleware")]
mod middleware {
    use http::Extensions;
    use reqwest_middleware::{Error, Middleware, Next};

    use super::{FakeSipher, Request, Service};
    use crate::reqwest::Answer;

    /// Takes the place of the last middleware of a client: it answers, and the client below is never used.
    ///
    /// A failed call returns an `Error::Middleware` with a [`FakeError`](super::FakeError) in it. It cannot return a
    /// `reqwest::Error`, which only `reqwest` can create. So retries that look for a `reqwest::Error` do not see the
    /// failure: test those over [`serve`](FakeSipher::serve).
    impl Middleware for FakeSipher {
        fn handle<'a, 'b, 'c, 'f>(
            &'a self,
            request: Request,
            _: &'b mut Extensions,
            _: Next<'c>,
        ) -> Answer<'f>
        where
            'a: 'f,
            'b: 'f,
            'c: 'f,
        {
            let answering = self.clone().call(request);
            Box::pin(async { answering.await.map_err(Error::middleware) })
        }
    }
}
