//! Requests and responses of any client, as this crate sees them.

use std::time::Duration;

use http::{Extensions, HeaderMap, Method, StatusCode};

use crate::{
    api::SessionDefaults,
    followed,
    model::settings::{MaxWait, NoSession},
    scope::{Place, Target},
};

/// A request of any client, as this crate sees it.
pub(crate) trait Outgoing {
    /// Returns the method and the path, if they are known.
    fn method_and_path(&self) -> Option<(&Method, &str)>;
    /// Returns the request's URL in parts, if the request has one.
    fn target(&self) -> Option<Target<'_>>;
    /// Returns the same URL, not yet split into parts.
    fn place(&self) -> Option<Place<'_>>;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// Returns the extensions that the caller has set, if the client has any.
    fn extensions(&self) -> Option<&Extensions>;

    /// Returns whether the caller has asked for no session or for other defaults.
    #[inline]
    fn speaks_for_itself(&self) -> bool {
        self.opted_out() || self.own_defaults().is_some()
    }

    /// Returns whether the caller has asked for no session.
    fn opted_out(&self) -> bool {
        let extensions = self.extensions();
        extensions.is_some_and(|all| all.get::<NoSession>().is_some())
    }

    /// Returns the defaults that the caller has asked for.
    fn own_defaults(&self) -> Option<&SessionDefaults> {
        self.extensions()?.get()
    }

    /// Returns how long this request may wait for its session, if the caller has set it.
    fn own_max_wait(&self) -> Option<Duration> {
        let MaxWait(wait) = self.extensions()?.get()?;
        Some(*wait)
    }

    /// Returns the client's own timeout for this request, if it is known.
    fn own_timeout(&self) -> Option<Duration> {
        None
    }

    /// Subtracts the time that the request has waited from the client's own timeout.
    fn shorten_timeout(&mut self, _: Duration) {}
}

/// A response of any client, as this crate sees it.
pub(crate) trait Incoming {
    fn status(&self) -> StatusCode;
    fn headers(&self) -> &HeaderMap;
    /// Calls `see` with each URL that the response says it came from. If the client followed redirects, this is not the
    /// request's URL.
    fn answered_from<'a>(&'a self, see: impl FnMut(Target<'a>));
    fn extensions_mut(&mut self) -> &mut Extensions;
}

impl<B> Incoming for http::Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    #[inline]
    fn answered_from<'a>(&'a self, mut see: impl FnMut(Target<'a>)) {
        followed::each_uri(self.extensions(), |uri| {
            if let Some(target) = Target::of_uri(uri) {
                see(target);
            }
        });
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions_mut()
    }
}

/// Headers without a request. Whoever passes them says that they are for Sipher.
impl Outgoing for HeaderMap {
    fn method_and_path(&self) -> Option<(&Method, &str)> {
        None
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn place(&self) -> Option<Place<'_>> {
        None
    }

    fn headers(&self) -> &HeaderMap {
        self
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self
    }

    fn extensions(&self) -> Option<&Extensions> {
        None
    }
}

impl<B> Outgoing for http::Request<B> {
    fn method_and_path(&self) -> Option<(&Method, &str)> {
        Some((self.method(), self.uri().path()))
    }

    fn target(&self) -> Option<Target<'_>> {
        // The headers of a CONNECT are for a proxy, whatever its URI looks like.
        if self.method() == Method::CONNECT {
            return None;
        }
        Target::of_uri(self.uri())
    }

    #[allow(clippy::inline_always)] // called at several places, once on the way of every request
    #[inline(always)]
    fn place(&self) -> Option<Place<'_>> {
        if self.method() == Method::CONNECT {
            return None;
        }
        Place::of_uri(self.uri())
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions())
    }
}
