//! Requests that go elsewhere and look like Sipher's.

use serde::{Deserialize, Serialize};

/// What happens to a request that goes elsewhere and yet looks like one for Sipher.
///
/// It looks like one if its host is under `sip-protocol.org`, if it goes to the port of a base URL on loopback by another spelling of
/// loopback (`0.0.0.0` and `[::]` count), or if it bears an API key that this manager uses. In each case it is counted in [`Stats::outside`](crate::Stats), and
/// [`Event::Outside`](crate::Event::Outside) names the first to each origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outside {
    /// It passes as it is, without a session.
    #[default]
    Pass,
    /// It fails with [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) and is not sent.
    Refuse,
}

/// Why a request that goes elsewhere looks like one for Sipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutsideReason {
    /// Its host is `sip-protocol.org` or a name below that.
    VendorsDomain,
    /// Base URL and request name this machine and the same port, in two spellings.
    Loopback,
    /// It bears an API key that this manager uses.
    ApiKey,
}

impl OutsideReason {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::VendorsDomain => "its host is the vendor's",
            Self::Loopback => "it is the same port of this machine, spelt otherwise",
            Self::ApiKey => "it bears an API key of this manager's",
        }
    }
}
