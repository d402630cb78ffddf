//! The settings of a gateway, and what may be wrong with them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
};

use sipher_session::SessionManager;
use tokio::sync::watch;

use crate::{
    Gateway, GatewayError, Limits, Token, Upstream,
    admin::{Admin, Metrics},
    proxy::Proxy,
};

/// Builds a [`Gateway`].
pub struct GatewayBuilder {
    sessions: SessionManager,
    listen: SocketAddr,
    admin: Option<SocketAddr>,
    allow_remote: bool,
    add_api_key: bool,
    token: Option<Token>,
    limits: Limits,
    client: Option<Upstream>,
    metrics: Option<Metrics>,
}

impl GatewayBuilder {
    /// Where callers connect, unless something else is set.
    pub const LISTEN: SocketAddr = SocketAddr::new(LOOPBACK, 8901);
    /// Where the program opens its admin port, unless something else is set.
    pub const ADMIN: SocketAddr = SocketAddr::new(LOOPBACK, 8902);

    pub(crate) fn new(sessions: SessionManager) -> Self {
        Self {
            sessions,
            listen: Self::LISTEN,
            admin: None,
            allow_remote: false,
            add_api_key: false,
            token: None,
            limits: Limits::default(),
            client: None,
            metrics: None,
        }
    }

    /// Sets where callers connect. Defaults to `127.0.0.1:8901`. Port 0 is a free port.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Opens an admin port: health, metrics and status. Defaults to none.
    #[must_use]
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// Allows addresses that other machines can reach. Callers' keys then travel unencrypted. Defaults to `false`.
    #[must_use]
    pub fn allow_remote(mut self) -> Self {
        self.allow_remote = true;
        self
    }

    /// Adds the manager's API key to requests without one. Needs a [`token`](Self::token), because every caller of the
    /// port could spend that key. Defaults to `false`: such requests are refused with 401.
    #[must_use]
    pub fn add_api_key(mut self) -> Self {
        self.add_api_key = true;
        self
    }

    /// Demands this token from all callers, in `X-Gateway-Token`. Defaults to none.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the client for Sipher, to share its connections with the manager: see [`Upstream::transport`]. Defaults to a
    /// client of the gateway's own. A client's timeouts are those of the limits that it was made with.
    #[must_use]
    pub fn client(mut self, client: Upstream) -> Self {
        self.client = Some(client);
        self
    }

    /// Sets what `/metrics` on the admin port shows, such as `render` of a Prometheus recorder. Defaults to nothing.
    #[must_use]
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Box::new(render));
        self
    }

    /// Returns everything that is wrong with the settings. Opens no port.
    pub fn problems(&self) -> Vec<GatewayError> {
        let mut problems = self.limits.problems();
        let ports = [
            ("gateway.listen", Some(self.listen)),
            ("gateway.admin", self.admin),
        ];
        for (setting, address) in ports {
            if let Some(address) = address.filter(|address| !address.ip().is_loopback())
                && !self.allow_remote
            {
                let problem = format!(
                    "is `{address}`, which other machines may reach; expected a loopback address such as \
                     `127.0.0.1:{}`, or gateway.allow_remote = true",
                    address.port()
                );
                problems.push(GatewayError::new(setting, problem));
            }
        }
        if self.admin == Some(self.listen) && self.listen.port() != 0 {
            let problem = format!(
                "is `{}`, as gateway.listen; expected another port",
                self.listen
            );
            problems.push(GatewayError::new("gateway.admin", problem));
        }
        if self.add_api_key && self.token.is_none() {
            let problem = "is `true` without a token; expected gateway.token_file or SIPHER_GATEWAY_TOKEN, \
                           because every caller could use the key";
            problems.push(GatewayError::new("gateway.add_api_key", problem));
        }
        problems
    }

    /// Opens the ports. Callers can connect from now on, and are answered once the gateway is served.
    ///
    /// # Errors
    ///
    /// The first of the [`problems`](Self::problems), or if a port cannot be opened.
    pub fn build(self) -> Result<Gateway, GatewayError> {
        if let Some(problem) = self.problems().into_iter().next() {
            return Err(problem);
        }
        let client = match self.client {
            Some(client) => client,
            None => Upstream::new(&self.limits)?,
        };
        let (listener, addr) = open("gateway.listen", self.listen)?;
        let (admin, admin_addr) = match self.admin {
            Some(address) => {
                let (listener, addr) = open("gateway.admin", address)?;
                (Some(listener), Some(addr))
            }
            None => (None, None),
        };
        let proxy = Proxy::new(
            &self.sessions,
            client,
            self.token,
            self.add_api_key,
            self.limits.clone(),
        )?;
        Ok(Gateway {
            listener,
            admin,
            proxy: Arc::new(proxy),
            page: Arc::new(Admin::new(self.sessions, addr, admin_addr, self.metrics)),
            limits: self.limits,
            stop: watch::Sender::new(false),
        })
    }
}

impl fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("listen", &self.listen)
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn open(
    setting: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), GatewayError> {
    let opened = TcpListener::bind(address)
        .and_then(|listener| listener.local_addr().map(|address| (listener, address)));
    opened.map_err(|error| {
        let problem = format!("`{address}` cannot be opened: {error}; expected a free port");
        GatewayError::new(setting, problem)
    })
}
