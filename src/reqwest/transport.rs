//! `reqwest::Client` as the way for the session calls.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use ::reqwest::{Body, Client, Error as ReqwestError, redirect::Policy};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_service::Service;

use super::target;
use crate::{
    api::{NotSent, Redirected, Transport},
    error::{BoxError, Error},
};

/// The server closes idle connections after 5 s, and a call on one that it just closed has an unknown outcome.
const POOL_IDLE: Duration = Duration::from_secs(4);

pub(crate) fn default_transport() -> Result<Transport, Error> {
    let client = Client::builder()
        .redirect(Policy::none())
        .pool_idle_timeout(POOL_IDLE)
        .build();
    let wrong = |error| {
        Error::config("http_client: cannot be built; expected a working TLS backend")
            .with_source(error)
    };
    client.map(Transport::from).map_err(wrong)
}

impl From<Client> for Transport {
    fn from(client: Client) -> Self {
        Self::new(Calls(client))
    }
}

#[derive(Clone, Debug)]
struct Calls(Client);

impl Service<Request<Full<Bytes>>> for Calls {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let request = ::reqwest::Request::try_from(request.map(Body::wrap));
        let call = request.map(|request| (request.url().clone(), self.0.execute(request)));
        Box::pin(async move {
            let (asked, call) = call.map_err(unsent)?;
            let response = call.await.map_err(|error| {
                if error.is_connect() || error.is_builder() {
                    unsent(error)
                } else {
                    error.without_url().into()
                }
            })?;
            if *response.url() != asked {
                return Err(Redirected::to(target(response.url())).into());
            }
            Ok(response.into())
        })
    }
}

fn unsent(error: ReqwestError) -> BoxError {
    NotSent(error.without_url().into()).into()
}
