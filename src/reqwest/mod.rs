//! `reqwest`: the middleware, the client as a tower service, and the client for the session calls.

mod body;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod redirect;
#[cfg(feature = "reqwest-retry")]
pub(crate) mod retry;
mod service;

#[cfg(feature = "reqwest-middleware")]
pub(crate) use self::middleware::{Answer, send, send_again};
