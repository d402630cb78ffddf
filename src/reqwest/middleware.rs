//! The layer as a `reqwest_middleware::Middleware`.

use std::{error::Error as StdError, future::poll_fn, pin::Pin, time::Duration};

use ::reqwest::{Method, Request, Response};
use http::{Extensions, HeaderMap};
use reqwest_middleware::{Error, Middleware, Next};

use super::body::collect;
use crate::{
    error::Error as SessionError,
    front::{
        admit::Admission, in_flight::InFlightRequest, manager::SessionManager, message::Outgoing,
    },
    inline::{
        carrier::{Carried, Carrier, Collecting},
        course,
        course::{Course, Stack},
        handoff,
        handoff::Handoff,
    },
    layer::{ReplayLayer, Replayable, SessionLayer},
    scope::{Place, Target},
};

// The signatures are written out, because `async_trait` would keep each request twice in its future.
impl Middleware for SessionLayer {
    fn handle<'a, 'b, 'c, 'f>(
        &'a self,
        request: Request,
        extensions: &'b mut Extensions,
        next: Next<'c>,
    ) -> Answer<'f>
    where
        'a: 'f,
        'b: 'f,
        'c: 'f,
    {
        Box::pin(send(self, request, extensions, next, |_| ()))
    }
}

/// Sends a request with a session. Once the head of the response has arrived, calls `see` with the request in flight.
#[allow(clippy::manual_async_fn)] // an `async fn` would keep the request twice, too
pub(crate) fn send<'f>(
    layer: &'f SessionLayer,
    mut request: Request,
    extensions: &'f mut Extensions,
    next: Next<'f>,
    see: impl FnOnce(&InFlightRequest) + Send + 'f,
) -> impl Future<Output = reqwest_middleware::Result<Response>> + Send + 'f {
    async move {
        let admission = admit(layer, &mut request, extensions).await;
        let mut in_flight = admission.map_err(Error::middleware)?;
        let (mut next, mut at_once) = (next.run(request, extensions), true);
        let mut response = poll_fn(|cx| {
            let answer = next.as_mut().poll(cx);
            at_once &= answer.is_ready();
            answer
        })
        .await;
        match &mut response {
            Ok(response) => {
                see(&in_flight);
                in_flight.complete(response, layer.proves(), at_once);
            }
            Err(Error::Reqwest(error)) => in_flight.fail(error),
            Err(Error::Middleware(error)) => in_flight.fail(&**error),
        }
        response
    }
}

/// Waits until a request may be sent. If its body is a stream that may need defaults, collects it first. So the
/// session is still good when the request is sent.
async fn admit(
    layer: &SessionLayer,
    request: &mut Request,
    extensions: &Extensions,
) -> Result<InFlightRequest, SessionError> {
    let seen = &mut WithExtensions {
        request,
        extensions,
    };
    let mut unread = if layer.collects(seen) {
        collect(seen.request, layer.manager()).await?
    } else {
        None
    };
    let mut course = match layer.admit(seen)? {
        Admission::Send(in_flight) if !layer.may_inline(seen, &in_flight) => return Ok(in_flight),
        Admission::Send(in_flight) => course::beside(stack(layer), seen, in_flight, unread)?,
        Admission::Wait(waiting) if !layer.inlines() => Course::Wait(waiting),
        Admission::Wait(waiting) => {
            if layer.reads_stream(seen) {
                unread = collect(seen.request, layer.manager()).await?;
            }
            course::instead(stack(layer), seen, waiting, unread)?
        }
    };
    loop {
        course = match course {
            Course::Send(in_flight) => return Ok(in_flight),
            Course::HandDown(_) => return Err(handoff::missing()),
            Course::Wait(waiting) => {
                let since = layer.manager().core().uptime();
                let admission = waiting.wait().await?;
                seen.shorten_timeout(layer.manager().core().uptime().saturating_sub(since));
                course::admitted(stack(layer), seen, admission, unread)?
            }
        };
    }
}

/// Describes this stack: the body is at hand, so there is no inline layer below.
fn stack(layer: &SessionLayer) -> Stack<'_> {
    Stack {
        manager: layer.manager(),
        has_inline_layer: false,
    }
}

impl Middleware for ReplayLayer {
    fn handle<'a, 'b, 'c, 'f>(
        &'a self,
        request: Request,
        extensions: &'b mut Extensions,
        next: Next<'c>,
    ) -> Answer<'f>
    where
        'a: 'f,
        'b: 'f,
        'c: 'f,
    {
        let layer = self.layer();
        Box::pin(send_again(layer, layer, request, extensions, next))
    }
}

/// Sends a request through `each`, and a second time if the outcome is a sign of a restart. `layer` says which
/// requests are Sipher's.
pub(crate) async fn send_again(
    layer: &SessionLayer,
    each: &dyn Middleware,
    mut request: Request,
    extensions: &mut Extensions,
    next: Next<'_>,
) -> reqwest_middleware::Result<Response> {
    let seen = WithExtensions {
        request: &mut request,
        extensions,
    };
    let Some(again) = layer.spare(&seen, |seen| seen.request.duplicate()) else {
        return each.handle(request, extensions, next).await;
    };
    let mut spare = layer.sending(again);
    let first = each.handle(request, extensions, next.clone()).await;
    let outcome = match &first {
        Ok(response) => Ok((response.status(), response.headers())),
        Err(Error::Reqwest(error)) => Err(error as &(dyn StdError + 'static)),
        Err(Error::Middleware(error)) => Err(&**error as &(dyn StdError + 'static)),
    };
    if !layer.replays_after(outcome, &mut spare) {
        return first;
    }
    // Drop the first response: it may hold a permit that the second sending needs.
    drop(first);
    each.handle(spare.request, extensions, next).await
}

pub(crate) type Answer<'f> =
    Pin<Box<dyn Future<Output = reqwest_middleware::Result<Response>> + Send + 'f>>;

/// A request together with its extensions. In reqwest-middleware they are passed beside the request.
struct WithExtensions<'a> {
    request: &'a mut Request,
    extensions: &'a Extensions,
}

impl Outgoing for WithExtensions<'_> {
    fn method_and_path(&self) -> Option<(&Method, &str)> {
        self.request.method_and_path()
    }

    fn target(&self) -> Option<Target<'_>> {
        self.request.target()
    }

    fn place(&self) -> Option<Place<'_>> {
        self.request.place()
    }

    fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions)
    }

    fn own_timeout(&self) -> Option<Duration> {
        self.request.own_timeout()
    }

    fn shorten_timeout(&mut self, by: Duration) {
        self.request.shorten_timeout(by);
    }
}

impl Carrier for WithExtensions<'_> {
    fn carried(&self) -> Carried<'_> {
        self.request.carried()
    }

    fn replace(&mut self, body: Vec<u8>) {
        self.request.replace(body);
    }

    /// Does nothing: the body is at hand, so no layer below needs the handoff.
    fn hand_down(&mut self, _: Handoff) {}

    fn collect(self, _: SessionManager) -> Result<Collecting<Self>, Self> {
        Err(self)
    }
}
