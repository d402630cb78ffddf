//! Runtimes that stand still, or that are driven only now and then, by a clock that is turned by hand.

#![allow(clippy::unwrap_used)] // helpers outside of tests

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::HeaderMap;
use sipher_session::{
    ErrorKind, SessionManager, SessionManagerBuilder,
    api::Transport,
    clock::{Clock, Reading},
    testing::{FakeSipher, Tier},
};
use tokio::runtime::{Builder, Runtime};

/// Both clocks go on when they are told to.
#[derive(Clone, Debug)]
struct Turned(Arc<AtomicU64>);

impl Turned {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(100_000)))
    }

    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

impl Clock for Turned {
    fn now(&self) -> Reading {
        let time = Duration::from_millis(self.0.load(Ordering::SeqCst));
        Reading {
            monotonic: time,
            wall: time,
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn setup() -> (FakeSipher, Turned, SessionManagerBuilder) {
    // The fake's clock starts in a runtime.
    let sipher = runtime().block_on(async { FakeSipher::new() });
    let clock = Turned::new();
    let builder = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .clock(clock.clone())
        .transport(Transport::new(sipher.clone()));
    (sipher, clock, builder)
}

fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    let mut future = pin!(future);
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

fn with_key(key: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", key.parse().unwrap());
    headers
}

#[test]
fn creates_on_a_runtime_that_stands_still_do_not_end_those_on_another() {
    let (sipher, clock, builder) = setup();
    let manager = builder.call_budget(60, 2).build().unwrap();
    let (stalled, other) = (runtime(), runtime());
    let entered = stalled.enter();
    for n in 0..30 {
        let mut headers = with_key(&format!("sk_pro_{n}"));
        // Its task never runs: it waits for its first call for as long as the runtime stands still.
        drop(poll_once(manager.apply(&mut headers)));
    }
    drop(entered);
    let error = other.block_on(manager.session()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Budget, "others were first");
    clock.pass(60);
    other.block_on(manager.session()).unwrap();
    assert_eq!(sipher.live_sessions(), 1);
}
