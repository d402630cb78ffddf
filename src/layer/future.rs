//! The future of a response.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::SessionService;
use crate::{
    error::{BoxError, Error},
    exclusive::Exclusive,
    front::{
        admit::{Admission, AdmissionFuture},
        in_flight::InFlightRequest,
        message::Incoming,
    },
    inline::{
        carrier::{Carrier, Collecting},
        course,
        handoff::Handoff,
    },
    model::inlining::NotInlined,
};

pin_project! {
    /// The response of a [`SessionService`](super::SessionService).
    ///
    /// If a session is at hand, this holds the inner service's future, and keeps the session from being deleted. Only a
    /// request that has to wait for a session is boxed.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R>,
        // Set when the inner service is called. Kept outside of `state`, so that the inner future is built in place
        // and never moved.
        in_flight: InFlightRequest,
        // Whether the response was pending at least once.
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
        // An inline layer below chooses the session. Boxed, so that the other states do not get larger.
        Handed { handed: Handed<S::Future> },
        Waiting { waiting: Option<Box<Exclusive<Waiting<S, R>>>> },
        Collecting { collecting: Option<Box<Exclusive<Collected<S, R>>>> },
        Failed { error: Option<Error> },
    }
}

/// A request whose session is chosen by a layer below.
struct Handed<F> {
    future: Pin<Box<F>>,
    handoff: Handoff,
}

struct Waiting<S, R> {
    ready: SessionService<S>,
    request: R,
    admission: AdmissionFuture,
    unread: Option<NotInlined>,
    /// When the request began to wait, in monotonic time.
    since: Duration,
}

/// A request whose body is read before the request gets a session.
struct Collected<S, R> {
    ready: SessionService<S>,
    request: Collecting<R>,
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

    pub(super) fn handed(future: S::Future, handoff: Handoff, proves: bool) -> Self {
        let future = Box::pin(future);
        let handed = Handed { future, handoff };
        Self::not_calling(State::Handed { handed }, proves)
    }

    #[cold]
    pub(super) fn waiting(
        ready: SessionService<S>,
        request: R,
        admission: AdmissionFuture,
        unread: Option<NotInlined>,
    ) -> Self {
        let proves = ready.layer().proves();
        let since = ready.layer().manager().core().uptime();
        let waiting = Some(Box::new(Exclusive::new(Waiting {
            ready,
            request,
            admission,
            unread,
            since,
        })));
        Self::not_calling(State::Waiting { waiting }, proves)
    }

    #[cold]
    pub(super) fn collecting(ready: SessionService<S>, request: Collecting<R>) -> Self {
        let proves = ready.layer().proves();
        let collecting = Some(Box::new(Exclusive::new(Collected { ready, request })));
        Self::not_calling(State::Collecting { collecting }, proves)
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
    R: Carrier,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_seeing(self, cx, |_| ())
    }
}

/// Polls the response. Once its head has arrived, calls `see` with the request in flight.
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
    R: Carrier,
{
    if matches!(future.state, State::Calling { .. }) {
        poll_inner(future, cx, see)
    } else {
        poll_otherwise(future, cx, see)
    }
}

#[cold]
#[inline(never)]
fn poll_otherwise<S, R>(
    mut future: Pin<&mut ResponseFuture<S, R>>,
    cx: &mut Context<'_>,
    see: impl FnOnce(&InFlightRequest),
) -> Poll<Result<S::Response, BoxError>>
where
    S: Service<R>,
    S::Response: Incoming,
    S::Error: Into<BoxError>,
    R: Carrier,
{
    ready!(set_out(future.as_mut(), cx))?;
    poll_inner(future, cx, see)
}

/// Polls the future of the inner service, after the request was passed to it.
#[allow(clippy::inline_always)] // called in two places, and the first one runs for nearly every request
#[inline(always)]
fn poll_inner<S, R>(
    future: Pin<&mut ResponseFuture<S, R>>,
    cx: &mut Context<'_>,
    see: impl FnOnce(&InFlightRequest),
) -> Poll<Result<S::Response, BoxError>>
where
    S: Service<R>,
    S::Response: Incoming,
    S::Error: Into<BoxError>,
{
    let this = future.project();
    let response = match this.state.project() {
        StateProj::Calling { future } => future.poll(cx),
        StateProj::Handed { handed } => handed.poll(cx, this.in_flight),
        _ => unreachable!("it has set out"),
    };
    let Poll::Ready(response) = response else {
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

/// Calls the inner service once the body is read and a session is at hand.
#[cold]
fn set_out<S, R>(
    mut future: Pin<&mut ResponseFuture<S, R>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>>
where
    S: Service<R>,
    R: Carrier,
{
    loop {
        let next = match future.as_mut().project().state.project() {
            StateProj::Calling { .. } | StateProj::Handed { .. } => return Poll::Ready(Ok(())),
            StateProj::Failed { error } => {
                let error = error.take().expect("not polled after it was ready");
                return Poll::Ready(Err(error));
            }
            StateProj::Collecting { collecting } => {
                let current = collecting.as_mut().expect("not polled after it was ready");
                let (request, unread) = ready!(current.get_mut().request.as_mut().poll(cx))?;
                let collected = collecting.take().expect("it was there just now");
                let Collected { ready, .. } = collected.into_inner();
                ready.set_out(request, unread)
            }
            StateProj::Waiting { waiting } => {
                let current = waiting.as_mut().expect("not polled after it was ready");
                let admitted = ready!(current.get_mut().admission.as_mut().poll(cx));
                let waiting = waiting.take().expect("it was there just now");
                waiting.into_inner().go_on(admitted?)
            }
        };
        future.set(next);
    }
}

impl<F> Drop for Handed<F> {
    /// Takes the session back. A service below may keep the request for long, and the session would count as used for
    /// as long.
    fn drop(&mut self) {
        drop(self.handoff.close());
    }
}

impl<F: Future> Handed<F> {
    /// Polls the response. Once it has arrived, also takes back the session that the request was sent with.
    #[cold]
    fn poll(&mut self, cx: &mut Context<'_>, in_flight: &mut InFlightRequest) -> Poll<F::Output> {
        let response = ready!(self.future.as_mut().poll(cx));
        *in_flight = self.handoff.close();
        Poll::Ready(response)
    }
}

impl<S: Service<R>, R: Carrier> Waiting<S, R> {
    fn go_on(mut self, admission: Admission) -> ResponseFuture<S, R> {
        let now = self.ready.layer().manager().core().uptime();
        self.request.shorten_timeout(now.saturating_sub(self.since));
        let stack = self.ready.stack();
        let course = course::admitted(stack, &mut self.request, admission, self.unread);
        self.ready.follow(course, self.request, self.unread)
    }
}

impl<S: Service<R>, R> fmt::Debug for ResponseFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "Calling",
            State::Handed { .. } => "Handed",
            State::Collecting { .. } => "Collecting",
            State::Waiting { .. } => "Waiting",
            State::Failed { .. } => "Failed",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
