//! The layer as a `reqwest_middleware::Middleware`.

use ::reqwest::{Request, Response};
use async_trait::async_trait;
use http::{Extensions, HeaderMap};
use reqwest_middleware::{Error, Middleware, Next, Result};

use crate::{
    SessionLayer,
    manager::admit::{Admission, Outgoing},
    scope::Target,
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
        let lease = match admission.map_err(Error::middleware)? {
            Admission::Pass => None,
            Admission::Leased(lease) => Some(lease),
            Admission::Wait(lease) => {
                let lease = lease.await.map_err(Error::middleware)?;
                if let Some(lease) = &lease {
                    lease.inject(request.headers_mut());
                }
                lease
            }
        };
        let response = next.run(request, extensions).await;
        match (lease, &response) {
            (Some(lease), Ok(response)) => lease.complete_with(response.status()),
            (Some(lease), Err(Error::Reqwest(error))) => lease.fail(error),
            (Some(lease), Err(Error::Middleware(error))) => lease.fail(&**error),
            (None, _) => {}
        }
        response
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
