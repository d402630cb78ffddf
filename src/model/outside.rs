//! Requests that look like Sipher's and go elsewhere.

use serde::{Deserialize, Serialize};

/// What happens to a request that looks like one for Sipher and goes elsewhere.
///
/// A request looks like one for Sipher in three cases:
/// - Its host is `sip-protocol.org` or a name below that.
/// - It names the same port of this machine as a base URL, in another spelling. Example: the base URL is
///   `http://127.0.0.1:8080`, and the request goes to `localhost:8080`. `0.0.0.0` and `[::]` count as this machine.
/// - It carries an API key that this manager uses.
///
/// [`Stats::outside`](crate::Stats) counts these requests, and [`Event::Outside`](crate::Event::Outside) reports the
/// first one for each origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outside {
    /// The request is sent as it is, without a session.
    #[default]
    Pass,
    /// The request fails with [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) and is not sent.
    Refuse,
}

/// Why a request that goes elsewhere looks like one for Sipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutsideReason {
    /// The request's host is `sip-protocol.org` or a name below that.
    VendorsDomain,
    /// The request and the base URL name the same port of this machine in two spellings, such as `localhost` and
    /// `127.0.0.1`.
    Loopback,
    /// The request carries an API key that this manager uses.
    ApiKey,
}

impl OutsideReason {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::VendorsDomain => "its host is the vendor's",
            Self::Loopback => "it is the same port of this machine, spelt otherwise",
            Self::ApiKey => "it has an API key of this manager",
        }
    }
}
