//! `reqwest`: the middleware, the client as a tower service, and the client for the session calls.

mod body;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod redirect;
#[cfg(feature = "reqwest-retry")]
pub(crate) mod retry;
mod service;
mod transport;

use ::reqwest::Url;

#[cfg(feature = "reqwest-middleware")]
pub(crate) use self::middleware::{Answer, send, send_again};
pub(crate) use self::transport::default_transport;
use crate::scope::{Origin, Target};

/// Where a URL points, for the one judgement of what is Sipher's.
pub(crate) fn target(url: &Url) -> Option<Target<'_>> {
    let origin = Origin {
        scheme: url.scheme(),
        host: url.host_str()?,
        port: url.port(),
    };
    Some(Target {
        origin: Some(origin),
        path: url.path(),
    })
}
