//! The client's end of the network. It passes everything on to the servers, and records what the client sends and
//! receives.

use std::{
    any::Any,
    collections::HashSet,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use serde_json::Value;
use sipher_session::{
    BoxError,
    testing::{FakeBody, FakeError, FakeSipher, Operation},
};
use tokio::{sync::oneshot, time::sleep};
use tower::Service;

use crate::{
    health::{self, HEALTH},
    recorder::Bodies,
    trace::{Entry, Record, Sent, Trace},
};

tokio::task_local! {
    /// Set while a user makes session calls by hand.
    pub(crate) static BY_HAND: ();
}

#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) sipher: FakeSipher,
    pub(crate) elsewhere: FakeSipher,
    pub(crate) keys: Arc<Vec<String>>,
    pub(crate) trace: Trace,
    pub(crate) calls: Arc<AtomicU64>,
    pub(crate) sent: Arc<Mutex<HashSet<u64>>>,
    /// Requests are sent in `call`, and not only when their future is polled.
    pub(crate) is_eager: bool,
    pub(crate) is_opaque: bool,
    /// The number of requests that run in tasks of their own.
    pub(crate) under_way: Arc<AtomicUsize>,
    /// How long a request stays on its way after its caller has gone.
    pub(crate) linger: Duration,
    pub(crate) bodies: Bodies,
}

impl Wire {
    pub(crate) fn has_sent(&self, n: u64) -> bool {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.contains(&n)
    }

    fn key(&self, headers: &HeaderMap) -> Option<usize> {
        let key = headers.get("x-api-key")?.to_str().ok()?;
        self.keys.iter().position(|known| known == key)
    }

    fn note<B: 'static>(&self, request: &Request<B>, wire: u64) -> Operation {
        let path = request.uri().path();
        if path == HEALTH {
            self.trace.add(Entry::Asks { wire });
            return Operation::Other;
        }
        if path == USAGE {
            // This is the manager's own call, and it concerns no session.
            return Operation::Get;
        }
        let header = request.headers().get("x-session-id");
        let header = header.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let (operation, id) = match path.strip_prefix("/v1/sessions") {
            None => (Operation::Other, header),
            Some("") => (Operation::Create, None),
            Some(rest) => {
                let operation = match request.method().as_str() {
                    "DELETE" => Operation::Delete,
                    "PATCH" => Operation::Update,
                    _ => Operation::Get,
                };
                (operation, Some(rest.trim_start_matches('/').to_owned()))
            }
        };
        let request_id = request.headers().get("x-request-id");
        let n = number(path, request_id.and_then(|id| id.to_str().ok()));
        if let Some(n) = n {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.insert(n);
        }
        let defaults = (operation == Operation::Create).then(|| asked(request.body()));
        self.trace.add(Entry::Sent(Sent {
            wire,
            operation,
            n,
            key: self.key(request.headers()),
            id,
            defaults,
            by_hand: BY_HAND.try_with(|()| ()).is_ok(),
        }));
        operation
    }
}

const USAGE: &str = "/v1/billing/usage";

/// The server's two names.
const NAMES: [&str; 2] = ["sipher-api.sip-protocol.org", "sipher.sip-protocol.org"];

/// Returns how many calls are left in the rate-limit window, and in how many seconds it ends. Only the application
/// writes these headers.
fn stamp(headers: &HeaderMap) -> Option<(u32, u32)> {
    let number = |name| headers.get(name)?.to_str().ok()?.parse().ok();
    Some((number("ratelimit-remaining")?, number("ratelimit-reset")?))
}

/// Returns the number of a caller's request.
pub(crate) fn number(path: &str, request_id: Option<&str>) -> Option<u64> {
    let of_path = path.strip_prefix("/v1/sim/");
    let number = of_path.or_else(|| request_id?.strip_prefix("sim-"));
    number?.parse().ok()
}

fn asked(body: &dyn Any) -> Value {
    let Some(mut body) = body.downcast_ref::<Full<Bytes>>().cloned() else {
        return Value::Null;
    };
    let frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Some(Ok(frame))) = frame else {
        return Value::Null;
    };
    let bytes = frame.into_data().unwrap_or_default();
    let asked: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    asked.get("defaults").cloned().unwrap_or(Value::Null)
}

