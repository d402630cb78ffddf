//! Hours of calls in virtual time, through one renewal after another.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use sipher_session::testing::TestClock;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service};

use sipher_session::SessionLayer;

use crate::{
    ours::{self, KEY},
    request::{self, OURS, Sink, call_with_key},
    stub::StubSipher,
};

#[derive(Clone, Copy, Debug)]
pub struct Waits {
    pub calls: u64,
    pub creates: u64,
    /// How many calls, except the first, were not sent at once.
    pub waited: u64,
}

pub fn paused() -> Runtime {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.expect("a runtime")
}

/// Runs six hours with four calls a second. Sessions live for a minute, and creates take a second.
pub fn waits() -> Waits {
    let runtime = paused();
    runtime.block_on(async {
        let stub = StubSipher::new(60).delay(Duration::from_secs(1));
        let settings = ours::builder(&stub)
            .ttl(Duration::from_secs(60))
            .clock(TestClock::new());
        let manager = settings.build().expect("good settings");
        manager.session().await.expect("a session");
        let mut service = SessionLayer::new(manager).layer(Sink);
        let mut waits = Waits {
            calls: 6 * 3_600 * 4,
            creates: 0,
            waited: 0,
        };
        for _ in 0..waits.calls {
            let mut response = pin!(service.call(call_with_key(OURS, KEY)));
            let at_once = poll_fn(|cx| Poll::Ready(response.as_mut().poll(cx))).await;
            if at_once.is_pending() {
                waits.waited += 1;
                assert!(response.await.is_ok());
            }
            request::take_back(drop);
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        waits.creates = stub.creates();
        waits
    })
}
