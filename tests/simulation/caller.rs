//! One request, from its call to what came of it.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use sipher_session::{BoxError, Error, NoSession, Proof, SessionLayer, testing::FakeSipher};
use tokio::time::timeout;
use tower::{Layer, Service};

use crate::{
    script::{self, Call},
    trace::{Entry, Got, Partition},
    wire::Seen,
    world::{World, value},
};

type BoxFuture = Pin<Box<dyn Future<Output = Result<Response<Seen>, BoxError>> + Send>>;

impl World {
    pub(crate) async fn call(self, layer: SessionLayer, call: Call, n: u64) {
        let trace = self.trace().clone();
        let base = if call.elsewhere {
            "https://elsewhere.example"
        } else {
            FakeSipher::base_url()
        };
        let mut request = Request::post(format!("{base}/v1/sim/{n}"))
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from("{}"))
            .expect("a request");
        if let Some(key) = call.key.filter(|_| !call.elsewhere) {
            let key = self.wire.keys[key].parse().expect("a header value");
            request.headers_mut().insert("x-api-key", key);
        }
        if let Some(defaults) = call.defaults {
            request.extensions_mut().insert(script::defaults(defaults));
        }
        if call.no_session {
            request.extensions_mut().insert(NoSession);
        }
        trace.add(Entry::Call {
            n,
            wants: self.wants(&call),
            without: call.no_session,
            elsewhere: call.elsewhere,
        });
        let answer = {
            // The wire is always ready.
            let answer: BoxFuture = if self.replays {
                Box::pin(layer.replay_once().layer(self.wire.clone()).call(request))
            } else {
                Box::pin(layer.layer(self.wire.clone()).call(request))
            };
            if !call.elsewhere && !self.wire.has_sent(n) {
                trace.add(Entry::Waits { n });
            }
            timeout(call.gives_up_after, answer).await
        };
        let proof = match &answer {
            Ok(Ok(response)) => response.extensions().get::<Proof>().copied(),
            _ => None,
        };
        let outcome = match answer {
            Err(_) => Got::GaveUp,
            Ok(Ok(response)) => Got::Answer(response.status().as_u16()),
            Ok(Err(error)) => match error.downcast_ref::<Error>() {
                Some(error) => {
                    self.said().push(format!("{error} {error:?}"));
                    Got::Error(error.kind())
                }
                None => Got::Broke,
            },
        };
        trace.add(Entry::Got { n, outcome, proof });
    }

    /// Whose session with which defaults a request that starts now may bear.
    fn wants(&self, call: &Call) -> Vec<Partition> {
        let desk = self.desk();
        let now = Some((desk.key, desk.defaults.clone()));
        let identities = now.into_iter().chain(desk.pending.clone());
        let wants = identities.map(|(key, defaults)| {
            let own = call.defaults.map(script::defaults);
            Partition {
                key: call.key.unwrap_or(key),
                defaults: value(&own.unwrap_or(defaults)),
            }
        });
        let mut wants: Vec<_> = wants.collect();
        wants.dedup();
        wants
    }
}
