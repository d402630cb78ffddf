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
        admit::AdmissionFuture,
        in_flight::InFlightRequest,
        message::{Incoming, Outgoing},
    },
};

pin_project! {
    /// The response of a [`SessionService`](super::SessionService).
    ///
    /// With a session at hand it is the inner service's future and a hold on the session; only a request that has to
    /// wait for a session is boxed.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R>,
        proves: bool,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R>
    where
        S: Service<R>,
    {
        Calling { #[pin] future: S::Future, in_flight: Option<InFlightRequest>, at_once: bool },
        Waiting { waiting: Option<Box<Waiting<S, R>>> },
        Failed { error: Option<Error> },
    }
}

struct Waiting<S, R> {
    ready: S,
    request: R,
    admission: AdmissionFuture,
}

impl<S: Service<R>, R> ResponseFuture<S, R> {
    pub(super) fn calling(
        future: S::Future,
        in_flight: Option<InFlightRequest>,
        proves: bool,
    ) -> Self {
        Self {
            state: State::Calling {
                future,
                in_flight,
                at_once: true,
            },
            proves,
        }
    }

    #[cold]
    pub(super) fn waiting(ready: S, request: R, admission: AdmissionFuture, proves: bool) -> Self {
        let waiting = Box::new(Waiting {
            ready,
            request,
            admission,
        });
        Self {
            state: State::Waiting {
                waiting: Some(waiting),
            },
            proves,
        }
    }

    #[cold]
    pub(super) fn failed(error: Error) -> Self {
        Self {
            state: State::Failed { error: Some(error) },
            proves: false,
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
        let this = self.project();
        let (mut state, proves) = (this.state, *this.proves);
        loop {
            let next = match state.as_mut().project() {
                StateProj::Calling {
                    future,
                    in_flight,
                    at_once,
                } => {
                    let Poll::Ready(response) = future.poll(cx) else {
                        *at_once = false;
                        return Poll::Pending;
                    };
                    let request = in_flight.take();
                    return Poll::Ready(match response {
                        Ok(mut response) => {
                            if let Some(request) = request {
                                request.complete(&mut response, proves, *at_once);
                            }
                            Ok(response)
                        }
                        Err(error) => {
                            let error = error.into();
                            if let Some(request) = request {
                                request.fail(&*error);
                            }
                            Err(error)
                        }
                    });
                }
                StateProj::Waiting { waiting } => {
                    let current = waiting.as_mut().expect("not polled after it was ready");
                    let in_flight = ready!(current.admission.as_mut().poll(cx));
                    let Waiting {
                        mut ready,
                        mut request,
                        ..
                    } = *waiting.take().expect("it was there just now");
                    let in_flight = in_flight?;
                    in_flight.inject(request.headers_mut());
                    State::Calling {
                        future: ready.call(request),
                        in_flight: Some(in_flight),
                        at_once: true,
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
