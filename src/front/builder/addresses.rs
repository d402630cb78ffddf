//! Settings of the builder: the base URL and its aliases.

use super::SessionManagerBuilder;
use crate::{
    error::Error,
    scope::{Aliases, BaseUrl, DEFAULT_ALIAS, DEFAULT_BASE_URL, PlainHttp},
};

impl SessionManagerBuilder {
    /// Sets the base URL of Sipher: a scheme, a host, and optionally a port and a path. Set it if your server is not
    /// the vendor's.
    ///
    /// Defaults to `https://sipher-api.sip-protocol.org`, with the vendor's older name
    /// `https://sipher.sip-protocol.org` as an [`alias`](Self::alias). Setting the base URL removes that alias.
    ///
    /// Session calls go to this URL. A request gets a session if its URL is below this URL or below an alias.
    ///
    /// The scheme has to be https, except for loopback (`127.0.0.0/8`, `[::1]`, `localhost` and names below it): see
    /// [`allow_plain_http`](Self::allow_plain_http). The URL must not end in `/v1`, because every path of the API
    /// begins with that.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Adds another name of the same server. Defaults to none if [`base_url`](Self::base_url) is set.
    ///
    /// Requests below it get a session too, and **API key and session id are sent there**. Add one if a part of your
    /// code reaches the server by another host name, port or path prefix. The rules of a base URL apply. At most 16
    /// aliases can be added. A request that is below both the base URL and an alias counts as one to the base URL.
    pub fn alias(mut self, url: impl Into<String>) -> Self {
        self.aliases.push(url.into());
        self
    }

    /// Allows http in the base URL and in aliases, for any host. By default http is allowed for loopback only.
    ///
    /// **Everybody on the network path can then read API key and session id.** Use it only on a path that is known to
    /// be safe, such as a service mesh that encrypts its traffic.
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = PlainHttp::Anywhere;
        self
    }

    /// Undoes [`allow_plain_http`](Self::allow_plain_http), for example when a configuration file has allowed it.
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
