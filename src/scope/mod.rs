//! Which requests are Sipher's, and which of those need a session.
//!
//! Whatever is not certain to be Sipher's is treated as somebody else's: it passes untouched, with no session id and
//! no API key. The same judgement decides which redirects may be followed, and whether an answer came from elsewhere.

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

/// What a request is to this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Not certain to be for Sipher.
    Elsewhere,
    /// For Sipher, on a path that needs no authentication.
    Public,
    /// For Sipher's own session calls.
    SessionCall,
    /// For Sipher, and to be sent with a session.
    Sipher,
}

/// What a request is at first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glance {
    /// [`Scope::Sipher`]: spelt as usual, and on a path that is like no other kind's.
    Sipher,
    /// [`Scope::Elsewhere`], however it is spelt.
    Elsewhere,
    /// [`scope`](BaseUrl::scope) decides.
    Unclear,
}

/// Whose a request is that does not say where it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unaddressed {
    /// Nobody knows.
    #[default]
    Elsewhere,
    /// Sipher's: the address is put in further down, and somebody said that it is always Sipher's.
    Sipher,
}

impl BaseUrl {
    /// Decides what a request is. Total: every target has one answer.
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

    /// What a place is at first sight, which most are.
    #[allow(clippy::inline_always)] // at two places, and the first one is on the way of every request
    #[inline(always)]
    pub(crate) fn glance(&self, place: Place<'_>) -> Glance {
        if !self.is_plainly_at(place) {
            return if self.is_plainly_another(place.authority) {
                Glance::Elsewhere
            } else {
                Glance::Unclear
            };
        }
        // A path that may name a session has to be looked at: somebody may be deleting it.
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

    /// Whether what is sent there is sent to Sipher.
    pub(crate) fn contains(&self, target: Target<'_>) -> bool {
        let path = |origin| self.path_within(&origin, target.path);
        target.origin.and_then(path).is_some()
    }

    /// The path below the base URL, if the target is there.
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
