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
//! # The layer does not see what is below it
//!
//! `reqwest` adds a client's `default_headers` to a request *below* the layer, for each header that the request lacks.
//! The layer does not see an API key there. A session id there would be sent even after the session ended. So put
//! neither into `default_headers`.
//!
//! # Redirects are below the layer too
//!
//! When a redirect leads to another origin, `reqwest` removes `Authorization` and `Cookie`, but neither the session
//! id nor `X-API-Key`. The [`redirect_policy`](crate::SessionManager::redirect_policy) stops such redirects. Without
//! it, the layer notices only the last hop, and only afterwards. If the response's URL is not Sipher's, the session
//! is replaced, and [`Event::Leaked`](crate::Event) reports it. A chain that comes back to Sipher is not noticed.
//!
//! # Proxies
//!
//! The client for the session calls uses the proxy that `HTTPS_PROXY` or `HTTP_PROXY` names, except for loopback.
//! Your own client uses the proxy for loopback too, and an http proxy reads the API key on the way. For a server on
//! the same machine, build your client with `no_proxy()`.

#[cfg(feature = "reqwest-retry")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest-retry")))]
pub use crate::reqwest::retry::{RetryAfterPolicy, SessionRetryStrategy, retry};
