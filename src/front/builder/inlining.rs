//! Defaults in the bodies of requests.

use super::SessionManagerBuilder;
use crate::{
    error::Error,
    model::{inlining::InlineDefaults, settings::Inline},
};

impl SessionManagerBuilder {
    /// Sets whether defaults are put into the bodies of requests as well, where the server would put them. Defaults to
    /// [`InlineDefaults::Off`], since it changes what the user wrote.
    ///
    /// With [`InlineDefaults::Always`] a request that was merged is right whatever the server has forgotten. In a tower stack
    /// an [`InlineDefaultsLayer`](crate::InlineDefaultsLayer) does it, below the session layer; with `reqwest` and
    /// `reqwest-middleware` the [`SessionLayer`](crate::SessionLayer) itself. See the module [`inline`](crate::inline).
    pub fn inline_defaults(mut self, setting: InlineDefaults) -> Self {
        self.inline.defaults = setting;
        self
    }

    /// Sets whether a request is refused whose body the server would merge and this crate cannot: one that is too long,
    /// compressed, or in another charset than UTF-8. Off by default: it is sent with its session alone, and its
    /// [`Proof`](crate::Proof) says so. In a tower stack, a request that no inline layer would see is refused as well.
    /// With `WithoutSession`, only requests for which there is no session are refused.
    ///
    /// Turn it on if a request under the server's own defaults is worse than one that is not sent.
    pub fn inline_strict(mut self, strict: bool) -> Self {
        self.inline.strict = strict;
        self
    }

    /// Makes no session ever: defaults are put into bodies alone. This is for API keys of the free tier, which may have no
    /// sessions, and for those who want no session calls. It needs
    /// [`inline_defaults`](Self::inline_defaults) set to `Always` or `WithoutSession`; which of them makes no difference.
    ///
    /// A request whose body cannot be merged is not sent, see [`OnNoSession`](crate::OnNoSession).
    pub fn without_sessions(mut self) -> Self {
        self.inline.makes_sessions = false;
        self
    }

    /// Takes [`without_sessions`](Self::without_sessions) back, such as where a file set it.
    pub fn with_sessions(mut self) -> Self {
        self.inline.makes_sessions = true;
        self
    }

    pub(super) fn checked_inline(&self) -> Result<Inline, Error> {
        if !self.inline.makes_sessions && self.inline.defaults == InlineDefaults::Off {
            return Err(Error::config(
                "without_sessions: is set, and `inline_defaults` is `off`, so that nothing would bring the defaults; expected \
                 `inline_defaults` to be `always` or `without_session`",
            ));
        }
        if self.inline.strict && self.inline.defaults == InlineDefaults::Off {
            return Err(Error::config(
                "inline_strict: is set, and `inline_defaults` is `off`, so that there is nothing to be strict about; expected \
                 `inline_defaults` to be `always` or `without_session`",
            ));
        }
        Ok(self.inline)
    }
}
