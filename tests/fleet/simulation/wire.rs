//! One process's end of the network. It passes everything on to the server, and records what the process sends and
//! receives.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use sipher_session::testing::{FakeError, FakeSipher, Operation};
use tokio::{sync::oneshot, time::sleep};
use tower::Service;
use tower_http::follow_redirect::RequestUri;

use super::trace::{Entry, Trace, Who};

/// Says for how long a request is delayed on its way.
pub(crate) const HELD_UP: &str = "x-held-up";
/// Says that the answer comes from another server, to which a redirect led.
pub(crate) const LEAKS: &str = "x-leaks";

#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) who: Who,
    pub(crate) sipher: FakeSipher,
    pub(crate) trace: Trace,
    pub(crate) calls: Arc<AtomicU64>,
    /// How long a request stays on its way after its caller has gone.
    pub(crate) linger: Duration,
    /// Session calls on this wire come from a caller, not from the manager.
    pub(crate) by_hand: bool,
}

type Answer = Result<Response<Full<Bytes>>, io::Error>;

impl Service<Request<Full<Bytes>>> for Wire {
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        match number(request.uri().path()) {
            Some(n) => self.request(request, n),
            None if self.by_hand => Box::pin(travel(self.sipher.clone(), request)),
            None => self.session_call(request),
        }
    }
}

/// Returns the number of a caller's request.
pub(crate) fn number(path: &str) -> Option<u64> {
    path.strip_prefix("/v1/sim/")?.parse().ok()
}

impl Wire {
    fn header(request: &Request<Full<Bytes>>, name: &str) -> Option<String> {
        let value = request.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    fn request(
        &mut self,
        request: Request<Full<Bytes>>,
        n: u64,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let id = Self::header(&request, "x-session-id");
        self.trace.add(Entry::Departs {
            who: self.who,
            n,
            is_live: id.as_ref().is_some_and(|id| self.sipher.is_live(id)),
            id: id.clone(),
        });
        let (who, trace) = (self.who, self.trace.clone());
        let leaks = Self::header(&request, LEAKS).and(id);
        let held_up = Self::header(&request, HELD_UP).and_then(|millis| millis.parse().ok());
        let held_up = Duration::from_millis(held_up.unwrap_or(0));
        let (sipher, linger) = (self.sipher.clone(), self.linger);
        let ended = Ended {
            trace: self.trace.clone(),
            n,
        };
        Box::pin(async move {
            let (caller, gone) = oneshot::channel::<()>();
            // If the caller drops its future, the request goes on for `linger`. The manager expects requests to go on
            // for that long.
            let under_way = tokio::spawn(async move {
                let _ended = ended;
                let answer = async {
                    sleep(held_up).await;
                    travel(sipher, request).await
                };
                tokio::select! {
                    biased;
                    answer = answer => answer,
                    () = async { drop(gone.await); sleep(linger).await; } => Err(broken(&FakeError::Reset)),
                }
            });
            let answer = under_way.await;
            drop(caller);
            let mut answer = answer.unwrap_or_else(|_| Err(broken(&FakeError::Reset)))?;
            if let Some(id) = leaks {
                let elsewhere = Uri::from_static("https://elsewhere.example/");
                answer.extensions_mut().insert(RequestUri(elsewhere));
                trace.add(Entry::TakenOut { who, id });
            }
            Ok(answer)
        })
    }

    fn session_call(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let operation = match request.method().as_str() {
            "POST" => Operation::Create,
            "DELETE" => Operation::Delete,
            _ => Operation::Get,
        };
        let (who, trace, sipher) = (self.who, self.trace.clone(), self.sipher.clone());
        let key = Self::header(&request, "x-api-key").unwrap_or_default();
        // The header makes it possible to find the call in the server's log.
        let named = call.to_string().parse().unwrap();
        request.headers_mut().insert("x-request-id", named);
        Box::pin(async move {
            let about = match operation {
                Operation::Create => asked(request.body()).await,
                _ => request.uri().path().rsplit('/').next().unwrap().to_owned(),
            };
            trace.add(Entry::Call {
                who,
                call,
                operation,
                key,
                about,
            });
            let mut ticket = Ticket {
                trace,
                call,
                status: None,
            };
            let answer = travel(sipher, request).await?;
            ticket.status = Some(answer.status().as_u16());
            Ok(answer)
        })
    }
}

async fn asked(body: &Full<Bytes>) -> String {
    let bytes = body.clone().collect().await.unwrap().to_bytes();
    let asked: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    asked
        .get("defaults")
        .map_or_else(String::new, Value::to_string)
}

async fn travel(mut sipher: FakeSipher, request: Request<Full<Bytes>>) -> Answer {
    let answer = sipher.call(request).await.map_err(|error| broken(&error))?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|error| broken(&error))?;
    Ok(Response::from_parts(head, Full::new(body.to_bytes())))
}

fn broken(error: &FakeError) -> io::Error {
    let kind = match error {
        FakeError::Refused => io::ErrorKind::ConnectionRefused,
        _ => io::ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, error.to_string())
}

/// One request on its way. It may take longer than its caller waits.
struct Ended {
    trace: Trace,
    n: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.trace.add(Entry::Ended { n: self.n });
    }
}

/// One session call, until its outcome is known.
struct Ticket {
    trace: Trace,
    call: u64,
    status: Option<u16>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (call, status) = (self.call, self.status);
        self.trace.add(Entry::Answered { call, status });
    }
}
