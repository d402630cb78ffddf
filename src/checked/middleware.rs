//! The checked layer as a `reqwest_middleware::Middleware`.

use std::future::poll_fn;

use ::reqwest::Request;
use http::Extensions;
use reqwest_middleware::{Error, Middleware, Next};

use super::{
    CheckedLayer, CheckedReplayLayer,
    answer::{self, Reading},
};
use crate::reqwest::{Answer, send, send_again};

impl Middleware for CheckedLayer {
    fn handle<'a, 'b, 'c, 'f>(
        &'a self,
        request: Request,
        extensions: &'b mut Extensions,
        next: Next<'c>,
    ) -> Answer<'f>
    where
        'a: 'f,
        'b: 'f,
        'c: 'f,
    {
        let (checks, mut expectation) = (self.checks(&request), self.made_ready(&request));
        Box::pin(async move {
            let response = if expectation.is_some() {
                next.run(request, extensions).await?
            } else {
                let layer = self.layer();
                send(layer, request, extensions, next, |in_flight| {
                    expectation = in_flight.expectation().filter(|_| checks);
                })
                .await?
            };
            let expectation = expectation.filter(|_| checks && answer::is_readable(&response));
            let Some(expectation) = expectation else {
                return Ok(response);
            };
            let mut reading = Reading::new(response, expectation);
            poll_fn(|cx| reading.poll(cx))
                .await
                .map_err(Error::middleware)
        })
    }
}

impl Middleware for CheckedReplayLayer {
    fn handle<'a, 'b, 'c, 'f>(
        &'a self,
        request: Request,
        extensions: &'b mut Extensions,
        next: Next<'c>,
    ) -> Answer<'f>
    where
        'a: 'f,
        'b: 'f,
        'c: 'f,
    {
        let each = self.inner();
        Box::pin(send_again(each.layer(), each, request, extensions, next))
    }
}
