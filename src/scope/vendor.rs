//! The vendor's names for its server.

use super::{BaseUrl, host::Host};

/// The address of the production server.
pub(crate) const DEFAULT_BASE_URL: &str = "https://sipher-api.sip-protocol.org";
/// An older name, which the vendor's API document and SDKs still use.
pub(crate) const DEFAULT_ALIAS: &str = "https://sipher.sip-protocol.org";

impl BaseUrl {
    /// Returns the other one of the vendor's two names, if this URL is one of them. Error messages suggest it if Sipher
    /// does not answer here.
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
