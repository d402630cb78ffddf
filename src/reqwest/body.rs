//! The bodies of `reqwest`'s requests.

use std::future::poll_fn;

use ::reqwest::{Body, Request};
use bytes::Bytes;
use http_body::Body as _;
use tokio::time::timeout;

use crate::{
    body::Peek,
    error::{Error, ErrorKind},
    front::{manager::SessionManager, message::Outgoing},
    inline::{
        carrier::{Carried, Carrier, Collecting, LIMIT},
        handoff::Handoff,
        head,
    },
    model::inlining::NotInlined,
    runtime::runtime,
};

/// Reads a stream to its end, or as far as a body can be merged. Returns why it was not read to its end.
///
/// # Errors
///
/// [`ErrorKind::Shutdown`] if the manager shuts down. [`ErrorKind::Timeout`] after the request's own timeout, which
/// `reqwest` itself would only count from when the request is sent.
pub(super) async fn collect(
    request: &mut Request,
    manager: &SessionManager,
) -> Result<Option<NotInlined>, Error> {
    let limit = request.timeout().copied();
    let since = manager.core().uptime();
    let reading = async {
        tokio::select! {
            biased;
            _ = manager.core().closed() => Err(Error::shutdown()),
            unread = read(request) => unread,
        }
    };
    let unread = match limit.filter(|_| runtime().is_ok()) {
        Some(limit) => timeout(limit, reading).await.unwrap_or_else(|_| {
            let text =
                format!("the body did not come within the request's own timeout of {limit:?}");
            Err(Error::new(ErrorKind::Timeout, text))
        }),
        None => reading.await,
    }?;
    request.shorten_timeout(manager.core().uptime().saturating_sub(since));
    Ok(unread)
}

async fn read(request: &mut Request) -> Result<Option<NotInlined>, Error> {
    let Some(body) = request.body_mut().take() else {
        return Ok(None);
    };
    let is_stream = !body.is_end_stream();
    let mut peek = Peek::into(body);
    let (_, mut body) = poll_fn(|cx| peek.poll(LIMIT, cx)).await;
    let unread = body.unread();
    if is_stream && body.whole().is_some_and(Bytes::is_empty) {
        head::say_empty(request.headers_mut())?;
    }
    let body = match body.take_whole() {
        Some(whole) => Body::from(whole),
        None => Body::wrap(body),
    };
    *request.body_mut() = Some(body);
    Ok(unread)
}

impl Carrier for Request {
    fn carried(&self) -> Carried<'_> {
        let body = self.body().map_or(Some(&[][..]), Body::as_bytes);
        body.map_or(Carried::Stream, Carried::Whole)
    }

    fn replace(&mut self, body: Vec<u8>) {
        *self.body_mut() = Some(Body::from(body));
    }

    /// Does nothing: the body is at hand, so no layer below needs the handoff.
    fn hand_down(&mut self, _: Handoff) {}

    fn collect(mut self, manager: SessionManager) -> Result<Collecting<Self>, Self> {
        Ok(Box::pin(async move {
            let unread = collect(&mut self, &manager).await?;
            Ok((self, unread))
        }))
    }
}
