//! The layer as a `reqwest_middleware::Middleware`.

use ::reqwest::{Request, Response};
use async_trait::async_trait;
use http::{Extensions, HeaderMap};
use reqwest_middleware::{Error, Middleware, Next, Result};

use crate::{
    SessionLayer,
    layer::{ReplayLayer, Replayable},
    manager::{admit::Admission, message::Outgoing},
    scope::{Place, Target},
};

#[async_trait]
impl Middleware for SessionLayer {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let admission = self.admit(&mut WithExtensions {
            request: &mut request,
            extensions,
        });
        let mut in_flight = match admission.map_err(Error::middleware)? {
            Admission::Send(in_flight) => in_flight,
            Admission::Wait(admission) => {
                let in_flight = admission.await.map_err(Error::middleware)?;
                in_flight.inject(request.headers_mut());
                in_flight
            }
        };
        let mut response = next.run(request, extensions).await;
        match &mut response {
            Ok(response) => in_flight.complete(response, self.proves(), false),
            Err(Error::Reqwest(error)) => in_flight.fail(error),
            Err(Error::Middleware(error)) => in_flight.fail(&**error),
        }
        response
    }
}

#[async_trait]
impl Middleware for ReplayLayer {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let layer = self.layer();
        let seen = WithExtensions {
            request: &mut request,
            extensions,
        };
        let Some(again) = layer.spare(&seen, |seen| seen.request.duplicate()) else {
            return layer.handle(request, extensions, next).await;
        };
        let first = layer.handle(request, extensions, next.clone()).await;
        let is_replayed = match &first {
            Ok(response) => layer.replays_after(Ok(response.status())),
            Err(Error::Reqwest(error)) => layer.replays_after(Err(error)),
            Err(Error::Middleware(error)) => layer.replays_after(Err(&**error)),
        };
        if is_replayed {
            // It may hold a place that the second one needs.
            drop(first);
            layer.handle(again, extensions, next).await
        } else {
            first
        }
    }
}

/// A request with what its sender says about it, which travels beside it here.
struct WithExtensions<'a> {
    request: &'a mut Request,
    extensions: &'a Extensions,
}

impl Outgoing for WithExtensions<'_> {
    fn target(&self) -> Option<Target<'_>> {
        self.request.target()
    }

    fn place(&self) -> Option<Place<'_>> {
        self.request.place()
    }

    fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions)
    }
}
