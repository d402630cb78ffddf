//! Detects requests that look like Sipher's and go outside of the base URL. With a wrong host name, requests are sent
//! without a session, and nobody would notice.

use http::{Method, header::HOST};

use super::{manager::SessionManager, message::Outgoing};
use crate::{
    api::scrub,
    error::{Error, ErrorKind},
    headers,
    model::{
        event::Event,
        outside::{Outside, OutsideReason},
        partition::KeyId,
        settings::Settings,
    },
    scope::{self, Glance, Origin},
};

impl Settings {
    fn looks_like(&self, origin: &Origin<'_>) -> Option<OutsideReason> {
        if scope::is_vendors(origin.host) {
            return Some(OutsideReason::VendorsDomain);
        }
        let is_beside = self.base.is_beside(origin) || self.aliases.are_beside(origin);
        is_beside.then_some(OutsideReason::Loopback)
    }

    /// Returns whether the base URL or an alias is on loopback. If so, a request to another spelling of loopback may be
    /// meant for it.
    fn is_on_loopback(&self) -> bool {
        self.base.is_loopback() || self.aliases.are_on_loopback()
    }
}

impl SessionManager {
    /// Compares a request that is not below the base URL with the aliases, quickly. [`Glance::Elsewhere`] means that
    /// the request is certainly not for Sipher, which holds for nearly all requests that get here. Returns `None` if
    /// the request looks like one for Sipher: then a closer look is needed.
    #[inline]
    pub(crate) fn glance_again<R: Outgoing>(&self, request: &R) -> Option<Glance> {
        let (settings, place) = (&self.core().settings, request.place()?);
        let glance = settings.aliases.glance(place);
        let looks_like_one = glance == Glance::Elsewhere
            && (headers::may_bear_a_key(request.headers())
                || scope::is_vendors(place.authority)
                || settings.is_on_loopback());
        (!looks_like_one).then_some(glance)
    }

    /// Examines a request that goes to another origin. If it looks like one for Sipher, it is counted and reported.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if it looks like one for Sipher and [`Outside::Refuse`] is set.
    pub(crate) fn look_outside<R: Outgoing>(&self, request: &R) -> Result<(), Error> {
        // The headers of a CONNECT are for the proxy, and the traffic through it is encrypted.
        let method = request.method_and_path().map(|(method, _)| method);
        if method == Some(&Method::CONNECT) {
            return Ok(());
        }
        let origin = origin_of(request);
        let likeness = || self.core().settings.looks_like(origin.as_ref()?);
        let reason = likeness().or_else(|| self.key_is_ours(request));
        match reason {
            Some(reason) => self.outside(&shown(origin.as_ref(), request), reason),
            None => Ok(()),
        }
    }

    fn key_is_ours<R: Outgoing>(&self, request: &R) -> Option<OutsideReason> {
        let key = KeyId::of(headers::api_key(request.headers()).ok()??);
        // Compare the configured key separately: once the server has refused it, it is not among the accepted keys any
        // more.
        let is_ours =
            self.identity().key_id() == Some(key) || self.core().gate().known_keys.is_accepted(key);
        is_ours.then_some(OutsideReason::ApiKey)
    }

    #[cold]
    fn outside(&self, origin: &str, reason: OutsideReason) -> Result<(), Error> {
        let core = self.core();
        core.observer.outside();
        let base = core.settings.base.to_string();
        let error = match core.settings.on_outside {
            Outside::Pass => None,
            Outside::Refuse => Some(refused(origin, &base, reason)),
        };
        if core.outside.is_first(origin) {
            let origin = origin.to_owned();
            core.emit(Event::Outside {
                origin,
                base,
                reason,
            });
        }
        error.map_or(Ok(()), Err)
    }
}

/// Returns the origin of a request. If its URI has none, the `Host` header counts.
fn origin_of<R: Outgoing>(request: &R) -> Option<Origin<'_>> {
    let target = request.target()?;
    target.origin.or_else(|| {
        let host = request.headers().get(HOST)?.to_str().ok()?;
        Origin::of_authority("", host)
    })
}

/// Returns the origin for people to read: in lower case, and with everything that looks like a secret removed.
fn shown<R: Outgoing>(origin: Option<&Origin<'_>>, request: &R) -> String {
    let origin = match origin {
        Some(origin) if origin.scheme.is_empty() => format!("{origin}")[1..].to_owned(),
        Some(origin) => origin.to_string(),
        None => "/".to_owned(),
    };
    let key = headers::api_key(request.headers()).ok().flatten();
    let key = key.map(str::to_lowercase).unwrap_or_default();
    scrub::text(&origin.to_lowercase(), &[&key])
}

fn refused(origin: &str, base: &str, reason: OutsideReason) -> Error {
    let text = format!(
        "the request goes to `{origin}`, outside of the base URL `{base}`, and {}; \
         expected one below the base URL, an `alias` for where it goes, or `on_outside` set to `pass`",
        reason.text()
    );
    Error::new(ErrorKind::InvalidRequest, text)
}
