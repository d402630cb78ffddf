//! One request, from its call to its outcome.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use http::{Method, Request, Response};
use serde_json::json;
use sipher_session::{BoxError, Error, NoSession, Proof, testing::FakeSipher};
use tokio::time::{sleep, timeout};

use crate::{
    carries::{Carries, Stream},
    inline::Layers,
    script::{self, Call, SessionCall},
    trace::{Entry, Got, Partition},
    wire::{BY_HAND, Seen, Wire},
    world::{World, value},
};

/// Hosts of the vendor that are not Sipher's.
const OUTSIDE: [&str; 3] = [
    "https://sip-protocol.org",
    "https://api.sip-protocol.org",
    "https://sipher-api.sip-protocol.org:8443",
];

pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = Result<Response<Seen>, BoxError>> + Send>>;

impl World {
    pub(crate) async fn call(self, layers: Layers, call: Call, n: u64) {
        if let Some(session_call) = call.by_layer {
            return self.session_call(layers, &call, session_call).await;
        }
        let trace = self.trace().clone();
        let elsewhere = call.elsewhere || call.outside.is_some();
        let base = match call.outside {
            Some(which) => OUTSIDE[which % OUTSIDE.len()],
            None if call.elsewhere => "https://elsewhere.example",
            None if call.by_alias => "https://sipher.sip-protocol.org",
            None => FakeSipher::base_url(),
        };
        let mut carries = self.carries(n);
        if let Some(carries) = carries.as_mut().filter(|_| elsewhere || call.no_session) {
            carries.aside = None;
        }
        let mut request = match carries {
            Some(carries) => carries.request(base, elsewhere, n),
            None => Request::post(format!("{base}/v1/sim/{n}"))
                .header("content-type", "application/json")
                .body(Stream::whole("{}"))
                .expect("a request"),
        };
        if let Some(key) = call.key.filter(|_| !elsewhere) {
            let key = self.wire.keys[key].parse().expect("a header value");
            request.headers_mut().insert("x-api-key", key);
        }
        if let Some(defaults) = call.defaults() {
            request.extensions_mut().insert(defaults);
        }
        if call.no_session {
            request.extensions_mut().insert(NoSession);
        }
        trace.add(Entry::Call {
            n,
            wants: self.wants(&call),
            without: call.no_session,
            elsewhere,
            held: !call.polled_after.is_zero() || carries.is_some_and(Carries::has_pauses),
            carries,
        });
        let answer = {
            let wire = Wire {
                is_eager: call.is_eager,
                ..self.wire.clone()
            };
            let mut answer = layers.call(wire, request, self.replays);
            // A layer that reads bodies sends nothing before it is polled.
            let is_polled = self.inline.is_none() || call.polled_after.is_zero();
            let first = if self.inline.is_some() && is_polled {
                poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await
            } else {
                Poll::Pending
            };
            if !elsewhere && is_polled && first.is_pending() && !self.wire.has_sent(n) {
                trace.add(Entry::Waits { n });
            }
            if !call.polled_after.is_zero() {
                sleep(call.polled_after).await;
            }
            match first {
                Poll::Ready(answer) => Ok(answer),
                Poll::Pending => timeout(call.gives_up_after, answer).await,
            }
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

    /// Deletes or changes the session of this key's last request, by a request through the layer.
    async fn session_call(self, layers: Layers, call: &Call, session_call: SessionCall) {
        if self.inline.is_some_and(|inline| !inline.makes_sessions) {
            return;
        }
        let key = call.key.unwrap_or(self.desk().key);
        let last = self.trace().with(|lines| {
            lines.iter().rev().find_map(|line| match &line.what {
                Entry::Sent(sent) if sent.n.is_some() && sent.key == Some(key) => sent.id.clone(),
                _ => None,
            })
        });
        let Some(id) = last else { return };
        let (method, body) = match session_call {
            SessionCall::Delete => (Method::DELETE, String::new()),
            SessionCall::Patch(which) => {
                let defaults = value(&script::defaults(which));
                (Method::PATCH, json!({ "defaults": defaults }).to_string())
            }
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/sessions/{id}", FakeSipher::base_url()))
            .header("content-type", "application/json")
            .body(Stream::whole(body))
            .expect("a request");
        if let Some(key) = call.key {
            let key = self.wire.keys[key].parse().expect("a header value");
            request.headers_mut().insert("x-api-key", key);
        }
        self.trace().add(Entry::ChangedByHand { id });
        let wire = self.wire.clone();
        let answer = async move { layers.call(wire, request, false).await };
        let answer = timeout(call.gives_up_after, BY_HAND.scope((), answer)).await;
        let outcome = match answer {
            Err(_) => "gave up".to_owned(),
            Ok(answer) => answer.map_or_else(|e| e.to_string(), |r| r.status().to_string()),
        };
        let told = format!("{session_call:?} through the layer: {outcome}");
        self.trace().add(Entry::Hand(told));
    }

    /// The partitions whose session a request that starts now may carry.
    fn wants(&self, call: &Call) -> Vec<Partition> {
        let desk = self.desk();
        let now = Some((desk.key, desk.defaults.clone()));
        let identities = now.into_iter().chain(desk.pending.clone());
        let wants = identities.map(|(key, defaults)| {
            let own = call.defaults();
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
