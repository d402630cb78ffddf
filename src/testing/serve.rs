//! [`FakeSipher`] over TCP.

use std::{io, net::SocketAddr, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tower_service::Service;

use super::FakeSipher;

/// How long a connection may be idle, as at the real server.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

impl FakeSipher {
    /// Serves this Sipher over HTTP/1.1 on a free port of 127.0.0.1, until the [`Served`] is dropped.
    ///
    /// Lost and refused connections are closed without an answer. Idle connections are closed after 5 s. Real sockets do
    /// not go with a paused tokio clock, which runs ahead while it waits for them.
    ///
    /// # Errors
    ///
    /// If no port can be opened.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn serve(&self) -> io::Result<Served> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, self.clone()));
        Ok(Served { addr, task })
    }
}

/// A [`FakeSipher`] on a port; dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Served {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Served {
    /// Returns the base URL, such as `http://127.0.0.1:34567`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns the address that is listened on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes the port and all connections, and waits until that is done.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ends when aborted, and takes the connections with it.
async fn accept(listener: TcpListener, sipher: FakeSipher) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let sipher = sipher.clone();
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(KEEP_ALIVE)
            .serve_connection(
                TokioIo::new(stream),
                service_fn(move |request| sipher.clone().call(request)),
            );
        connections.spawn(connection);
        while connections.try_join_next().is_some() {}
    }
}
