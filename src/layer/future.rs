//! The future of a response.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    error::{BoxError, Error},
    manager::{
        Lease,
        admit::{Incoming, LeaseFuture, Outgoing},
    },
};

pin_project! {
    /// The response of a [`SessionService`](super::SessionService).
    ///
    /// With a session at hand it is the inner service's future and a lease on the session; only a request that has to
    /// wait for a session is boxed.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R>
    where
        S: Service<R>,
    {
        Calling { #[pin] future: S::Future, lease: Option<Lease> },
        Waiting { waiting: Option<Box<Waiting<S, R>>> },
        Failed { error: Option<Error> },
    }
}

struct Waiting<S, R> {
    ready: S,
    request: R,
    lease: LeaseFuture,
}

impl<S: Service<R>, R> ResponseFuture<S, R> {
    pub(super) fn calling(future: S::Future, lease: Option<Lease>) -> Self {
        Self {
            state: State::Calling { future, lease },
        }
    }

    #[cold]
    pub(super) fn waiting(ready: S, request: R, lease: LeaseFuture) -> Self {
        let waiting = Box::new(Waiting {
            ready,
            request,
            lease,
        });
        Self {
            state: State::Waiting {
                waiting: Some(waiting),
            },
        }
    }

    #[cold]
    pub(super) fn failed(error: Error) -> Self {
        Self {
            state: State::Failed { error: Some(error) },
        }
    }
}

impl<S, R> Future for ResponseFuture<S, R>
where
    S: Service<R>,
    S::Response: Incoming,
    S::Error: Into<BoxError>,
    R: Outgoing,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Calling { future, lease } => {
                    let response = ready!(future.poll(cx));
                    let response = response.map_err(Into::into);
                    match (lease.take(), &response) {
                        (Some(lease), Ok(response)) => lease.complete_with(response.status()),
                        (Some(lease), Err(error)) => lease.fail(&**error),
                        (None, _) => {}
                    }
                    return Poll::Ready(response);
                }
                StateProj::Waiting { waiting } => {
                    let current = waiting.as_mut().expect("not polled after it was ready");
                    let lease = ready!(current.lease.as_mut().poll(cx));
                    let Waiting {
                        mut ready,
                        mut request,
                        ..
                    } = *waiting.take().expect("it was there just now");
                    let lease = lease?;
                    if let Some(lease) = &lease {
                        lease.inject(request.headers_mut());
                    }
                    State::Calling {
                        future: ready.call(request),
                        lease,
                    }
                }
                StateProj::Failed { error } => {
                    let error = error.take().expect("not polled after it was ready");
                    return Poll::Ready(Err(error.into()));
                }
            };
            state.set(next);
        }
    }
}

impl<S: Service<R>, R> fmt::Debug for ResponseFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "Calling",
            State::Waiting { .. } => "Waiting",
            State::Failed { .. } => "Failed",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
