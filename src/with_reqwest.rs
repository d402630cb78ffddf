//! For users of `reqwest`: the middleware, the client as a tower service, and the client for the session calls.
//!
//! ```no_run
//! # #[cfg(feature = "reqwest-middleware")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use sipher_session::{SessionLayer, SessionManager};
//!
//! let sessions = SessionManager::builder().api_key("sk_pro_1234").build()?;
//! let client = reqwest::Client::builder().redirect(sessions.redirect_policy()).build()?;
//! let http = reqwest_middleware::ClientBuilder::new(client)
//!     .with(SessionLayer::new(sessions.clone()))
//!     .build();
//!
//! http.post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
//!     .header("content-type", "application/json")
//!     .body("{}")
//!     .send()
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! # What is below the layer is out of its sight
//!
//! `reqwest` merges a client's `default_headers` into a request *below* the layer, and only where the request has none.
//! An API key there is not seen, and one session's id there would be sent for good: neither belongs in them.
//!
//! # Redirects are below the layer too
//!
//! When a redirect leads to another origin, `reqwest` takes off `Authorization` and `Cookie`, but neither session id nor
//! `X-API-Key`. The [`redirect_policy`](crate::SessionManager::redirect_policy) does not let it come to this. Without
//! it, only the last hop is noticed, after the fact: where the response's URL is not Sipher's, the session is replaced, and
//! [`Event::Leaked`](crate::Event) tells of it. A chain that comes back to Sipher is not noticed.
//!
//! # Proxies
//!
//! The client for the session calls goes through the proxy that `HTTPS_PROXY` or `HTTP_PROXY` names, but never to loopback. Your own
//! client goes through it to loopback as well, and an http proxy reads the API key on the way. Against a server on the same machine,
//! build it with `no_proxy()`.

#[cfg(feature = "reqwest-retry")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest-retry")))]
pub use crate::reqwest::retry::{RetryAfterPolicy, SessionRetryStrategy, retry};
