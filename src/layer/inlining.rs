//! Requests whose bodies may need the defaults put in.

use http::header::CONTENT_TYPE;

use super::SessionLayer;
use crate::{
    error::Error,
    front::{admit::Admission, in_flight::InFlightRequest, message::Outgoing},
    inline::{
        carrier::{Carried, Carrier},
        course,
        course::{Course, Stack},
        head,
        head::Reading,
    },
    model::inlining::{InlineDefaults, NotInlined},
    scope::Scope,
};

impl SessionLayer {
    /// Returns whether a request has a body that may need defaults. The server adds none without a `Content-Type`. A
    /// request that is not Sipher's needs none either: its `in_flight` is empty.
    #[inline]
    pub(crate) fn may_inline<R: Outgoing>(&self, request: &R, in_flight: &InFlightRequest) -> bool {
        self.inlines() && in_flight.is_known() && request.headers().contains_key(CONTENT_TYPE)
    }

    /// Returns whether the body of a request is a stream that has to be collected before the request gets a session.
    #[inline]
    pub(crate) fn collects<R: Carrier>(&self, request: &R) -> bool {
        matches!(request.carried(), Carried::Stream) && self.always_inlines() && self.reads(request)
    }

    /// Returns whether the body of a request without a session at hand is a stream that has to be collected first.
    pub(crate) fn reads_stream<R: Carrier>(&self, request: &R) -> bool {
        matches!(request.carried(), Carried::Stream) && self.reads(request)
    }

    fn always_inlines(&self) -> bool {
        self.manager().core().settings.inline.defaults == InlineDefaults::Always
    }

    fn reads<R: Outgoing>(&self, request: &R) -> bool {
        head::reading(request.headers()) == Reading::Json
            && self.scope(request) == Scope::Sipher
            && !request.opted_out()
    }

    /// Decides whether a request is sent now, has to wait, or leaves its session to an inline layer. Puts in the
    /// headers that are at hand. `unread` says why the body could not be collected.
    pub(super) fn set_out<R: Carrier>(
        &self,
        stack: Stack<'_>,
        request: &mut R,
        unread: Option<NotInlined>,
    ) -> Result<Course, Error> {
        match self.admit(request)? {
            Admission::Send(in_flight) => course::beside(stack, request, in_flight, unread),
            Admission::Wait(waiting) => course::instead(stack, request, waiting, unread),
        }
    }
}
