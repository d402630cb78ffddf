//! End to end over loopback: hyper-util's client with 64 connections, and a small server in a process of its own.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::JoinSet,
};
use tower::{Layer, Service};

use sipher_session::{SessionLayer, SessionManager, SessionService};

use crate::{
    ours::{self, KEY},
    request::{Call, SESSION_ID, call_with_key, session_id},
    stub::StubSipher,
};

const CONNECTIONS: usize = 64;

type HttpClient = Client<HttpConnector, Full<Bytes>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    ByHand,
    Ours,
}

/// The server's process. It runs until this is dropped.
pub struct Server {
    process: Child,
    pub url: String,
}

impl Server {
    pub fn start() -> std::io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let out = process.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut address)?;
        Ok(Self {
            process,
            url: format!("http://{}", address.trim()),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until the standard input ends, so the server never outlives its parent.
pub fn serve() {
    pin(0);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            tokio::spawn(
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)),
            );
        }
    });
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if !request.headers().contains_key(SESSION_ID) {
        return Ok(Response::builder()
            .status(400)
            .body(Full::default())
            .expect("a response"));
    }
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(body)))
}

/// A client with the layer and a client without it, with open connections.
pub struct Load {
    runtime: Runtime,
    client: HttpClient,
    ours: SessionService<HttpClient>,
    id: HeaderValue,
    url: String,
}

impl Load {
    pub fn new(url: &str) -> Self {
        pin(1);
        let runtime = runtime();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let manager: SessionManager = ours::builder(&StubSipher::new(86_400))
            .base_url(url)
            .build()
            .expect("good settings");
        runtime.block_on(manager.session()).expect("a session");
        let ours = SessionLayer::new(manager).layer(client.clone());
        Self {
            runtime,
            client,
            ours,
            id: session_id(),
            url: format!("{url}/v1/stealth/generate"),
        }
    }

    /// Returns the requests per second.
    pub fn for_a_while(&self, how: How, time: Duration) -> f64 {
        let stop = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let done = self.runtime.block_on(async {
            let ended = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                ended.store(true, Ordering::Relaxed);
            });
            self.until(how, move || !stop.load(Ordering::Relaxed)).await
        });
        done as f64 / start.elapsed().as_secs_f64()
    }

    /// Sends this many requests.
    pub fn requests(&self, how: How, n: usize) {
        let left = AtomicUsize::new(n);
        let more = move || {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        };
        assert_eq!(self.runtime.block_on(self.until(how, more)), n);
    }

    async fn until(&self, how: How, more: impl Fn() -> bool + Send + Sync + 'static) -> usize {
        let more = Arc::new(more);
        let mut tasks = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let more = more.clone();
            let url = self.url.clone();
            match how {
                How::ByHand => {
                    let (mut client, id) = (self.client.clone(), self.id.clone());
                    tasks.spawn(one_after_another(more, url, move |mut request| {
                        request.headers_mut().insert(SESSION_ID, id.clone());
                        Service::call(&mut client, request)
                    }));
                }
                How::Ours => {
                    let mut client = self.ours.clone();
                    tasks.spawn(one_after_another(more, url, move |request| {
                        client.call(request)
                    }));
                }
            }
        }
        tasks.join_all().await.into_iter().sum()
    }
}

async fn one_after_another<F, E>(
    more: Arc<impl Fn() -> bool>,
    url: String,
    mut send: impl FnMut(Call) -> F,
) -> usize
where
    F: Future<Output = Result<Response<Incoming>, E>>,
    E: std::fmt::Debug,
{
    let mut done = 0;
    while more() {
        let response = send(call_with_key(&url, KEY)).await.expect("a response");
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.expect("a body");
        done += 1;
    }
    done
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn pin(core: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(core) = cores.get(core) {
        core_affinity::set_for_current(*core);
    }
}
