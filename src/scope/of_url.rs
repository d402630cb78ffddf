//! Reads the target of a `reqwest` URL.

use reqwest::Url;

use super::{Origin, Target};

impl<'a> Target<'a> {
    /// Returns the target of a `reqwest` URL, so that the same code judges URLs and URIs. Returns `None` for a URL
    /// without a host.
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
