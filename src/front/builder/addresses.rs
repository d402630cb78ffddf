//! Where Sipher is.

use super::SessionManagerBuilder;
use crate::{
    error::Error,
    scope::{Aliases, BaseUrl, DEFAULT_ALIAS, DEFAULT_BASE_URL, PlainHttp},
};

impl SessionManagerBuilder {
    /// Sets where Sipher is: a scheme, a host, and if need be a port and a path. Defaults to
    /// `https://sipher-api.sip-protocol.org`, with the vendor's older name `https://sipher.sip-protocol.org` as an
    /// [`alias`](Self::alias).
    ///
    /// Session calls go to this URL. Requests get a session if they are below this URL or below an alias. Setting it drops
    /// the default alias. It has to be https, save for loopback (`127.0.0.0/8`, `[::1]`, `localhost` and names below it);
    /// see [`allow_plain_http`](Self::allow_plain_http). It must not end in `/v1`, which every path of the API begins with.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Adds another name of the same server. Defaults to none if [`base_url`](Self::base_url) is set.
    ///
    /// Requests below it get a session as well, and **API key and session id go there**. Add one if part of your code reaches the
    /// server by another host name, port or path prefix than the rest. It may be called up to 16 times; the rules for a base URL
    /// apply. Where the same request is below the base URL and below an alias, the base URL counts.
    pub fn alias(mut self, url: impl Into<String>) -> Self {
        self.aliases.push(url.into());
        self
    }

    /// Allows http in the base URL and in aliases, wherever they point. Defaults to loopback only.
    ///
    /// **API key and session id then go over the network for everybody on the way to read.** This is for a way that is
    /// known to be safe, such as one inside of a service mesh that encrypts by itself.
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = PlainHttp::Anywhere;
        self
    }

    /// Takes [`allow_plain_http`](Self::allow_plain_http) back, such as where a file allowed it.
    pub fn forbid_plain_http(mut self) -> Self {
        self.plain_http = PlainHttp::OnLoopback;
        self
    }

    pub(super) fn addresses(&self) -> Result<(BaseUrl, Aliases), Error> {
        let base = self.base_url.as_deref().unwrap_or(DEFAULT_BASE_URL);
        let base = BaseUrl::parse(base, self.plain_http)?;
        if self.aliases.len() > Aliases::MOST {
            return Err(Error::config(format!(
                "alias: is set {} times; expected {} at most",
                self.aliases.len(),
                Aliases::MOST
            )));
        }
        let default = self.base_url.is_none().then_some(DEFAULT_ALIAS);
        let urls = default.into_iter();
        let urls = urls.chain(self.aliases.iter().map(String::as_str));
        let aliases = urls.map(|url| BaseUrl::parse_setting("alias", url, self.plain_http));
        Ok((base, Aliases::new(aliases.collect::<Result<_, _>>()?)))
    }
}
