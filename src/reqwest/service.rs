//! `reqwest::Client` as a tower service below the layer.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use ::reqwest::{Method, Request, Response};
use http::{Extensions, HeaderMap, StatusCode};
use tower_service::Service;

use crate::{
    error::BoxError,
    front::message::{Incoming, Outgoing},
    layer::{Replay, ReplayFuture, Replayable, ResponseFuture, SessionService},
    scope::{Place, Target},
};

/// The host in the URL of a response that `reqwest` did not receive itself. Caches and mocks convert such responses
/// from an `http::Response`.
const NO_URL: &str = "no.url.provided.local";

impl<S> Service<Request> for SessionService<S>
where
    S: Service<Request, Response = Response> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = BoxError;
    type Future = ResponseFuture<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.respond(request)
    }
}

impl<S> Service<Request> for Replay<S>
where
    S: Service<Request, Response = Response> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = BoxError;
    type Future = ReplayFuture<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.respond(request)
    }
}

impl Replayable for Request {
    /// Returns `None` if the body is a stream.
    fn duplicate(&self) -> Option<Self> {
        self.try_clone()
    }
}

impl Incoming for Response {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn answered_from<'a>(&'a self, see: impl FnMut(Target<'a>)) {
        let made_by_hand = self.url().host_str() == Some(NO_URL);
        let own = Target::of_url(self.url()).filter(|_| !made_by_hand);
        own.into_iter().for_each(see);
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions_mut()
    }
}

impl Outgoing for Request {
    fn method_and_path(&self) -> Option<(&Method, &str)> {
        Some((self.method(), self.url().path()))
    }

    fn target(&self) -> Option<Target<'_>> {
        // The headers of a `CONNECT` request are read by a proxy.
        if self.method() == Method::CONNECT {
            return None;
        }
        Target::of_url(self.url())
    }

    fn place(&self) -> Option<Place<'_>> {
        if self.method() == Method::CONNECT {
            return None;
        }
        let url = self.url();
        Some(Place {
            is_https: match url.scheme() {
                "https" => true,
                "http" => false,
                _ => return None,
            },
            authority: url.authority(),
            path: url.path(),
        })
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    /// Returns `None`: `reqwest` does not expose the extensions of its requests.
    fn extensions(&self) -> Option<&Extensions> {
        None
    }

    fn own_timeout(&self) -> Option<Duration> {
        self.timeout().copied()
    }

    fn shorten_timeout(&mut self, by: Duration) {
        if let Some(timeout) = self.timeout_mut() {
            *timeout = timeout.saturating_sub(by);
        }
    }
}
