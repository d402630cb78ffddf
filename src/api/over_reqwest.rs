//! Session calls over `reqwest::Client`.

use std::{
    error::Error as StdError,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use ::reqwest::{Body, Client, ClientBuilder, Error as ReqwestError, redirect::Policy};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_service::Service;

use crate::{
    api::{NotSent, Redirected, Transport},
    error::{BoxError, Error},
    scope::{BaseUrl, Target},
};

/// How long a pooled connection may be idle. The server closes idle connections after 5 s, and a call on a connection
/// that is being closed has an unknown outcome.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// How long connecting may take. An address that neither accepts nor refuses a connection fails after this time.
const CONNECT: Duration = Duration::from_secs(5);

/// Creates the client for users that give none. `base` is where the calls go.
pub(crate) fn default_transport(base: &BaseUrl) -> Result<Transport, Error> {
    if base.is_https() && !cfg!(feature = "rustls") {
        return Err(Error::config(
            "http_client: is not set, and the built-in one has no TLS for an https `base_url`; expected the feature `rustls`, or a \
             client of your own that has TLS",
        ));
    }
    let client = Client::builder()
        .redirect(Policy::none())
        .pool_idle_timeout(POOL_IDLE)
        .connect_timeout(CONNECT);
    let client = if base.is_https() {
        client
    } else {
        without_tls(client)
    };
    let client = if base.is_loopback() {
        // A proxy from the environment would see the API key in clear, although the call never leaves the machine.
        client.no_proxy()
    } else {
        client
    };
    // rustls panics if the program has several of its crypto providers and has not installed one.
    let built = catch_unwind(AssertUnwindSafe(|| client.build()));
    let built = built.map_err(|_| no_tls_provider())?;
    built.map(Transport::from).map_err(cannot_be_built)
}

fn no_tls_provider() -> Error {
    Error::config(
        "http_client: is not set, and the built-in one cannot be built: the TLS library panicked; expected a provider that is installed \
         first (`rustls::crypto::CryptoProvider::install_default`), or a client of your own",
    )
}

/// Sets TLS up without loading root certificates, which the machine may lack.
#[cfg(feature = "rustls")]
fn without_tls(client: ClientBuilder) -> ClientBuilder {
    client.tls_certs_only([])
}

#[cfg(not(feature = "rustls"))]
fn without_tls(client: ClientBuilder) -> ClientBuilder {
    client
}

fn cannot_be_built(error: ReqwestError) -> Error {
    let mut cause: &dyn StdError = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Error::config(format!(
        "http_client: is not set, and the built-in one cannot be built: {cause}; expected root certificates on this machine (often a \
         package `ca-certificates`), or a client of your own"
    ))
    .with_source(error)
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
                return Err(Redirected::to(Target::of_url(response.url())).into());
            }
            Ok(response.into())
        })
    }
}

fn unsent(error: ReqwestError) -> BoxError {
    NotSent(error.without_url().into()).into()
}
