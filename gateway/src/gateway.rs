//! The gateway: built from a manager and settings, then served.

use std::{
    fmt,
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use sipher_session::SessionManager;
use tokio::sync::watch;

use crate::{
    GatewayError, Limits, Token, Upstream,
    admin::{Admin, Metrics},
    connection,
    proxy::Proxy,
};

/// A reverse proxy on a local port whose every request to Sipher has its session.
///
/// ```no_run
/// # async fn run(sessions: sipher_session::SessionManager) -> Result<(), Box<dyn std::error::Error>> {
/// use sipher_session_gateway::Gateway;
///
/// let gateway = Gateway::builder(sessions).listen("127.0.0.1:0".parse()?).build()?;
/// println!("set the base URL of your client to {}", gateway.url());
/// let served = gateway.serve_until(async { let _ = tokio::signal::ctrl_c().await; }).await;
/// assert_eq!(served.cut_off, 0);
/// # Ok(()) }
/// ```
///
/// The manager is yours: [shut it down](SessionManager::shutdown) after the gateway.
#[derive(Debug)]
#[must_use = "a gateway does nothing until it is served"]
pub struct Gateway {
    listener: TcpListener,
    admin: Option<TcpListener>,
    proxy: Arc<Proxy>,
    page: Arc<Admin>,
    limits: Limits,
    stop: watch::Sender<bool>,
}

/// How a gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// How many connections were cut off, because requests on them took longer than `drain_timeout`.
    pub cut_off: usize,
}

/// Stops a gateway from elsewhere.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Lets the gateway accept nothing more, and end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Gateway {
    /// Begins to build a gateway. Requests go to the manager's base URL.
    ///
    /// Build the manager with [`ForeignIds::Replace`](sipher_session::ForeignIds), since callers may pass ids on.
    pub fn builder(sessions: SessionManager) -> GatewayBuilder {
        GatewayBuilder::new(sessions)
    }

    /// Returns the address of the port for callers.
    pub fn addr(&self) -> SocketAddr {
        self.page.addr
    }

    /// Returns the address of the admin port, if there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.page.own_addr
    }

    /// Returns the base URL to set in a client of Sipher, such as `http://127.0.0.1:8901`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Returns a handle that stops this gateway.
    pub fn stop(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// Serves until [`stop`](Self::stop) is called. Then lets the requests in flight end, for `drain_timeout` at most.
    /// The manager lives on.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the ports and all connections are closed at once.
    pub async fn serve(self) -> Served {
        let Self {
            listener,
            admin,
            proxy,
            page,
            limits,
            stop,
        } = self;
        let (listener, admin) = match (registered(listener), admin.map(registered).transpose()) {
            (Ok(listener), Ok(admin)) => (listener, admin),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "the ports cannot be served");
                return Served { cut_off: 0 };
            }
        };
        let watching = tokio::spawn(page.clone().watch());
        let stopped = stop.subscribe();
        let draining = page.clone();
        let callers =
            connection::serve(listener, limits.clone(), stopped, move |request, guard| {
                let proxy = proxy.clone();
                async move { proxy.answer(request, guard).await }
            });
        // The admin port serves until the last caller is gone, so that a probe sees the drain.
        let (end_admin, admin_ends) = watch::channel(false);
        let admin = async {
            let Some(admin) = admin else { return };
            connection::serve(admin, Admin::limits(), admin_ends, move |request, guard| {
                let page = page.clone();
                async move { page.answer(&request, guard) }
            })
            .await;
        };
        let callers = async {
            let mut begins = stop.subscribe();
            let noted = async {
                let _ = begins.wait_for(|stop| *stop).await;
                draining.drain();
                std::future::pending::<()>().await;
            };
            let cut_off = tokio::select! {
                cut_off = callers => cut_off,
                () = noted => 0,
            };
            end_admin.send_replace(true);
            cut_off
        };
        let (cut_off, ()) = tokio::join!(callers, admin);
        watching.abort();
        Served { cut_off }
    }

    /// Serves until `signal` ends, and stops then. See [`serve`](Self::serve).
    pub async fn serve_until(self, signal: impl Future<Output = ()>) -> Served {
        let stop = self.stop();
        let serving = self.serve();
        let stopping = async {
            signal.await;
            stop.stop();
        };
        let (served, ()) = tokio::join!(serving, stopping);
        served
    }
}

fn registered(listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

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

    fn new(sessions: SessionManager) -> Self {
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

    /// Adds the manager's API key to requests that bear none. Needs a [`token`](Self::token), because whoever reaches the
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
                    "is `{address}`, which other machines may reach; expected a loopback address such as `127.0.0.1:{}`, or gateway.allow_remote = true",
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
            let problem = "is `true` without a token; expected gateway.token_file or SIPHER_GATEWAY_TOKEN, because whoever reaches the port could spend the key";
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

const LOOPBACK: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

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