impl<B> Service<Request<B>> for Wire
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Seen>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Seen>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let trace = self.trace.clone();
        let wire = self.calls.fetch_add(1, Ordering::Relaxed);
        let authority = request.uri().authority();
        let host = authority
            .map_or("", http::uri::Authority::as_str)
            .to_owned();
        let is_here = NAMES.contains(&host.as_str());
        let is_health = is_here && request.uri().path() == HEALTH;
        let is_opaque = self.is_opaque;
        let mut ticket = Ticket {
            trace,
            wire,
            status: 0,
            open: true,
            is_health,
            is_copy: false,
        };
        let (mut server, operation) = if is_here {
            (self.sipher.clone(), self.note(&request, wire))
        } else {
            self.trace.add(Entry::SentElsewhere {
                session: request.headers().contains_key("x-session-id"),
                key: self.key(request.headers()),
                path: request.uri().path().to_owned(),
                host,
            });
            (self.elsewhere.clone(), Operation::Other)
        };
        let (linger, counted) = (self.linger, self.under_way.clone());
        let answer = server.call(request);
        let is_eager = self.is_eager;
        let answer: Pin<Box<dyn Future<Output = _> + Send>> = match operation {
            Operation::Other if is_health => Box::pin(answer),
            Operation::Other if is_eager => Box::pin(under_way(answer, linger, counted)),
            Operation::Other => Box::pin(async move { under_way(answer, linger, counted).await }),
            _ => Box::pin(answer),
        };
        Box::pin(async move {
            let answer = answer.await;
            match answer {
                Ok(response) => {
                    let status = response.status().as_u16();
                    ticket.status = status;
                    ticket.is_copy = response.headers().contains_key("age");
                    let stamp = stamp(response.headers());
                    ticket.trace.add(Entry::Head {
                        wire,
                        status,
                        stamp,
                    });
                    // Callers leave the bodies of their answers unread.
                    ticket.open = is_health || operation != Operation::Other;
                    Ok(response.map(|body| Seen {
                        body,
                        bytes: Vec::new(),
                        ticket,
                    }))
                }
                Err(error) => {
                    ticket.open = false;
                    ticket.trace.add(Entry::Broke { wire });
                    let kind = match error {
                        FakeError::Refused => io::ErrorKind::ConnectionRefused,
                        _ => io::ErrorKind::ConnectionReset,
                    };
                    Err(if is_opaque {
                        io::Error::other("something went wrong")
                    } else {
                        io::Error::new(kind, error)
                    })
                }
            }
        })
    }
}

/// If the caller drops its future, a request that was sent goes on for `linger`. The manager expects requests to go on
/// for that long.
fn under_way<T: Send + 'static>(
    answer: impl Future<Output = Result<T, FakeError>> + Send + 'static,
    linger: Duration,
    counted: Arc<AtomicUsize>,
) -> impl Future<Output = Result<T, FakeError>> + Send + 'static {
    let (caller, gone) = oneshot::channel::<()>();
    counted.fetch_add(1, Ordering::Relaxed);
    let under_way = tokio::spawn(async move {
        let _counted = Counted(counted);
        tokio::select! {
            biased;
            answer = answer => answer,
            () = async { drop(gone.await); sleep(linger).await; } => Err(FakeError::Reset),
        }
    });
    async move {
        let answer = under_way.await;
        drop(caller);
        answer.unwrap_or(Err(FakeError::Reset))
    }
}

/// Counts one until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One call, until its outcome is known.
struct Ticket {
    trace: Trace,
    wire: u64,
    status: u16,
    open: bool,
    is_health: bool,
    /// A cache says that it kept the answer.
    is_copy: bool,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.trace.add(Entry::Dropped { wire: self.wire });
        }
    }
}

/// The body of an answer, recorded while it is read.
pub(crate) struct Seen {
    body: FakeBody,
    bytes: Vec<u8>,
    ticket: Ticket,
}

impl Seen {
    fn whole(&mut self) {
        if std::mem::take(&mut self.ticket.open) {
            if self.ticket.is_health {
                let said = health::read(&self.bytes).filter(|_| !self.ticket.is_copy);
                let (wire, status) = (self.ticket.wire, self.ticket.status);
                return self.ticket.trace.add(Entry::Says { wire, status, said });
            }
            self.ticket.trace.add(Entry::Whole {
                wire: self.ticket.wire,
                status: self.ticket.status,
                record: record(&self.bytes),
            });
        }
    }
}

fn record(bytes: &[u8]) -> Option<Record> {
    let answer: Value = serde_json::from_slice(bytes).ok()?;
    let data = answer.get("data")?;
    let millis = |name: &str| data.get(name)?.as_u64();
    let life = millis("expiresAt")?.saturating_sub(millis("createdAt")?);
    Some(Record {
        id: data.get("sessionId")?.as_str()?.to_owned(),
        life: Duration::from_millis(life),
        made: Duration::from_millis(millis("createdAt")?),
        defaults: data.get("defaults")?.clone(),
    })
}

impl Body for Seen {
    type Data = Bytes;
    type Error = FakeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FakeError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.bytes.extend_from_slice(data);
        }
        let broke = matches!(frame, Some(Err(_)));
        if !broke && self.body.is_end_stream() {
            self.whole();
        }
        Poll::Ready(frame)
    }
}
