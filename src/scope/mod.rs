//! Decides which requests are for Sipher, and which of those need a session.
//!
//! A request that is not certainly for Sipher passes untouched, with no session id and no API key. The same decision
//! says which redirects may be followed, and whether an answer came from another origin.

mod aliases;
mod base_url;
mod host;
#[cfg(test)]
mod lookalikes;
#[cfg(feature = "reqwest")]
mod of_url;
mod outside;
mod path;
mod target;
#[cfg(test)]
mod tests;
mod vendor;

#[cfg(feature = "schema")]
pub(crate) use self::base_url::MAX_URL;
pub(crate) use self::{
    aliases::Aliases,
    base_url::{BaseUrl, PlainHttp, presentable},
    outside::is_vendors,
    path::session_id_in,
    target::{Origin, Place, Target},
    vendor::{DEFAULT_ALIAS, DEFAULT_BASE_URL},
};
use crate::api::SessionId;

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The request is not certainly for Sipher.
    Elsewhere,
    /// The request is for Sipher, on a path that needs no authentication.
    Public,
    /// The request is a session call to Sipher.
    SessionCall,
    /// The request is for Sipher and needs a session.
    Sipher,
}

/// The result of a quick look at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glance {
    /// [`Scope::Sipher`]: the URL has the usual spelling, and its path cannot be of another kind.
    Sipher,
    /// [`Scope::Elsewhere`], in any spelling.
    Elsewhere,
    /// Not clear: [`scope`](BaseUrl::scope) decides.
    Unclear,
}

/// How to treat a request whose URI has no origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unaddressed {
    /// The request is not for Sipher: nobody knows where it goes.
    #[default]
    Elsewhere,
    /// The request is for Sipher. A lower layer adds the address, and the user has said that the address is always
    /// Sipher's.
    Sipher,
}

impl BaseUrl {
    /// Decides the kind of a request. Every target has exactly one kind.
    pub(crate) fn scope(&self, target: Option<Target<'_>>, unaddressed: Unaddressed) -> Scope {
        let Some(target) = target else {
            return Scope::Elsewhere;
        };
        let path = match target.origin {
            Some(origin) => self.path_within(&origin, target.path),
            None => (unaddressed == Unaddressed::Sipher && path::is_of_no_origin(target.path))
                .then_some(target.path),
        };
        path.map_or(Scope::Elsewhere, path::classify)
    }

    /// Decides the kind of a request by a quick look at its URL. The result is clear for most requests.
    #[allow(clippy::inline_always)] // called at two places, once on the way of every request
    #[inline(always)]
    pub(crate) fn glance(&self, place: Place<'_>) -> Glance {
        if !self.is_plainly_at(place) {
            return if self.is_plainly_another(place.authority) {
                Glance::Elsewhere
            } else {
                Glance::Unclear
            };
        }
        // A path that is long enough for a session id needs a closer look: the request may delete that session.
        let is_plain = if place.path.len() >= SessionId::LEN {
            false
        } else if self.prefix().is_empty() {
            path::is_plain(place.path)
        } else {
            let path = place.path.strip_prefix(self.prefix());
            path.is_some_and(|path| path::is_plain(path) && !path::may_climb(path))
        };
        if is_plain {
            Glance::Sipher
        } else {
            Glance::Unclear
        }
    }

    /// Returns whether the target is below this URL.
    pub(crate) fn contains(&self, target: Target<'_>) -> bool {
        let path = |origin| self.path_within(&origin, target.path);
        target.origin.and_then(path).is_some()
    }

    /// Returns the path below the base URL, if the target is below it.
    fn path_within<'a>(&self, origin: &Origin<'_>, path: &'a str) -> Option<&'a str> {
        if !self.is_at(origin) {
            return None;
        }
        if self.prefix().is_empty() {
            return Some(path);
        }
        let path = path.strip_prefix(self.prefix())?;
        let on_a_border = path.is_empty() || path.starts_with('/');
        (on_a_border && !path::has_dot_segment(path)).then_some(path)
    }
}
