//! [`FakeSipher`] as a tower service: the steps of one request, and what a fault does at each of them.

use std::{
    error::Error,
    future::{self, Future},
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::sleep;
use tower_service::Service;

use super::{FakeBody, FakeError, FakeSipher, call::Call, fault::What};
use crate::exclusive::Exclusive;

impl<B> Service<Request<B>> for FakeSipher
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<FakeBody>;
    type Error = FakeError;
    type Future = FakeFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FakeError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let travelling = Box::pin(travel(self.clone(), request));
        FakeFuture(Exclusive::new(travelling))
    }
}

/// The future of an answer from a [`FakeSipher`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct FakeFuture(Exclusive<Travelling>);

type Travelling = Pin<Box<dyn Future<Output = Result<Response<FakeBody>, FakeError>> + Send>>;

impl Future for FakeFuture {
    type Output = Result<Response<FakeBody>, FakeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.get_mut().as_mut().poll(cx)
    }
}

/// Carries a request through all steps. If the caller drops the future before `handle`, the server does nothing. If it
/// does so later, the request has been carried out.
async fn travel<B>(sipher: FakeSipher, request: Request<B>) -> Result<Response<FakeBody>, FakeError>
where
    B: Body,
{
    let (head, body) = request.into_parts();
    let caller = sipher.next_caller();
    let mut arrival = sipher.server().arrive(Call::new(head, caller));
    let what = arrival.what.clone();
    match what {
        Some(What::Refuse) => return Err(FakeError::Refused),
        Some(What::LoseRequest) => return Err(FakeError::Reset),
        Some(What::Hang) => future::pending().await,
        _ => {}
    }
    if !arrival.latency.is_zero() {
        sleep(arrival.latency).await;
    }
    if let Some(What::Delay(pause)) = what {
        sleep(pause).await;
    }
    let body = body
        .collect()
        .await
        .map_err(|_| FakeError::BrokenRequest)?
        .to_bytes();

    let mut answer = sipher.server().handle(&arrival, &body)?;
    if let Some(What::DuplicateDelivery) = what {
        answer = sipher.server().handle_again(&mut arrival, &body)?;
    }
    match what {
        Some(What::LoseAnswer) => return Err(FakeError::Reset),
        Some(What::HangAnswer) => future::pending().await,
        Some(What::DelayAnswer(pause)) => sleep(pause).await,
        _ => {}
    }
    if !answer.pause.is_zero() {
        sleep(answer.pause).await;
    }
    Ok(answer.into_response(|body| match what {
        Some(What::HalfBody) => FakeBody::half(body),
        Some(What::SlowBody(pause)) => FakeBody::slow(body, pause),
        _ => FakeBody::whole(body),
    }))
}
