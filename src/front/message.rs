//! Requests and responses of any client's, as far as this crate looks at them.

use std::time::Duration;

use http::{Extensions, HeaderMap, Method, StatusCode};

use crate::{
    api::SessionDefaults,
    followed,
    model::settings::{MaxWait, NoSession},
    scope::{Place, Target},
};

/// A request of any client's, as far as this crate looks at it.
pub(crate) trait Outgoing {
    /// What it does, and to what; if that is known.
    fn method_and_path(&self) -> Option<(&Method, &str)>;
    /// Where it goes, if it says so.
    fn target(&self) -> Option<Target<'_>>;
    /// The same, not yet taken apart.
    fn place(&self) -> Option<Place<'_>>;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// What its sender says about it, where the client has room for that.
    fn extensions(&self) -> Option<&Extensions>;

    /// Whether it says by itself what is to become of it.
    #[inline]
    fn speaks_for_itself(&self) -> bool {
        self.opted_out() || self.own_defaults().is_some()
    }

    /// Whether it is to go without a session.
    fn opted_out(&self) -> bool {
        let extensions = self.extensions();
        extensions.is_some_and(|all| all.get::<NoSession>().is_some())
    }

    /// The defaults that its session is to have.
    fn own_defaults(&self) -> Option<&SessionDefaults> {
        self.extensions()?.get()
    }

    /// How long it waits for its session, if it says so.
    fn own_max_wait(&self) -> Option<Duration> {
        let MaxWait(wait) = self.extensions()?.get()?;
        Some(*wait)
    }

    /// After how long its client gives it up, if that is known.
    fn own_timeout(&self) -> Option<Duration> {
        None
    }

    /// So much of its own timeout has passed before it is sent.
    fn shorten_timeout(&mut self, _: Duration) {}
}

/// A response of any client's, as far as this crate looks at it.
pub(crate) trait Incoming {
    fn status(&self) -> StatusCode;
    fn headers(&self) -> &HeaderMap;
    /// Shows where it came from, as far as it says so: elsewhere than the request was sent to if the client followed redirects.
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

/// Headers on their own, of a request that is certain to be Sipher's.
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
        // Its headers are for a proxy, whatever its URI looks like.
        if self.method() == Method::CONNECT {
            return None;
        }
        Target::of_uri(self.uri())
    }

    #[allow(clippy::inline_always)] // at several places, and the first one is on the way of every request
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
