//! Accepts connections, and serves each until it ends, falls silent, or the gateway stops.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use sipher_session::BoxError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    Limits,
    activity::{Activity, InFlight},
    answer::TOO_MANY,
    stream::Stream,
};

/// How long a connection that fell silent may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// How many connections above the limit get an answer at the same time. Further ones are closed without one.
const TURNED_AWAY: usize = 64;
/// How long to wait if the process has no file descriptor left for another connection.
const NO_DESCRIPTOR: Duration = Duration::from_millis(50);

/// Serves a port until `stop` is true. Then lets the requests in flight end, for `drain_timeout` at most. Returns how
/// many connections were cut off.
pub(crate) async fn serve<S, F, B>(
    listener: TcpListener,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    service: S,
) -> usize
where
    S: Fn(Request<Incoming>, InFlight) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let builder = Arc::new(builder(&limits));
    let limits = Arc::new(limits);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !is_of_one_connection(&error) {
                    tracing::error!(%error, "no connection can be accepted; raise `ulimit -n`");
                    sleep(NO_DESCRIPTOR).await;
                }
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            metrics::counter!("sipher_gateway_turned_away_total").increment(1);
            if let Ok(place) = turned_away.clone().try_acquire_owned() {
                tokio::spawn(turn_away(stream, place));
            }
            continue;
        };
        let connection = one(
            stream,
            builder.clone(),
            limits.clone(),
            stop.clone(),
            service.clone(),
        );
        connections.spawn(async move {
            let _place = place;
            connection.await;
        });
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain_timeout, drained).await.is_ok() {
        return 0;
    }
    let cut_off = connections.len();
    connections.shutdown().await;
    cut_off
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper counts from the end of the request before. `Activity` counts from the head's first byte.
        .header_read_timeout(limits.idle_timeout.max(limits.header_timeout))
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        // Finds callers that are gone without a word, also while their request is in flight.
        .keep_alive_interval(limits.idle_timeout)
        .keep_alive_timeout(limits.header_timeout);
    builder
}

async fn one<S, F, B>(
    stream: TcpStream,
    builder: Arc<Builder<TokioExecutor>>,
    limits: Arc<Limits>,
    mut stop: watch::Receiver<bool>,
    service: S,
) where
    S: Fn(Request<Incoming>, InFlight) -> F + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let _ = stream.set_nodelay(true);
    let _open = Open::new();
    let activity = Activity::new();
    let stream = Stream::new(stream, activity.clone(), limits.idle_timeout);
    let requests = activity.clone();
    let service = hyper::service::service_fn(move |request| {
        let answer = service(request, requests.begin());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let went_silent = tokio::select! {
        _ = connection.as_mut() => return,
        () = activity.quiet_for_too_long(&limits) => true,
        _ = stop.wait_for(|stop| *stop) => false,
    };
    connection.as_mut().graceful_shutdown();
    if !went_silent {
        // A head that never ends must not hold the stop up.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = activity.quiet_for_too_long(&limits) => {}
        }
    }
    let _ = timeout(GOODBYE, connection).await;
}

/// Counts an open connection until it is dropped, also if its task is aborted.
struct Open(metrics::Gauge);

impl Open {
    fn new() -> Self {
        let gauge = metrics::gauge!("sipher_gateway_connections");
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// Answers a connection for which there is no place. Reads a little, because closing a connection with unread bytes
/// would take the answer away from the caller.
async fn turn_away(mut stream: TcpStream, _place: OwnedSemaphorePermit) {
    let farewell = async {
        stream.write_all(TOO_MANY.as_bytes()).await?;
        stream.shutdown().await?;
        let mut unread = [0; 4096];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(GOODBYE, farewell).await;
}

/// Returns whether only the connection that was accepted is broken, and not the port.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
