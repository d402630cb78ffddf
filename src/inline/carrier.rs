//! Requests whose bodies the defaults can be put into.

use std::{future::Future, pin::Pin};

use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body;

use super::{Merge, handoff::Handoff, head, head::Reading, merge::merge};
use crate::{
    api::SessionDefaults,
    body::ReadAhead,
    error::{Error, ErrorKind},
    front::{manager::SessionManager, message::Outgoing},
    headers,
    model::inlining::{Inlined, NotInlined},
    scope::{Place, Target},
};

/// The longest body that is merged, in bytes, before and after the merge. The server accepts no longer ones.
pub(crate) const LIMIT: usize = 1024 * 1024;

/// The body of a request, as far as this layer has it.
pub(crate) enum Carried<'a> {
    /// The whole body, which may be empty.
    Whole(&'a [u8]),
    /// A stream, which has to be collected first.
    Stream,
    /// A body of any type, which this layer cannot read. An inline layer below puts the defaults in.
    Below,
}

/// A request whose body the defaults can be put into, here or in a layer below.
pub(crate) trait Carrier: Outgoing {
    fn carried(&self) -> Carried<'_>;
    /// Returns the trailers of a body that is whole.
    fn trailers(&self) -> Option<&HeaderMap> {
        None
    }
    /// Replaces a body that is whole.
    fn replace(&mut self, body: Vec<u8>);
    /// Passes the decision to the layer below.
    fn hand_down(&mut self, handoff: Handoff);
    /// Collects a body that is a stream. Returns the request unchanged if this carrier cannot do that.
    fn collect(self, manager: SessionManager) -> Result<Collecting<Self>, Self>
    where
        Self: Sized;
}

/// A request whose body is being read. Yields the request, and the reason if its body was not read to its end.
pub(crate) type Collecting<R> =
    Pin<Box<dyn Future<Output = Result<(R, Option<NotInlined>), Error>> + Send>>;

impl<B> Carrier for Request<B> {
    fn carried(&self) -> Carried<'_> {
        Carried::Below
    }

    /// Does nothing: an inline layer below replaces the body.
    fn replace(&mut self, _: Vec<u8>) {}

    fn hand_down(&mut self, handoff: Handoff) {
        self.extensions_mut().insert(handoff);
    }

    fn collect(self, _: SessionManager) -> Result<Collecting<Self>, Self> {
        Err(self)
    }
}

/// Puts the defaults that a body does not name into that body.
///
/// # Errors
///
/// Returns [`ErrorKind::InvalidRequest`] in two cases: a header that signs the body would be wrong afterwards, or the
/// header map has no room for the new length.
pub(crate) fn put<R: Carrier>(
    request: &mut R,
    defaults: &SessionDefaults,
    unread: Option<NotInlined>,
) -> Result<Inlined, Error> {
    let merged = match look(request, defaults, unread) {
        Ok(Merge::Merged(merged)) if merged.len() > LIMIT => return Ok(NotInlined::TooLong.into()),
        Ok(Merge::Merged(merged)) => merged,
        Ok(Merge::Complete) => return Ok(Inlined::Complete),
        Ok(Merge::NotAnObject) => return Ok(NotInlined::NotAnObject.into()),
        Err(reason) => return Ok(reason.into()),
    };
    let in_trailers = request.trailers().and_then(head::signed_by);
    if let Some(name) = head::signed_by(request.headers()).or(in_trailers) {
        return Err(signed(name));
    }
    let headers = request.headers_mut();
    if headers.contains_key(CONTENT_LENGTH) {
        headers::put(headers, CONTENT_LENGTH, HeaderValue::from(merged.len()))?;
    }
    request.replace(merged);
    Ok(Inlined::Merged)
}

fn look<R: Carrier>(
    request: &R,
    defaults: &SessionDefaults,
    unread: Option<NotInlined>,
) -> Result<Merge, NotInlined> {
    let headers = request.headers();
    if !headers.contains_key(CONTENT_TYPE) {
        let is_empty = matches!(request.carried(), Carried::Whole([]));
        return Err(if is_empty {
            NotInlined::NoBody
        } else {
            NotInlined::NoType
        });
    }
    if let Reading::Not(reason) = head::reading(headers) {
        return Err(reason);
    }
    if let Some(reason) = unread {
        return Err(reason);
    }
    match request.carried() {
        Carried::Below => Err(NotInlined::NoLayer),
        Carried::Stream => Err(NotInlined::TooLong),
        Carried::Whole(body) if body.len() > LIMIT => Err(NotInlined::TooLong),
        Carried::Whole([]) if !head::empty_is_object(headers) => Err(NotInlined::NoBody),
        Carried::Whole(body) => Ok(merge(body, defaults)),
    }
}

#[cold]
fn signed(name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "{name}: is made over a body that lacks defaults of its session, and would be wrong once they are put in; expected \
             a body that names all of them, or no such header"
        ),
    )
}

/// A request with a body of any type that was read ahead.
pub(super) struct Opened<'a, B: Body>(pub(super) &'a mut Request<ReadAhead<B>>);

impl<B: Body> Outgoing for Opened<'_, B> {
    fn method_and_path(&self) -> Option<(&Method, &str)> {
        self.0.method_and_path()
    }

    fn target(&self) -> Option<Target<'_>> {
        self.0.target()
    }

    fn place(&self) -> Option<Place<'_>> {
        self.0.place()
    }

    fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.0.headers_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.0.extensions())
    }
}

impl<B: Body> Carrier for Opened<'_, B> {
    fn carried(&self) -> Carried<'_> {
        self.0
            .body()
            .whole()
            .map_or(Carried::Stream, |whole| Carried::Whole(whole))
    }

    fn trailers(&self) -> Option<&HeaderMap> {
        self.0.body().trailers()
    }

    fn replace(&mut self, body: Vec<u8>) {
        self.0.body_mut().set_data(body.into());
    }

    /// Does nothing: there is no other inline layer below.
    fn hand_down(&mut self, _: Handoff) {}

    fn collect(self, _: SessionManager) -> Result<Collecting<Self>, Self> {
        Err(self)
    }
}
