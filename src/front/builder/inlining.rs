//! Settings of the builder: defaults in the bodies of requests.

use super::SessionManagerBuilder;
use crate::{
    error::Error,
    model::{inlining::InlineDefaults, settings::Inline},
};

impl SessionManagerBuilder {
    /// Sets whether the client also puts defaults into the bodies of requests, in the same way as the server does.
    /// Defaults to [`InlineDefaults::Off`], because it changes what the caller wrote.
    ///
    /// Set [`InlineDefaults::Always`] if the right chain matters more than an untouched body: a merged request is right
    /// even if the server has forgotten the session.
    ///
    /// In a tower stack, add an [`InlineDefaultsLayer`](crate::InlineDefaultsLayer) below the session layer. With
    /// `reqwest` and `reqwest-middleware`, the [`SessionLayer`](crate::SessionLayer) merges bodies itself. See the
    /// module [`inline`](crate::inline).
    pub fn inline_defaults(mut self, setting: InlineDefaults) -> Self {
        self.inline.defaults = setting;
        self
    }

    /// Sets whether to refuse a request whose body the server would merge and this crate cannot. Such a body is too
    /// long, compressed, or in another charset than UTF-8.
    ///
    /// Defaults to `false`: the request is sent with its session alone, and its [`Proof`](crate::Proof) says so. Turn
    /// it on if a request under the server's own defaults is worse than a request that is not sent.
    ///
    /// In a tower stack without an inline layer, requests are refused too. With `WithoutSession`, only requests for
    /// which there is no session are refused.
    pub fn inline_strict(mut self, strict: bool) -> Self {
        self.inline.strict = strict;
        self
    }

    /// Turns sessions off: defaults are put into bodies only, and no session is ever created. By default sessions are
    /// created.
    ///
    /// Use it for API keys of the free tier, which may have no sessions, or if you want no session calls. It needs
    /// [`inline_defaults`](Self::inline_defaults) set to `Always` or `WithoutSession`; both have the same effect here.
    ///
    /// A request whose body cannot be merged is not sent: see [`OnNoSession`](crate::OnNoSession).
    pub fn without_sessions(mut self) -> Self {
        self.inline.makes_sessions = false;
        self
    }

    /// Undoes [`without_sessions`](Self::without_sessions), for example when a configuration file has set it.
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
