//! The gateway: built from a manager and settings, then served.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use sipher_session::SessionManager;
use tokio::sync::watch;

use crate::{GatewayBuilder, Limits, admin::Admin, connection, proxy::Proxy};

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
    pub(crate) listener: TcpListener,
    pub(crate) admin: Option<TcpListener>,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) page: Arc<Admin>,
    pub(crate) limits: Limits,
    pub(crate) stop: watch::Sender<bool>,
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
