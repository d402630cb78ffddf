//! The same cases for reqwest-middleware, with a client whose last middleware answers without a network.

use std::cell::RefCell;

use async_trait::async_trait;
use http::{Extensions, HeaderValue};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};

use crate::{
    lane::{BATCH, Lane, finish},
    ours::KEY,
    request::{self, OURS, SESSION_ID, session_id},
};

thread_local! {
    static ARRIVED: RefCell<Vec<Request>> = const { RefCell::new(Vec::new()) };
}

/// Accepts the request and answers.
struct Answers;

#[async_trait]
impl Middleware for Answers {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        ARRIVED.with_borrow_mut(|arrived| arrived.push(request));
        Ok(http::Response::new("").into())
    }
}

/// The middleware that a user would write by hand.
pub struct InsertsConstant(HeaderValue);

impl Default for InsertsConstant {
    fn default() -> Self {
        Self(session_id())
    }
}

#[async_trait]
impl Middleware for InsertsConstant {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        request.headers_mut().insert(SESSION_ID, self.0.clone());
        next.run(request, extensions).await
    }
}

/// Calls of one client.
pub struct ClientCalls {
    client: ClientWithMiddleware,
    requests: Vec<Request>,
}

impl ClientCalls {
    pub fn new(middleware: impl Middleware) -> Self {
        let client = ClientBuilder::new(reqwest::Client::new())
            .with(middleware)
            .with(Answers)
            .build();
        let request = || request::call_with_key(OURS, KEY).map(|_| "").try_into();
        let requests = (0..BATCH).map(|_| request().expect("a URL")).collect();
        Self { client, requests }
    }
}

impl Lane for ClientCalls {
    fn run(&mut self) {
        for request in self.requests.drain(..) {
            assert!(finish(self.client.execute(request)).is_ok());
        }
    }

    fn reset(&mut self) {
        ARRIVED.with_borrow_mut(|arrived| {
            for mut request in arrived.drain(..) {
                assert!(request.headers_mut().remove(SESSION_ID).is_some());
                self.requests.push(request);
            }
        });
    }
}
