//! Requests whose bodies may have to name defaults, too.

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
    /// Whether a request has a body to look at. The server looks at none without a type, and what is none of our business has no
    /// `in_flight`.
    #[inline]
    pub(crate) fn may_inline<R: Outgoing>(&self, request: &R, in_flight: &InFlightRequest) -> bool {
        self.inlines() && in_flight.is_known() && request.headers().contains_key(CONTENT_TYPE)
    }

    /// Whether the body of a request is a stream that is to be collected before its request gets a session.
    #[inline]
    pub(crate) fn collects<R: Carrier>(&self, request: &R) -> bool {
        matches!(request.carried(), Carried::Stream) && self.always_inlines() && self.reads(request)
    }

    /// The same for one that has no session at hand.
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

    /// Decides about a request, and puts in what is at hand. `unread` says why its body could not be collected.
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
