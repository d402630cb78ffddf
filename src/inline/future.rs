//! The future of a response whose request's body is read first.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    InlineBody,
    carrier::{LIMIT, Opened},
    course,
    course::{Course, Stack},
    handoff::Handoff,
    head,
};
use crate::{
    body::Peek,
    error::{BoxError, Error},
    exclusive::Exclusive,
    front::{
        admit::{Admission, AdmissionFuture},
        in_flight::Unsent,
        waiting::Waiting,
    },
    model::inlining::NotInlined,
};

pin_project! {
    /// The response of an [`InlineDefaultsService`](super::InlineDefaultsService).
    #[must_use = "futures do nothing unless polled"]
    pub struct InlineFuture<S, B>
    where
        S: Service<Request<InlineBody<B>>>,
        B: Body,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<InlineBody<B>>>,
        B: Body,
    {
        Calling { #[pin] future: S::Future },
        Read { reading: Option<Box<Exclusive<Reading<S, B>>>> },
        Wait { waiting: Option<Box<Exclusive<Pending<S, B>>>> },
        Failed { error: Option<Error> },
    }
}

/// A request whose body is being read.
struct Reading<S, B: Body> {
    to: To<S>,
    head: Parts,
    body: Peek<B>,
    /// Whether a client would send the body in chunks, even if it is empty.
    is_stream: bool,
    chosen: Chosen,
}

/// The session that was chosen for a request that is not sent yet.
pub(super) enum Chosen {
    Session(Unsent),
    None(Waiting),
}

/// A request that waits for a session, with its body read.
struct Pending<S, B: Body> {
    to: To<S>,
    request: Request<InlineBody<B>>,
    unread: Option<NotInlined>,
    admission: AdmissionFuture,
}

/// Where a request goes. The handoff informs the session layer with which session the request was sent.
struct To<S> {
    ready: S,
    handoff: Handoff,
}

impl<S, B> InlineFuture<S, B>
where
    S: Service<Request<InlineBody<B>>>,
    B: Body,
{
    pub(super) fn calling(future: S::Future) -> Self {
        let state = State::Calling { future };
        Self { state }
    }

    pub(super) fn reading(ready: S, request: Request<B>, handoff: Handoff, chosen: Chosen) -> Self {
        let to = To { ready, handoff };
        let (head, body) = request.into_parts();
        let is_stream = !body.is_end_stream();
        let body = Peek::into(body);
        let reading = Some(Box::new(Exclusive::new(Reading {
            to,
            head,
            body,
            is_stream,
            chosen,
        })));
        let state = State::Read { reading };
        Self { state }
    }

    pub(super) fn failed(error: Error) -> Self {
        let state = State::Failed { error: Some(error) };
        Self { state }
    }
}

impl<S, B> Future for InlineFuture<S, B>
where
    S: Service<Request<InlineBody<B>>>,
    S::Error: Into<BoxError>,
    B: Body,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project().state.project() {
                StateProj::Calling { future } => return future.poll(cx).map_err(Into::into),
                StateProj::Failed { error } => {
                    let error = error.take().expect("not polled after it was ready");
                    return Poll::Ready(Err(error.into()));
                }
                StateProj::Read { reading } => {
                    let current = reading.as_mut().expect("not polled after it was ready");
                    let (_, body) = ready!(current.get_mut().body.poll(LIMIT, cx));
                    let reading = reading.take().expect("it was there just now");
                    reading.into_inner().go_on(body)
                }
                StateProj::Wait { waiting } => {
                    let current = waiting.as_mut().expect("not polled after it was ready");
                    let admitted = ready!(current.get_mut().admission.as_mut().poll(cx));
                    let waiting = waiting.take().expect("it was there just now");
                    waiting.into_inner().go_on(admitted)
                }
            };
            self.set(next);
        }
    }
}

impl<S, B> Reading<S, B>
where
    S: Service<Request<InlineBody<B>>>,
    B: Body,
{
    /// Continues once the body is read. Reading may have taken so long that the request's session has changed
    /// meanwhile.
    fn go_on(self, body: InlineBody<B>) -> InlineFuture<S, B> {
        let (to, unread) = (self.to, body.unread());
        let is_empty = body.whole().is_some_and(Bytes::is_empty);
        let mut request = Request::from_parts(self.head, body);
        if self.is_stream
            && is_empty
            && let Err(error) = head::say_empty(request.headers_mut())
        {
            return InlineFuture::failed(error);
        }
        let opened = &mut Opened(&mut request);
        let course = match self.chosen {
            Chosen::Session(unsent) if unsent.is_in_order() => {
                course::beside(to.stack(), opened, unsent.send(), unread)
            }
            Chosen::Session(unsent) => {
                let waiting = Waiting::instead_of(&unsent);
                let waiting = waiting.map(|waiting| waiting.of_request(opened));
                course::anew(to.stack(), opened, waiting, unread)
            }
            Chosen::None(waiting) => course::anew(to.stack(), opened, Some(waiting), unread),
        };
        to.follow(course, request, unread)
    }
}

impl<S, B> Pending<S, B>
where
    S: Service<Request<InlineBody<B>>>,
    B: Body,
{
    fn go_on(mut self, admission: Result<Admission, Error>) -> InlineFuture<S, B> {
        let course = admission.and_then(|admission| {
            let opened = &mut Opened(&mut self.request);
            course::admitted(self.to.stack(), opened, admission, self.unread)
        });
        self.to.follow(course, self.request, self.unread)
    }
}

impl<S> To<S> {
    /// Describes this stack: there is no other inline layer below.
    fn stack(&self) -> Stack<'_> {
        Stack {
            manager: self.handoff.manager(),
            has_inline_layer: false,
        }
    }

    fn follow<B>(
        mut self,
        course: Result<Course, Error>,
        request: Request<InlineBody<B>>,
        unread: Option<NotInlined>,
    ) -> InlineFuture<S, B>
    where
        S: Service<Request<InlineBody<B>>>,
        B: Body,
    {
        match course {
            Ok(Course::Send(in_flight)) => {
                self.handoff.put_back(in_flight);
                InlineFuture::calling(self.ready.call(request))
            }
            Ok(Course::Wait(waiting)) => {
                let admission = waiting.wait();
                let waiting = Some(Box::new(Exclusive::new(Pending {
                    to: self,
                    request,
                    unread,
                    admission,
                })));
                let state = State::Wait { waiting };
                InlineFuture { state }
            }
            // There is no other inline layer below.
            Ok(Course::HandDown(_)) => InlineFuture::failed(super::handoff::missing()),
            Err(error) => InlineFuture::failed(error),
        }
    }
}

impl<S, B> fmt::Debug for InlineFuture<S, B>
where
    S: Service<Request<InlineBody<B>>>,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "Calling",
            State::Read { .. } => "Read",
            State::Wait { .. } => "Wait",
            State::Failed { .. } => "Failed",
        };
        f.debug_struct("InlineFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
