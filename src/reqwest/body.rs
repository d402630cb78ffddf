//! Bodies of `reqwest`'s requests.

use std::future::poll_fn;

use ::reqwest::{Body, Request};

use crate::{
    body::Peek,
    inline::{
        NotInlined,
        carrier::{Carried, Carrier, Collecting, LIMIT},
        handoff::Handoff,
    },
};

/// Reads a stream, to its end or to as much as can be merged. Returns why it did not come to its end.
pub(super) async fn collect(request: &mut Request) -> Option<NotInlined> {
    let mut peek = Peek::into(request.body_mut().take()?);
    let (_, mut body) = poll_fn(|cx| peek.poll(LIMIT, cx)).await;
    let unread = body.unread();
    let body = match body.take_whole() {
        Some(whole) => Body::from(whole),
        None => Body::wrap(body),
    };
    *request.body_mut() = Some(body);
    unread
}

impl Carrier for Request {
    fn carried(&self) -> Carried<'_> {
        let body = self.body().map_or(Some(&[][..]), Body::as_bytes);
        body.map_or(Carried::Stream, Carried::Whole)
    }

    fn replace(&mut self, body: Vec<u8>) {
        *self.body_mut() = Some(Body::from(body));
    }

    /// The body is at hand here.
    fn hand_down(&mut self, _: Handoff) {}

    fn collect(mut self) -> Result<Collecting<Self>, Self> {
        Ok(Box::pin(async move {
            let unread = collect(&mut self).await;
            (self, unread)
        }))
    }
}
