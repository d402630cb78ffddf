//! Which requests are Sipher's, and which of those need a session.
//!
//! Whatever is not certain to be Sipher's is treated as somebody else's: it passes untouched, with no session id and
//! no API key. The same judgement decides which redirects may be followed, and whether an answer came from elsewhere.

mod base_url;
mod host;
#[cfg(test)]
mod lookalikes;
mod path;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    base_url::{BaseUrl, DEFAULT_BASE_URL, PlainHttp, presentable},
    target::{Origin, Place, Target},
};

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

    /// Whether a place is [`Scope::Sipher`] at first sight: spelt as usual, and on a path that is like no other kind's. Where
    /// it says no, [`scope`](Self::scope) decides.
    #[inline]
    pub(crate) fn is_plainly_ours(&self, place: Place<'_>) -> bool {
        let may_climb = |path: &str| path.bytes().any(|byte| matches!(byte, b'.' | b'%' | b'\\'));
        let is_plain_below = |prefix: &str| {
            let path = place.path.strip_prefix(prefix);
            path.is_some_and(|path| path::is_plain(path) && !may_climb(path))
        };
        self.is_plainly_at(place)
            && if self.prefix().is_empty() {
                path::is_plain(place.path)
            } else {
                is_plain_below(self.prefix())
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
