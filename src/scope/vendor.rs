//! The names that the vendor gives its server.

use super::{BaseUrl, host::Host};

/// The server's production address.
pub(crate) const DEFAULT_BASE_URL: &str = "https://sipher-api.sip-protocol.org";
/// The name that the vendor's API document and SDKs still use.
pub(crate) const DEFAULT_ALIAS: &str = "https://sipher.sip-protocol.org";

impl BaseUrl {
    /// The vendor's other name, if this is one of the two: where to look when there is no Sipher here.
    pub(crate) fn vendors_other_name(&self) -> Option<&'static str> {
        let is_at = |url: &str| match &self.host {
            Host::Name(name) => url.strip_prefix("https://") == Some(name),
            Host::V6(_) => false,
        };
        if is_at(DEFAULT_BASE_URL) {
            Some(DEFAULT_ALIAS)
        } else {
            is_at(DEFAULT_ALIAS).then_some(DEFAULT_BASE_URL)
        }
    }
}
