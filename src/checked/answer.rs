//! The answers of any HTTP client, so that they can be read and put together again.

use std::{
    fmt,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Response, StatusCode, response::Parts};
use http_body::Body;

use super::{
    CheckedBody,
    rules::{self, LIMIT},
};
use crate::{body::Peek, error::Error, front::expectation::Expectation};

/// An answer that can be taken apart and put together again.
pub trait Answer: Sized {
    type Body: Body;
    type Checked;

    fn status(&self) -> StatusCode;
    fn headers(&self) -> &HeaderMap;
    /// Returns the answer with its body unread.
    fn untouched(self) -> Self::Checked;
    fn open(self) -> (Parts, Self::Body);
    fn close(head: Parts, body: CheckedBody<Self::Body>) -> Self::Checked;
}

impl<B: Body> Answer for Response<B> {
    type Body = B;
    type Checked = Response<CheckedBody<B>>;

    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn untouched(self) -> Self::Checked {
        self.map(CheckedBody::untouched)
    }

    fn open(self) -> (Parts, B) {
        self.into_parts()
    }

    fn close(head: Parts, body: CheckedBody<B>) -> Self::Checked {
        Response::from_parts(head, body)
    }
}

/// Returns whether the answer may name the chain that it is for.
pub(super) fn is_readable(answer: &impl Answer) -> bool {
    rules::is_readable(answer.status(), answer.headers())
}

/// An answer that is being read.
pub(super) struct Reading<A: Answer> {
    /// `None` once `poll` has returned the answer.
    head: Option<(Parts, Expectation)>,
    body: Peek<A::Body>,
}

impl<A: Answer> Reading<A> {
    pub(super) fn new(answer: A, expectation: Expectation) -> Self {
        let (head, body) = answer.open();
        Self {
            head: Some((head, expectation)),
            body: Peek::into(body),
        }
    }

    /// Returns the answer, or the error that the caller gets instead.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<A::Checked, Error>> {
        let (whole, body) = ready!(self.body.poll(LIMIT, cx));
        let (mut head, expectation) = self.head.take().expect("not polled after it was ready");
        if let Some(chain) = whole.as_deref().and_then(rules::chain_of) {
            expectation.meet(&chain, &mut head.extensions)?;
        }
        Poll::Ready(Ok(A::close(head, body)))
    }
}

impl<A: Answer> fmt::Debug for Reading<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}
