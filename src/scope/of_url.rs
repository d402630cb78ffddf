//! Where a URL of reqwest's points.

use reqwest::Url;

use super::{Origin, Target};

impl<'a> Target<'a> {
    /// Where it points, for the one judgement of what is Sipher's. `None` for one without a host.
    pub(crate) fn of_url(url: &'a Url) -> Option<Self> {
        let origin = Origin {
            scheme: url.scheme(),
            host: url.host_str()?,
            port: url.port(),
        };
        Some(Self {
            origin: Some(origin),
            path: url.path(),
        })
    }
}
