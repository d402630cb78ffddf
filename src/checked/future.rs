//! The futures of a checked response.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    Checked, CheckedBody,
    answer::{self, Answer, Reading},
    rules::{self, LIMIT},
};
use crate::{
    body::Peek,
    error::BoxError,
    exclusive::Exclusive,
    front::{expectation::Expectation, message::Incoming},
    inline::carrier::Carrier,
    layer::{ResponseFuture, poll_seeing},
};

pin_project! {
    /// The response future of a [`Checked`] service whose request was sent already.
    #[must_use = "futures do nothing unless polled"]
    pub struct Answering<S, R>
    where
        S: Service<R>,
        S::Response: Answer,
    {
        #[pin]
        state: State<S, R>,
        checks: bool,
        expectation: Option<Expectation>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R>
    where
        S: Service<R>,
        S::Response: Answer,
    {
        Sent { #[pin] response: ResponseFuture<S, R> },
        Reading { reading: Reading<S::Response> },
    }
}

impl<S, R> Answering<S, R>
where
    S: Service<R>,
    S::Response: Answer,
{
    pub(super) fn new(
        response: ResponseFuture<S, R>,
        checks: bool,
        expectation: Option<Expectation>,
    ) -> Self {
        Self {
            state: State::Sent { response },
            checks,
            expectation,
        }
    }
}

impl<S, R> Future for Answering<S, R>
where
    S: Service<R>,
    S::Response: Incoming + Answer,
    S::Error: Into<BoxError>,
    R: Carrier,
{
    type Output = Result<<S::Response as Answer>::Checked, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let response = match this.state.as_mut().project() {
                StateProj::Reading { reading } => return reading.poll(cx).map_err(Into::into),
                StateProj::Sent { response } => response,
            };
            let (checks, expectation) = (*this.checks, &mut *this.expectation);
            let response = ready!(poll_seeing(response, cx, |in_flight| {
                if checks && expectation.is_none() {
                    *expectation = in_flight.expectation();
                }
            }))?;
            let expectation = expectation
                .take()
                .filter(|_| checks && answer::is_readable(&response));
            let Some(expectation) = expectation else {
                return Poll::Ready(Ok(response.untouched()));
            };
            let reading = Reading::new(response, expectation);
            this.state.set(State::Reading { reading });
        }
    }
}

impl<S, R> fmt::Debug for Answering<S, R>
where
    S: Service<R>,
    S::Response: Answer,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering")
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The response future of a [`Checked`] service.
    #[must_use = "futures do nothing unless polled"]
    pub struct CheckedFuture<S, B>
    where
        S: Service<Request<CheckedBody<B>>>,
        S::Response: Answer,
        B: Body,
    {
        #[pin]
        stage: Stage<S, B>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, B>
    where
        S: Service<Request<CheckedBody<B>>>,
        S::Response: Answer,
        B: Body,
    {
        Asking { asking: Option<Box<Exclusive<Asking<S, B>>>> },
        Answering { #[pin] answering: Answering<S, Request<CheckedBody<B>>> },
    }
}

/// A request whose body is read before the request gets a session.
struct Asking<S, B: Body> {
    ready: Checked<S>,
    head: Parts,
    body: Peek<B>,
}

impl<S, B> CheckedFuture<S, B>
where
    S: Service<Request<CheckedBody<B>>>,
    S::Response: Answer,
    B: Body,
{
    pub(super) fn asking(ready: Checked<S>, request: Request<B>) -> Self {
        let (head, body) = request.into_parts();
        let body = Peek::into(body);
        let asking = Some(Box::new(Exclusive::new(Asking { ready, head, body })));
        let stage = Stage::Asking { asking };
        Self { stage }
    }

    pub(super) fn answering(answering: Answering<S, Request<CheckedBody<B>>>) -> Self {
        let stage = Stage::Answering { answering };
        Self { stage }
    }
}

impl<S, B> Future for CheckedFuture<S, B>
where
    S: Service<Request<CheckedBody<B>>> + Clone,
    S::Response: Incoming + Answer,
    S::Error: Into<BoxError>,
    B: Body,
{
    type Output = Result<<S::Response as Answer>::Checked, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let asking = match this.stage.as_mut().project() {
                StageProj::Answering { answering } => return answering.poll(cx),
                StageProj::Asking { asking } => asking,
            };
            let current = asking.as_mut().expect("it was not sent yet");
            let (whole, body) = ready!(current.get_mut().body.poll(LIMIT, cx));
            let asking = asking.take().expect("it was there just now");
            let Asking {
                mut ready, head, ..
            } = asking.into_inner();
            let checks = whole.as_deref().is_some_and(rules::leaves_chain_open);
            let answering = ready.respond(Request::from_parts(head, body), checks);
            this.stage.set(Stage::Answering { answering });
        }
    }
}

impl<S, B> fmt::Debug for CheckedFuture<S, B>
where
    S: Service<Request<CheckedBody<B>>>,
    S::Response: Answer,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedFuture").finish_non_exhaustive()
    }
}
