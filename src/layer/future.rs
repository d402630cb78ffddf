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
        // From the call on; beside the state, so that the inner future is made where it stays.
        in_flight: InFlightRequest,
        // It was not there at once.
        waited: bool,
        proves: bool,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R>
    where
        S: Service<R>,
    {
        Calling { #[pin] future: S::Future },
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
    #[inline]
    pub(crate) fn calling(future: S::Future, in_flight: InFlightRequest, proves: bool) -> Self {
        Self {
            state: State::Calling { future },
            in_flight,
            waited: false,
            proves,
        }
    }

    #[cold]
    pub(super) fn waiting(ready: S, request: R, admission: AdmissionFuture, proves: bool) -> Self {
        let waiting = Some(Box::new(Waiting {
            ready,
            request,
            admission,
        }));
        Self::not_calling(State::Waiting { waiting }, proves)
    }

    #[cold]
    pub(super) fn failed(error: Error) -> Self {
        Self::not_calling(State::Failed { error: Some(error) }, false)
    }

    fn not_calling(state: State<S, R>, proves: bool) -> Self {
        Self {
            state,
            in_flight: InFlightRequest::default(),
            waited: false,
            proves,
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
        poll_seeing(self, cx, |_| ())
    }
}

/// Polls it, and shows the request that is in flight when the head of its response is there.
#[inline]
pub(crate) fn poll_seeing<S, R>(
    future: Pin<&mut ResponseFuture<S, R>>,
    cx: &mut Context<'_>,
    see: impl FnOnce(&InFlightRequest),
) -> Poll<Result<S::Response, BoxError>>
where
    S: Service<R>,
    S::Response: Incoming,
    S::Error: Into<BoxError>,
    R: Outgoing,
{
    let mut this = future.project();
    if !matches!(*this.state, State::Calling { .. }) {
        ready!(set_out(this.state.as_mut(), this.in_flight, cx))?;
    }
    let StateProj::Calling { future } = this.state.project() else {
        unreachable!("it has set out");
    };
    let Poll::Ready(response) = future.poll(cx) else {
        *this.waited = true;
        return Poll::Pending;
    };
    let mut response = response.map_err(Into::into);
    match &mut response {
        Ok(response) => {
            see(this.in_flight);
            this.in_flight
                .complete(response, *this.proves, !*this.waited);
        }
        Err(error) => this.in_flight.fail(&**error),
    }
    Poll::Ready(response)
}

/// Calls the inner service once there is a session.
#[cold]
fn set_out<S, R>(
    mut state: Pin<&mut State<S, R>>,
    in_flight: &mut InFlightRequest,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>>
where
    S: Service<R>,
    R: Outgoing,
{
    let waiting = match state.as_mut().project() {
        StateProj::Waiting { waiting } => waiting,
        StateProj::Failed { error } => {
            let error = error.take().expect("not polled after it was ready");
            return Poll::Ready(Err(error));
        }
        StateProj::Calling { .. } => return Poll::Ready(Ok(())),
    };
    let current = waiting.as_mut().expect("not polled after it was ready");
    let admitted = ready!(current.admission.as_mut().poll(cx));
    let Waiting {
        mut ready,
        mut request,
        ..
    } = *waiting.take().expect("it was there just now");
    *in_flight = admitted?;
    in_flight.inject(request.headers_mut());
    let future = ready.call(request);
    state.set(State::Calling { future });
    Poll::Ready(Ok(()))
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
