//! The key that leaves is the key that came.

use http::{HeaderMap, HeaderName, HeaderValue};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// In the extensions of a request: the `X-API-Key` that it came with.
///
/// The session layer adds the manager's key to a request without one, always in this header. Unless the gateway was
/// told to lend that key, [`Upstream`](crate::Upstream) compares the two before it sends anything. So nobody is granted
/// a key, however the layer reads the credentials of a request.
#[derive(Clone)]
pub(crate) struct CameWith(Option<HeaderValue>);

impl CameWith {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get(API_KEY).cloned())
    }

    pub(crate) fn is_still_in(&self, headers: &HeaderMap) -> bool {
        headers.get(API_KEY) == self.0.as_ref()
    }
}
