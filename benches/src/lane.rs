//! The work of one thread on a case. Batches of calls are timed, and the work between them is not.

use std::{
    collections::VecDeque,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::HeaderName;
use tower::Service;

use crate::request::{self, Call};

/// How many calls are timed together.
pub const BATCH: usize = 16;

pub trait Lane {
    /// Makes [`BATCH`] calls.
    fn run(&mut self);
    /// Restores the state from before the batch.
    fn reset(&mut self);
}

/// All measured code runs through this function. Callgrind counts only inside of it.
#[inline(never)]
pub fn timed_section(lane: &mut dyn Lane) {
    lane.run();
}

/// Polls a future that never waits.
#[inline(always)]
pub fn finish<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// Calls of one service.
pub struct Calls<S> {
    service: S,
    /// The next request is at the front.
    requests: VecDeque<Call>,
    put_in: Vec<HeaderName>,
}

impl<S> Calls<S> {
    /// `put_in` are the headers that the service adds. They are removed after each batch.
    pub fn new(
        service: S,
        requests: impl IntoIterator<Item = Call>,
        put_in: Vec<HeaderName>,
    ) -> Self {
        Self {
            service,
            requests: requests.into_iter().collect(),
            put_in,
        }
    }

    fn take_back(&mut self) {
        request::take_back(|mut request| {
            for name in &self.put_in {
                assert!(
                    request.headers_mut().remove(name).is_some(),
                    "{name} is missing"
                );
            }
            self.requests.push_back(request);
        });
    }
}

impl<S> Lane for Calls<S>
where
    S: Service<Call>,
{
    fn run(&mut self) {
        for _ in 0..BATCH {
            let request = self.requests.pop_front().expect("enough requests");
            assert!(finish(self.service.call(request)).is_ok());
        }
    }

    fn reset(&mut self) {
        self.take_back();
    }
}

/// The calls of one service, with a clone of the service for each call, as users of axum and hyper make them.
pub struct ClonedCalls<S>(pub Calls<S>);

impl<S> Lane for ClonedCalls<S>
where
    S: Service<Call> + Clone,
{
    fn run(&mut self) {
        for _ in 0..BATCH {
            let request = self.0.requests.pop_front().expect("enough requests");
            assert!(finish(self.0.service.clone().call(request)).is_ok());
        }
    }

    fn reset(&mut self) {
        self.0.take_back();
    }
}
