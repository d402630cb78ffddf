//! What the script does to the running processes.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use sipher_session::{Error, SessionLayer, SessionManager, testing::FakeSipher};
use tokio::{task::AbortHandle, time::timeout};
use tower::{Layer, ServiceExt};

use super::{
    super::{
        trace::{Entry, Who},
        wire::{HELD_UP, LEAKS},
    },
    World,
};

impl World<'_> {
    pub(super) fn hand<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        place: usize,
        deed: impl FnOnce(Who, SessionManager) -> F,
    ) {
        let Some(process) = self.running.get_mut(&place) else {
            return;
        };
        let deed = deed(process.who, process.manager.clone());
        process.hands.push(self.work.spawn(deed));
    }

    pub(super) fn request(
        &mut self,
        place: usize,
        gives_up_after: Duration,
        held_up: Duration,
        leaks: bool,
    ) -> u64 {
        let n = self.numbers;
        self.numbers += 1;
        let Some(process) = self.running.get_mut(&place) else {
            return n;
        };
        let who = process.who;
        let layer = SessionLayer::new(process.manager.clone());
        let (service, trace) = (layer.layer(process.wire.clone()), self.trace.clone());
        process.hands.push(self.work.spawn(async move {
            let mut request = Request::post(format!("{}/v1/sim/{n}", FakeSipher::base_url()))
                .header("content-type", "application/json")
                .header(HELD_UP, u64::try_from(held_up.as_millis()).unwrap())
                .body(Full::<Bytes>::from("{}"))
                .unwrap();
            if leaks {
                request
                    .headers_mut()
                    .insert(LEAKS, HeaderValue::from_static("yes"));
            }
            trace.add(Entry::Asks { who, n, held_up });
            let outcome = match timeout(gives_up_after, service.oneshot(request)).await {
                Err(_) => "gave up".to_owned(),
                Ok(Ok(response)) => response.status().to_string(),
                Ok(Err(error)) => match error.downcast_ref::<Error>() {
                    Some(error) => format!("{:?}: {error}", error.kind()),
                    None => error.to_string(),
                },
            };
            trace.add(Entry::Got { n, outcome });
        }));
        n
    }

    /// Kills a process at once, with everything that it is doing.
    pub(super) fn kill(&mut self, place: usize) {
        if let Some(process) = self.running.remove(&place) {
            process.hands.iter().for_each(AbortHandle::abort);
        }
    }
}
