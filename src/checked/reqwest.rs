//! The checked layer for `reqwest::Client` as a tower service.

use std::task::{Context, Poll};

use ::reqwest::{Body, Request, Response, ResponseBuilderExt};
use http::{HeaderMap, StatusCode, response::Parts};
use tower_service::Service;

use super::{Answering, Checked, CheckedBody, CheckedLayer, answer::Answer, rules};
use crate::error::BoxError;

impl CheckedLayer {
    /// Returns whether the request is one whose answer is checked. `false` for a stream, whose body cannot be read
    /// here.
    pub(super) fn checks(&self, request: &Request) -> bool {
        let body = request.body().map_or(Some(&[][..]), Body::as_bytes);
        self.may_check(request) && body.is_some_and(rules::leaves_chain_open)
    }
}

impl<S> Service<Request> for Checked<S>
where
    S: Service<Request, Response = Response> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = BoxError;
    type Future = Answering<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.get_mut().poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let checks = self.layer().checks(&request);
        self.respond(request, checks)
    }
}

impl Answer for Response {
    type Body = Body;
    type Checked = Self;

    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn untouched(self) -> Self {
        self
    }

    /// Copies the URL into the extensions. `reqwest` looks for it there when the response is put together again.
    fn open(self) -> (Parts, Body) {
        let with_url = http::response::Builder::new().url(self.url().clone());
        let (mut head, body) = http::Response::<Body>::from(self).into_parts();
        if let Some(url) = with_url.extensions_ref() {
            head.extensions.extend(url.clone());
        }
        (head, body)
    }

    fn close(head: Parts, mut body: CheckedBody<Body>) -> Self {
        let body = match body.take_whole() {
            Some(whole) => Body::from(whole),
            None => Body::wrap(body),
        };
        http::Response::from_parts(head, body).into()
    }
}
