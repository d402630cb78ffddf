//! One thread's worth of a case: batches of calls that can be timed, and what is done between them, which is not.

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
    /// [`BATCH`] calls.
    fn run(&mut self);
    /// Makes everything as it was before.
    fn reset(&mut self);
}

/// The one place through which everything that is measured passes; callgrind counts in here and nowhere else.
#[inline(never)]
pub fn timed_section(lane: &mut dyn Lane) {
    lane.run();
}

/// Polls a future that has nothing to wait for.
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
    /// What is called next is in front.
    requests: VecDeque<Call>,
    put_in: Vec<HeaderName>,
}

impl<S> Calls<S> {
    /// `put_in` are the headers that the service adds, which are taken out again.
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

/// The same with a clone of the service for each call, as axum and hyper users do.
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
