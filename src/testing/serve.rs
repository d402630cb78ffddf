//! [`FakeSipher`] over TCP.

use std::{io, net::SocketAddr, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};
use tower_service::Service;

use super::FakeSipher;

/// How long a connection may be idle, as at the real server.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

impl FakeSipher {
    /// Serves this Sipher over HTTP/1.1 on a free port of 127.0.0.1, until the [`Served`] is dropped.
    ///
    /// Lost and refused connections are closed without an answer. Idle connections are closed after 5 s. Do not pause
    /// tokio's clock: real sockets do not follow it, and it runs ahead while it waits for them.
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
        Ok(Served {
            addr: listener.local_addr()?,
            sipher: self.clone(),
            port: Port::open(listener, self.clone()),
        })
    }
}

/// A [`FakeSipher`] on a port. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Served {
    addr: SocketAddr,
    sipher: FakeSipher,
    port: Port,
}

#[derive(Debug)]
enum Port {
    /// Open until the sender is dropped.
    Open(oneshot::Sender<()>, JoinHandle<()>),
    /// Closed. The socket stays bound, so that no other program gets the port, but it does not listen.
    Closed(Option<TcpSocket>),
}

impl Served {
    /// Returns the base URL, such as `http://127.0.0.1:34567`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns the address on which the server listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes the port and all connections, and waits until they are closed.
    pub async fn stop(mut self) {
        self.port.close().await;
    }

    /// Closes all connections and refuses new ones, as when the server's process is killed. Waits until they are
    /// closed.
    ///
    /// The port is kept for [`reopen`](Self::reopen). Calling this twice has no further effect. The sessions are kept
    /// too: [`FakeSipher::restart`] forgets them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sipher_session::testing::FakeSipher;
    ///
    /// let sipher = FakeSipher::new();
    /// let mut server = sipher.serve().await?;
    ///
    /// // The server is killed, and comes back without its sessions.
    /// server.close().await?;
    /// sipher.restart();
    /// server.reopen()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If another program took the port at that moment.
    pub async fn close(&mut self) -> io::Result<()> {
        self.port.close().await;
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?; // connections that were just closed still occupy the port
        socket.bind(self.addr)?;
        self.port = Port::Closed(Some(socket));
        Ok(())
    }

    /// Listens on the same port again. Does nothing without a [`close`](Self::close) before it.
    ///
    /// # Errors
    ///
    /// If the port cannot be opened. It then stays closed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn reopen(&mut self) -> io::Result<()> {
        if let Port::Closed(socket) = &mut self.port
            && let Some(socket) = socket.take()
        {
            self.port = Port::open(socket.listen(BACKLOG)?, self.sipher.clone());
        }
        Ok(())
    }
}

impl Port {
    fn open(listener: TcpListener, sipher: FakeSipher) -> Self {
        let (close, closed) = oneshot::channel();
        Self::Open(close, tokio::spawn(accept(listener, sipher, closed)))
    }

    async fn close(&mut self) {
        if let Self::Open(close, task) = std::mem::replace(self, Self::Closed(None)) {
            drop(close);
            let _ = task.await;
        }
    }
}

/// Accepts connections until `closed` ends. Then closes all of them.
async fn accept(listener: TcpListener, sipher: FakeSipher, mut closed: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut closed => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
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
    drop(listener);
    connections.shutdown().await;
}
