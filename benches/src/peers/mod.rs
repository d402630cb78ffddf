//! Other crates that keep a credential fresh and put it on requests. Each has a valid credential in its cache.
//!
//! They insert an `authorization` header. They do not check where a request goes, do not stop using a credential before
//! it expires, and do not count requests in flight. Each module says what else its crate does that this crate does not.

mod aws;
mod azure;
mod google;
mod kube;

use std::{future::Future, sync::LazyLock};

use http::{HeaderValue, header::AUTHORIZATION};
use tokio::runtime::{Builder, EnterGuard, Runtime};
use tower::Service;

use crate::{
    cases::Case,
    lane::{BATCH, Lane, finish},
    request::{self, Call, OURS, Sink, call},
};

/// The background work of peers runs here.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.expect("a runtime")
});

/// Enters the runtime. Peers need one even if they do not wait.
pub fn enter() -> EnterGuard<'static> {
    RUNTIME.enter()
}

pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "kube",
            what: "kube-client, refreshable token",
            lane: kube::lane,
        },
        Case {
            name: "aws",
            what: "aws-smithy-runtime, lazy identity cache + insert",
            lane: aws::lane,
        },
        Case {
            name: "azure",
            what: "azure_core, bearer token policy",
            lane: azure::lane,
        },
        Case {
            name: "google",
            what: "google-cloud-auth, `headers()` + insert",
            lane: google::lane,
        },
    ]
}

/// Asks a peer for a header value, and inserts it by hand.
struct Inserts<F> {
    value: F,
    requests: Vec<Call>,
}

impl<F> Inserts<F> {
    fn new(value: F) -> Self {
        let requests = (0..BATCH).map(|_| call(OURS)).collect();
        Self { value, requests }
    }
}

impl<F, A> Lane for Inserts<F>
where
    F: Fn() -> A,
    A: Future<Output = HeaderValue>,
{
    fn run(&mut self) {
        for mut request in self.requests.drain(..) {
            let response = finish(async {
                let value = (self.value)().await;
                request.headers_mut().insert(AUTHORIZATION, value);
                Sink.call(request).await
            });
            assert!(response.is_ok());
        }
    }

    fn reset(&mut self) {
        request::take_back(|mut request| {
            assert!(request.headers_mut().remove(AUTHORIZATION).is_some());
            self.requests.push(request);
        });
    }
}
